"""A person's checkpoint on the command line: read however it was saved, for whichever network it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from explorer.cli.main import main
from explorer.networks import catalog
from explorer.networks.own_weights import own_weights
from models.weights.own_file import OwnFile, open_own
from tests.support.checkpoints import SAVED, finetuned, rounded, saved

PICTURES = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(3))
ReadSaved = Callable[[str], OwnFile]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> ReadSaved:
    """The fine-tuned network's files, each converted once."""
    folder, known = tmp_path_factory.mktemp("saved"), dict[str, OwnFile]()

    def open_saved(name: str) -> OwnFile:
        if name not in known:
            known[name] = open_own(saved(name, folder))
        return known[name]

    return open_saved


def expected_of(name: str) -> torch.Tensor:
    """PyTorch's own logits, in single precision from the values that the file holds."""
    model = rounded() if name.startswith("half") else finetuned()
    with torch.inference_mode():
        return model(PICTURES)


@pytest.mark.parametrize("name", [name for name in SAVED if name != "whole.pth"])
def test_a_checkpoint_is_read_however_it_was_saved_and_gives_pytorchs_own_logits(name: str, opened: ReadSaved) -> None:
    own = own_weights(opened(name), "resnet18")
    loaded = catalog.load(own.network, own.source, "cpu")
    with torch.inference_mode():
        found = loaded.module(PICTURES)
    expected = expected_of(name)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
    said = own.source.notes[0]
    assert said.startswith(f"{name}: ")
    assert SAVED[name][1] in said
    assert "num_classes = 5, as " in said
    assert loaded.classes == (tuple("abcde") if name == "lightning.ckpt" else tuple(f"class {i}" for i in range(5)))


@pytest.mark.parametrize("network", ["torchvision:resnet18", "timm:resnet18"])
def test_networks_of_other_libraries_take_files_too(network: str, opened: ReadSaved) -> None:
    own = own_weights(opened("plain.SAFETENSORS"), network)
    loaded = catalog.load(own.network, own.source, "cpu")
    with torch.inference_mode():
        found = loaded.module(PICTURES)
    assert (found - expected_of("plain")).abs().max() <= 1e-5 * found.abs().max()


def run(*arguments: str) -> int:
    return main(["features", *arguments])


def test_a_whole_pickled_network_is_refused_with_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved("whole.pth", tmp_path)
    assert run("resnet18", "cat", "--layer", "conv1", "--weights", str(path), "--out", str(tmp_path / "o.png")) == 2
    assert capsys.readouterr().err == (
        "error: whole.pth is a whole pickled network, which runs code when it is opened; save its tensors alone: "
        "torch.save(model.state_dict(), NEW).\n"
    )


def test_a_file_with_another_head_loads_in_part_when_the_person_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = finetuned().state_dict()
    state |= {"fc.1.weight": state.pop("fc.weight"), "fc.1.bias": state.pop("fc.bias")}
    torch.save(state, tmp_path / "head.pth")
    arguments = ["resnet18", "cat", "--layer", "conv1", "--weights", str(tmp_path / "head.pth"), "--set",
                 "image_size=64", "--out", str(tmp_path / "o.png")]  # fmt: skip
    assert run(*arguments[:6], *arguments[8:]) == 2
    refused = capsys.readouterr().err
    assert "head.pth holds the weights of another network: fc.weight (1000×512) is in the network" in refused
    assert "--partial takes the 120 that fit" in refused
    assert run(*arguments, "--partial") == 0
    said = capsys.readouterr().err
    assert "head.pth kept; new: fc (1 of 41 layers)." in said
    assert "Left out of the file: fc.1.bias, fc.1.weight." in said
    found = np.load(tmp_path / "o.npy")
    assert found.shape == (64, 32, 32)


def test_a_file_names_the_classes_and_one_of_another_count_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["occlude", "zfnet_mini", "cat", "--window", "32", "--stride", "32", "--out", str(tmp_path / "out")]
    (tmp_path / "names.txt").write_text("\n".join(f"kind {i}" for i in range(12)))
    assert main([*command, "--classes", str(tmp_path / "names.txt"), "--target", "kind 3"]) == 0
    assert json.loads(capsys.readouterr().out)["target"] == "kind 3"
    (tmp_path / "names.txt").write_text("a\nb\n")
    assert main([*command, "--classes", str(tmp_path / "names.txt")]) == 2
    assert capsys.readouterr().err == "error: names.txt names 2 classes, and the network tells 12 apart.\n"
    assert main([*command, "--classes", str(tmp_path / "gone.txt")]) == 2
    assert "gone.txt: No such file" in capsys.readouterr().err


def test_partial_without_a_file_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run("zfnet_mini", "cat", "--layer", "features.0", "--partial", "--out", str(tmp_path / "o.png")) == 2
    assert "--partial is for a file of weights, and --weights is not given." in capsys.readouterr().err
