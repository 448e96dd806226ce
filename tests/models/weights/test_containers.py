"""Where in a checkpoint the weights are, whatever the training script put beside them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from safetensors.torch import save

from models.weights.containers import Contents, contents
from models.weights.header import read

STATE = {"a.weight": torch.ones(2, 3), "a.bias": torch.zeros(2)}
OTHER = {name: value + 1 for name, value in STATE.items()}
ADAM = {"state": {0: {"exp_avg": torch.ones(9), "step": torch.ones(())}}, "param_groups": [{"lr": 0.1}]}

PLACES: dict[str, tuple[Any, tuple[str, ...]]] = {
    "plain": (STATE, ()),
    "trainer": ({"epoch": 3, "state_dict": STATE, "best_acc1": torch.tensor(3.0), "optimizer": ADAM}, ("state_dict",)),
    "reference script": ({"model": STATE, "optimizer": ADAM, "lr_scheduler": {"last_epoch": 2}}, ("model",)),
    "under an odd key": ({"my_weights": STATE, "optimizer": ADAM}, ("my_weights",)),
    "nested": ({"ckpt": {"model_state": STATE}, "step": 3}, ("ckpt", "model_state")),
    "averaged first": ({"model": OTHER, "model_ema": STATE}, ("model_ema",)),
    "timm": ({"state_dict": OTHER, "state_dict_ema": STATE, "arch": "resnet18"}, ("state_dict_ema",)),
    "with counters": ({**STATE, "epoch": 3}, ()),
}


@pytest.mark.parametrize("case", PLACES)
def test_the_weights_are_found(case: str) -> None:
    loaded, path = PLACES[case]
    found = contents(loaded)
    assert found is not None
    assert found.path == path
    assert found.state.keys() == STATE.keys()
    assert all(torch.equal(found.state[name], STATE[name]) for name in STATE)


@pytest.mark.parametrize(
    "loaded", [[STATE], {"epoch": 3}, {}, {"optimizer": ADAM}, 3, {"a": {"b": {"c": {"d": STATE}}}}]
)
def test_where_there_are_none_nothing_is_found(loaded: Any) -> None:
    assert contents(loaded) is None


def test_other_weights_beside_those_that_are_taken_are_named() -> None:
    found = contents({"model": OTHER, "model_ema": STATE, "teacher": OTHER})
    assert found is not None
    assert found.others == ("model", "teacher")


CLASSES: list[tuple[dict[Any, Any], list[str]]] = [
    ({"classes": ["cat", "dog"]}, ["cat", "dog"]),
    ({"hyper_parameters": {"class_names": ("cat", "dog")}}, ["cat", "dog"]),
    ({"idx_to_class": {0: "cat", 1: "dog"}}, ["cat", "dog"]),
    ({"config": {"id2label": {"1": "dog", "0": "cat"}}}, ["cat", "dog"]),
    ({"class_to_idx": {"dog": 1, "cat": 0}}, ["cat", "dog"]),
    ({"meta": {"CLASSES": ("cat", "dog")}}, ["cat", "dog"]),
]


@pytest.mark.parametrize(("beside", "names"), CLASSES)
def test_class_names_beside_the_weights_are_read(beside: dict[Any, Any], names: list[str]) -> None:
    found = contents({"state_dict": STATE, **beside})
    assert found is not None
    assert read("mine", save(STATE, found.header)).classes == tuple(names)


@pytest.mark.parametrize(
    "classes", [torch.arange(2), [1.5, 2], [["cat"]], "cat", list(range(99_999)), None, {"a": None}]
)
def test_what_is_no_list_of_names_is_passed_over(classes: Any) -> None:
    found = contents({"state_dict": STATE, "classes": classes})
    assert found is not None
    assert read("mine", save(STATE, found.header)).classes is None


def test_the_header_of_the_new_file_says_where_its_tensors_were() -> None:
    header = read("mine", save(STATE, Contents(STATE, ("ckpt", "net"), ("ema",), {"architecture": "resnet18"}).header))
    assert header.read_from == (("ckpt", "net"), ("ema",))
    assert header.architecture == "resnet18"


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', "[[1], [2]]", json.dumps([["a"]]), "[" * 5000])
def test_a_header_that_says_it_otherwise_is_passed_over(text: str) -> None:
    assert read("mine", save(STATE, {"read_from": text})).read_from == ((), ())
