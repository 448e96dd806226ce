"""What a checkpoint pickles beside its tensors: known harmless things stand for nothing, all others are named."""

from __future__ import annotations

import argparse
import builtins
import os
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from models.weights.containers import contents
from models.weights.stand_ins import StandIn, foreign_names, harmful, is_network, stand_ins

STATE = {"a.weight": torch.ones(2, 3)}


class Payload:
    """Whoever unpickles it makes a call."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> Any:
        return self.call, self.arguments


def saved(content: Any, folder: Path) -> Path:
    torch.save(content, folder / "in.pth")
    return folder / "in.pth"


def test_options_paths_and_numbers_of_numpy_are_loaded_as_stand_ins(tmp_path: Path) -> None:
    beside = {"args": argparse.Namespace(lr=0.1), "root": PurePosixPath("/a"), "best": np.float64(0.5)}
    path = saved({"state_dict": STATE, **beside}, tmp_path)
    with stand_ins(foreign_names(path)):
        loaded = torch.load(path, weights_only=True)
    assert all(type(loaded[name]) is StandIn for name in beside)
    assert loaded["args"].state == {"lr": 0.1}
    found = contents(loaded)
    assert found is not None
    assert torch.equal(found.state["a.weight"], STATE["a.weight"])
    with pytest.raises(Exception, match="GLOBAL"):  # nothing is allowed any longer than that
        torch.load(path, weights_only=True)


CALLS = {
    "a shell": (os.system, "touch {}/ran"), "eval": (builtins.eval, "open('{}/ran', 'w')"),
    "exec": (builtins.exec, "open('{}/ran', 'w')"), "an attribute": (builtins.getattr, "{}", "upper"),
    "a file": (builtins.open, "{}/ran", "w"),
}  # fmt: skip


@pytest.mark.parametrize("case", CALLS)
def test_a_call_in_a_pickle_has_no_stand_in_and_is_not_made(case: str, tmp_path: Path) -> None:
    call, *arguments = CALLS[case]
    payload = Payload(call, *(argument.format(tmp_path) for argument in arguments))
    path = saved({"state_dict": STATE, "x": payload}, tmp_path)
    names = foreign_names(path)
    assert harmful(names) == names[0]
    with stand_ins(names), pytest.raises(Exception, match="GLOBAL"):
        torch.load(path, weights_only=True)
    assert not (tmp_path / "ran").exists()


def test_a_whole_network_is_told_from_a_loss_beside_the_weights(tmp_path: Path) -> None:
    assert is_network(foreign_names(saved(nn.Linear(2, 2), tmp_path)))
    names = foreign_names(saved({"state_dict": STATE, "hyper_parameters": {"loss": nn.CrossEntropyLoss()}}, tmp_path))
    assert not is_network(names)
    assert harmful(names) is None


def test_a_checkpoint_that_holds_itself_ends_the_search() -> None:
    loaded: dict[str, Any] = {"epoch": 1}
    loaded["again"] = loaded
    assert contents(loaded) is None
