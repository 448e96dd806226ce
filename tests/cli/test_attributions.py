"""The commands that lead from an output back to the picture: what they write, and what they refuse first."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import explorer
from explorer.analysis.attribution_settings import ATTRIBUTION_METHODS
from explorer.analysis.deconvnet_rules import BackwardMethod
from explorer.images import codec, samples
from explorer.networks import catalog
from tests.cli.test_describe import run

PROJECT = ["deconvnet", "zfnet_mini", "cat", "--layer", "features.8"]


def loaded() -> tuple[torch.nn.Module, torch.Tensor]:
    network = catalog.load(catalog.find("zfnet_mini"), catalog.weights_source("zfnet_mini", None), "cpu")
    return network.module, network.input(codec.load(samples.sample("cat")).pixels)


@pytest.mark.parametrize("method", ["deconvnet", "guided", "gradient"])
def test_deconvnet_writes_the_signal_a_picture_and_a_summary(capsys, tmp_path: Path, method: BackwardMethod) -> None:
    options = ["--channel", "7", "--position", "2,3", "--method", method, "--out", str(tmp_path)]
    code, out, err = run(capsys, *PROJECT, *options)
    summary = json.loads(out)
    assert code == 0
    assert err.startswith("prepared: ")
    assert json.loads((tmp_path / "summary.json").read_text()) == summary
    assert sorted(path.name for path in tmp_path.iterdir()) == ["projection.npy", "projection.png", "summary.json"]
    assert (summary["layer"], summary["channel"], summary["position"]) == ("features.8", 7, [2, 3])
    module, image = loaded()
    expected = explorer.deconvnet(module, image, "features.8", 7, (2, 3), method=method)
    np.testing.assert_allclose(np.load(tmp_path / "projection.npy"), expected.numpy(), rtol=1e-5, atol=1e-7)
    picture = np.array(Image.open(tmp_path / "projection.png"))
    assert picture.shape == (512, 512, 3)
    assert (picture[-1, -1] == 128).all(), "gray where nothing is seen"


def test_the_steps_are_pictures_and_those_of_an_earlier_run_go(capsys, tmp_path: Path) -> None:
    layers = json.loads(run(capsys, *PROJECT, "--steps", "--out", str(tmp_path))[1])["steps"]
    assert layers[0] == "features.8"
    assert layers[-1] == "input"
    assert len(list(tmp_path.glob("step_*.png"))) == len(layers) > 5
    assert run(capsys, *PROJECT, "--out", str(tmp_path))[0] == 0
    assert not list(tmp_path.glob("step_*.png"))


def test_a_rule_can_be_changed_and_is_told(capsys, tmp_path: Path) -> None:
    options = ["--rule", "relu=gradient", "--rule", "batch_norm=pass", "--out", str(tmp_path)]
    rules = json.loads(run(capsys, *PROJECT, *options)[1])["rules"]
    assert rules["relu"].startswith("gradient: ")
    assert rules["batch_norm"].startswith("pass: ")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--rule", "conv=pass"], "'conv' is no layer with a choice"),
        (["--rule", "relu=hold"], "'relu' cannot have 'hold'"),
        (["--rule", "relu"], "'relu' is not of the form KIND=RULE"),
        (["--channel", "9999"], "channel=9999"),
        (["--position", "99,0"], "position=(99, 0)"),
        (["--position", "9"], "'9' is not of the form ROW,COLUMN"),
        (["--layer", "features.99"], "features.99"),
    ],
)
def test_deconvnet_refuses_in_one_line(capsys, tmp_path: Path, options: list[str], says: str) -> None:
    code, out, err = run(capsys, *PROJECT, *options, "--out", str(tmp_path))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert says in err
    assert not list(tmp_path.iterdir())


def test_attribute_writes_each_method_and_judges_it(capsys, tmp_path: Path) -> None:
    options = ["--method", "gradcam", "--method", "saliency", "--judge", "--target", "cat", "--out", str(tmp_path)]
    code, out, _ = run(capsys, "attribute", "zfnet_mini", "cat", *options)
    summary = json.loads(out)
    assert code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*summary["files"], "summary.json"])
    assert summary["files"] == ["gradcam.npy", "gradcam.png", "saliency.npy", "saliency.png"]
    assert summary["target"] == "cat"
    assert 0.5 < summary["probability"] <= 1
    for method, told in summary["methods"].items():
        values = np.load(tmp_path / f"{method}.npy")
        assert values.shape == (64, 64)
        assert told["greatest"] == pytest.approx(float(values.max()))
        for kind in ("deletion", "insertion"):
            assert len(told[kind]["shares"]) == len(told[kind]["probabilities"]) == 33
            assert 0 < told[kind]["area"] < 1
        assert told["infidelity"] >= 0
        assert told["sensitivity"] > 0
        assert np.array(Image.open(tmp_path / f"{method}.png")).shape == (512, 512, 3)
    assert summary["methods"]["gradcam"]["deletion"]["area"] < summary["probability"]


def test_a_method_that_is_not_defined_is_told_beside_the_others(capsys, tmp_path: Path) -> None:
    command = ["attribute", "mobilenet_v3_small", "cat", "--weights", "random", "--out", str(tmp_path)]
    code, out, _ = run(capsys, *command, "--method", "deeplift", "--method", "gradcam")
    assert code == 0
    assert list(json.loads(out)["methods"]) == ["gradcam"]
    assert "deeplift has no rule for" in json.loads(out)["refused"]["deeplift"]
    code, out, err = run(capsys, *command, "--method", "deeplift")
    assert (code, out) == (2, "")
    assert err.startswith("error: deeplift has no rule for")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--method", "magic"], "invalid choice: 'magic'"),
        (["--target", "zebra"], "zebra"),
        (["--layer", "fc.99"], "fc.99"),
        (["--samples", "0"], "samples=0"),
        (["--noise", "much"], "much"),
    ],
)
def test_attribute_refuses_in_one_line(capsys, tmp_path: Path, options: list[str], says: str) -> None:
    given = [] if "--method" in options else ["--method", "gradcam"]
    code, out, err = run(capsys, "attribute", "zfnet_mini", "cat", *given, *options, "--out", str(tmp_path / "out"))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert says in err
    assert not (tmp_path / "out").exists()


def test_the_command_line_knows_every_method(capsys, tmp_path: Path) -> None:
    err = run(capsys, "attribute", "zfnet_mini", "cat", "--method", "magic", "--out", str(tmp_path))[2]
    assert all(method in err for method in ATTRIBUTION_METHODS)
