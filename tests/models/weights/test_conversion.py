"""Published checkpoints, which are pickles, to safetensors: tensors alone, and nothing is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from models.errors import WeightsError
from models.weights.convert_checkpoint import convert, main
from models.weights.sources import load
from tests.support.checkpoints import same, upload


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"no pickle at all", "is refused"),
        (None, "cannot be read: [Errno 2] No such file"),
        ([torch.ones(2)], "is not a state dict"),
        ({"epoch": 3}, "is not a state dict"),
        ({"a": torch.ones(2), "b": torch.eye(2).to_sparse()}, "'b' is sparse, quantized or without values"),
        ({"a": torch.ones(2, device="meta")}, "'a' is sparse, quantized or without values"),
    ],
)
def test_what_is_no_state_dict_is_refused(content: Any, sentence: str, tmp_path: Path) -> None:
    source, target = tmp_path / "in.pth", tmp_path / "out.safetensors"
    if isinstance(content, bytes):
        source.write_bytes(content)
    elif content is not None:
        torch.save(content, source)
    with pytest.raises(WeightsError) as caught:
        convert(str(source), str(target))
    assert str(caught.value).startswith(str(source))
    assert sentence in str(caught.value)
    assert not target.exists()


def test_tensors_that_share_memory_are_converted(tmp_path: Path) -> None:
    tied = torch.arange(6.0).view(2, 3)
    torch.save({"a": tied, "b": nn.Parameter(tied), "c": tied.T}, tmp_path / "in.pth")
    convert(str(tmp_path / "in.pth"), str(tmp_path / "out.safetensors"))
    content = (tmp_path / "out.safetensors").read_bytes()
    module = nn.ParameterDict({"a": torch.zeros(2, 3), "b": torch.zeros(2, 3), "c": torch.zeros(3, 2)})
    load(module, upload(content)())
    assert same(module.state_dict(), {"a": tied, "b": tied, "c": tied.T})


def test_the_converters_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["only_one.pth"]) == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith("usage: python -m models.weights.convert_checkpoint")
    assert complaint.count("\n") == 1
