"""`identify`: which preset, or network of torchvision or timm, a file of weights is, and which it is most like."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision.models as tv
from safetensors.torch import save_file
from torch import nn

from explorer.cli.main import main
from explorer.networks import identify as subject
from tests.support.checkpoints import finetuned


def identified(
    state: dict[str, torch.Tensor], folder: Path, capsys: pytest.CaptureFixture[str], name: str = "mine.safetensors"
) -> dict[str, Any]:
    save_file({key: value.contiguous() for key, value in state.items()}, folder / name)
    assert main(["identify", str(folder / name), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_preset_is_named_with_the_knobs_that_the_file_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = {f"backbone.{name}": value for name, value in finetuned().state_dict().items()}
    found = identified(state, tmp_path, capsys)
    best = found["matches"][0]
    assert found["tensors"] == 122
    assert (best["name"], best["knobs"], best["prefix"]) == ("resnet18", {"num_classes": 5}, "backbone.")
    assert (best["is_whole"], best["fitting"], best["differing"], best["first_difference"]) == (True, 122, 0, None)
    assert main(["identify", str(tmp_path / "mine.safetensors")]) == 0
    assert capsys.readouterr().out == (
        "mine.safetensors is resnet18 with num_classes=5: all 122 tensors fit.\n"
        "prefix 'backbone.' taken off; num_classes = 5, as backbone.fc.weight is 5×512.\n"
    )


def test_what_differs_from_the_nearest_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = finetuned().state_dict()
    state |= {"fc.1.weight": state.pop("fc.weight"), "fc.1.bias": state.pop("fc.bias")}
    best = identified(state, tmp_path, capsys)["matches"][0]
    assert (best["name"], best["is_whole"], best["fitting"], best["differing"]) == ("resnet18", False, 120, 4)
    assert best["first_difference"].startswith("fc.weight (1000×512) is in the network and not in the file")
    assert main(["identify", str(tmp_path / "mine.safetensors")]) == 0
    assert "is most like resnet18: 120 of its 122 tensors fit" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: tv.swin_t(num_classes=3), "torchvision:swin_t"),
        (lambda: timm.create_model("lcnet_050", num_classes=3), "timm:lcnet_050"),
    ],
)
def test_networks_of_other_libraries_are_found_where_no_preset_fits(
    make: Any, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"few": (name, "timm:lcnet_100"), "others": ("timm:resnet10t",)}
    monkeypatch.setattr(subject, "timm_families", lambda: known)  # all of them take half a minute
    monkeypatch.setattr(subject, "torchvision_kinds", lambda: {"vit_b_32": "", "swin_t": ""})
    best = identified(make().state_dict(), tmp_path, capsys)["matches"][0]
    assert (best["name"], best["knobs"], best["is_whole"]) == (name, {"num_classes": 3}, True)


def test_what_the_file_is_called_is_tried_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "timm_families", dict)
    state = timm.create_model("lcnet_050").state_dict()
    best = identified(state, tmp_path, capsys, "lcnet_050-f447553b.safetensors")["matches"][0]
    assert (best["name"], best["knobs"]) == ("timm:lcnet_050", {})


def test_a_file_that_is_like_nothing_is_said_to_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "timm_families", dict)
    monkeypatch.setattr(subject, "torchvision_kinds", dict)
    save_file(nn.Linear(3, 7).state_dict(), tmp_path / "odd.safetensors")
    assert main(["identify", str(tmp_path / "odd.safetensors")]) == 0
    assert capsys.readouterr().out == "odd.safetensors is like no network that is known here.\n"


@pytest.mark.parametrize("name", ["gone.pth", "gone.safetensors", "a\nb.pth", "x" * 300 + ".pth"])
def test_a_file_that_cannot_be_read_is_one_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["identify", name]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert "cannot be read" in said
