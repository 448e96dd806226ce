"""The command line as a person types it: output, exit codes, one line for bad input and never a traceback."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from torchvision.models import get_model_weights

import models
from explorer.cli import main
from tests.support.places import ROOT


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one command."""
    code = main.main(argv)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def described(capsys: pytest.CaptureFixture[str], *argv: str) -> dict:
    code, out, err = run(capsys, "describe", *argv, "--json")
    assert code == 0, err
    return json.loads(out)


def test_list_names_every_preset(capsys):
    code, out, _ = run(capsys, "list")
    assert code == 0
    assert set(models.presets()) <= set(out.split())


def test_list_as_json(capsys):
    _, out, _ = run(capsys, "list", "--json")
    entries = json.loads(out)
    assert [name for entry in entries for name in entry["presets"]] == models.presets()
    assert [entry["year"] for entry in entries] == sorted(entry["year"] for entry in entries)


@pytest.mark.parametrize(("name", "params", "size"), [("resnet50", 25_557_032, 427), ("vgg16", 138_357_544, 212)])
def test_describe_gives_the_published_figures(capsys, name, params, size):
    found = described(capsys, name)
    assert found["params"] == params
    assert found["receptive_field"]["size"] == [size, size]
    assert found["receptive_field"]["is_global"] is False
    assert sum(layer["params"] for layer in found["layers"]) == params
    assert sum(layer["macs"] for layer in found["layers"]) == found["macs"]


@pytest.mark.parametrize("name", ["densenet121", "efficientnet_b0", "convnext_tiny", "regnet_y_400mf"])
def test_describe_agrees_with_torchvisions_own_figures(capsys, name):
    found = described(capsys, f"torchvision:{name}")
    meta = get_model_weights(name).DEFAULT.meta  # type: ignore[attr-defined]
    assert found["params"] == meta["num_params"]
    assert round(found["macs"] / 1e9, 3) == meta["_ops"]
    assert found["unknown"] == []


def test_describe_squeeze_excitation_gives_the_global_and_the_local_field(capsys):
    found = described(capsys, "torchvision:efficientnet_b0")
    assert found["receptive_field"]["is_global"] is True
    assert found["local_receptive_field"]["is_global"] is False
    assert found["local_receptive_field"]["stride"] == [32, 32]


def test_describe_timm_and_a_block(capsys):
    assert described(capsys, "timm:resnet18")["params"] == 11_689_512
    block = described(capsys, "block:vgg", "--set", "depth=3", "--input", "64x20x30")
    assert block["layers"][-1]["output_shape"] == [1, 128, 10, 15]


def test_describe_says_of_each_field_whether_it_is_exact(capsys):
    found = described(capsys, "nlnet_mini")
    inexact = [layer["id"] for layer in found["layers"] if layer["certainty"] != "exact"]
    assert found["bounded"] == inexact == ["layer3.1.affinity.matmul"]
    assert found["unknown"] == []


def test_the_table_marks_upper_bounds_and_its_last_line_counts_them(capsys):
    _, out, _ = run(capsys, "describe", "nlnet_mini")
    rows = {line.split()[0]: line for line in out.splitlines() if line}
    assert rows["layer3.1.affinity.matmul"].endswith("  ≤ 64×64")
    assert not any("≤" in line for name, line in rows.items() if name != "layer3.1.affinity.matmul")
    assert out.splitlines()[-1] == "receptive fields are upper bounds in 1 layer (layer3.1.affinity.matmul)"
    assert "upper bound" not in run(capsys, "describe", "resnet_mini")[1]


def test_blocks_are_compared_on_one_input_and_matched_to_the_first(capsys):
    names = ("block:residual_bottleneck", "block:inverted_residual", "block:mbconv")
    code, out, _ = run(capsys, "compare", *names, "--input", "64x28x28", "--match", "macs", "--json")
    first, *others = json.loads(out)["blocks"]
    assert code == 0
    assert first["match"] is None
    assert first["output_shape"] == [1, 64, 28, 28]
    for other in others:
        assert other["match"]["within"]
        assert other["match"]["wanted"] == first["macs"]
        assert other["match"]["found"] == other["macs"]
        assert abs(other["macs"] / first["macs"] - 1) <= 0.01
    code, out, _ = run(capsys, "compare", *names[:2])
    assert code == 0
    assert all(name in out for name in names[:2])
    assert "input 256×56×56" in out


def test_knobs_change_the_network(capsys):
    deeper = described(capsys, "vgg16", "--set", "depths=2,2,3,3,4", "--set", "norm=batch")
    assert deeper["receptive_field"]["size"] == [244, 244]  # one more 3×3 at stride 16: 212 + 32


def test_the_table_shows_every_layer_and_the_sums(capsys):
    code, out, _ = run(capsys, "describe", "lenet5")
    assert code == 0
    assert "61,706 parameters" in out
    assert len(out.splitlines()) > len(described(capsys, "lenet5")["layers"])


BAD = {
    "unknown preset": (["describe", "resnet49"], "resnet49"),
    "unknown source": (["describe", "hub:resnet50"], "hub:resnet50"),
    "unknown torchvision": (["describe", "torchvision:resnet49"], "the nearest is torchvision:resnet"),
    "unknown timm": (["describe", "timm:resnet49"], "timm:resnet49"),
    "unknown block": (["describe", "block:nope"], "nope"),
    "unknown knob": (["describe", "vgg16", "--set", "deths=1,1"], "did you mean depths"),
    "value out of range": (["describe", "vgg16", "--set", "kernel=4"], "kernel=4"),
    "value of another type": (["describe", "vgg16", "--set", "depths=a,b"], "depths='a,b'"),
    "an unknown block in a stage": (
        ["describe", "anynet_mini", "--set", 'stages=[{"block":"nosuch"}]'],
        "stages[0]: block='nosuch' is not one of conv_norm_act, ",
    ),
    "an unknown knob in a stage": (["describe", "anynet_mini", "--set", 'stages=[{"dept":1}]'], "did you mean depth"),
    "knobs that clash": (["describe", "vgg16", "--set", "depths=1,2"], "depths=(1, 2)"),
    "image too small": (["describe", "vgg16", "--set", "image_size=8"], "image_size=8"),
    "no equals sign": (["describe", "vgg16", "--set", "depths"], "KNOB=VALUE"),
    "input of two sizes": (["describe", "vgg16", "--input", "3x224"], "'3x224'"),
    "input of zero": (["describe", "vgg16", "--input", "3x0x224"], "'3x0x224'"),
    "input of other channels": (["describe", "vgg16", "--input", "4x224x224"], "in_channels=3 cannot read"),
    "compare a network": (["compare", "block:fire", "resnet18"], "'resnet18' is not block:NAME: blocks"),
    "compare an unknown block": (["compare", "block:fyre"], "did you mean 'fire'"),
    "compare by an unknown figure": (["compare", "block:fire", "--match", "speed"], "speed"),
    "compare on refused channels": (["compare", "block:shuffle_unit_v2", "--input", "7x8x8"], "in_channels=7"),
    "knobs of a foreign network": (["describe", "torchvision:vgg16", "--set", "norm=batch"], "norm"),
    "unknown command": (["explain"], "explain"),
    "unknown option": (["list", "--yaml"], "--yaml"),
    "no picture": (["features", "zfnet_mini", "nowhere.png", "--layer", "conv1", "--out", "x.png"], "nowhere.png"),
    "a picture that is none": (
        ["features", "zfnet_mini", "Makefile", "--layer", "features.0", "--out", "x.png"],
        "Makefile",
    ),
    "unknown layer": (["features", "zfnet_mini", "cat", "--layer", "conv9", "--out", "x.png"], "conv9"),
    "output that is no PNG": (["features", "zfnet_mini", "cat", "--layer", "features.0", "--out", "x.gif"], "x.gif"),
    "output nowhere": (["features", "zfnet_mini", "cat", "--layer", "features.0", "--out", "no/x.png"], "no/x.png"),
    "a block with a picture": (["features", "block:fire", "cat", "--layer", "x", "--out", "x.png"], "block:fire"),
    "weights that torchvision lacks": (
        ["occlude", "torchvision:vgg11", "cat", "--weights", "IMAGENET1K_V2", "--out", "/tmp"],
        "'IMAGENET1K_V2' of torchvision:vgg11 is not one of random, IMAGENET1K_V1.",
    ),
    "a file that is not there for a foreign network": (
        ["features", "timm:resnet18", "cat", "--weights", "mine.safetensors", "--layer", "x", "--out", "x.png"],
        "mine.safetensors cannot be read",
    ),
    "unknown weights": (["features", "vgg16", "cat", "--weights", "best", "--layer", "x", "--out", "x.png"], "'best'"),
    "weights that are not there": (
        ["features", "vgg_mini", "cat", "--weights", "no.safetensors", "--layer", "x", "--out", "x.png"],
        "no.safetensors",
    ),
    "unknown device": (
        ["features", "vgg_mini", "cat", "--device", "tpu", "--layer", "x", "--out", "x.png"],
        "device='tpu'",
    ),
    "a picture of two channels": (
        ["features", "zfnet_mini", "cat", "--set", "in_channels=2", "--layer", "features.0", "--out", "x.png"],
        "in_channels=2",
    ),
    "window too large": (["occlude", "vgg_mini", "cat", "--window", "65", "--out", "/tmp"], "window=65"),
    "stride of zero": (["occlude", "vgg_mini", "cat", "--stride", "-1", "--out", "/tmp"], "stride"),
    "unknown class": (["occlude", "vgg_mini", "cat", "--target", "dragon", "--out", "/tmp"], "'dragon'"),
    "a huge class": (["occlude", "vgg_mini", "cat", "--target", "9" * 5000, "--out", "/tmp"], "--target '9"),
    "a huge window": (["occlude", "vgg_mini", "cat", "--window", "9" * 5000, "--out", "/tmp"], "--window: '9"),
    "a seed beyond 64 bits": (
        ["features", "vgg_mini", "cat", "--seed", "9" * 23, "--layer", "features.0", "--out", "x.png"],
        f"--seed: '{'9' * 23}' is not a whole number from 0 to 2,147,483,647.",
    ),
    "a negative seed": (["occlude", "vgg_mini", "cat", "--seed", "-1", "--out", "/tmp"], "--seed: '-1'"),
    "a seed that is no number": (["train", "vgg_mini", "--seed", "many"], "--seed: 'many' is not a whole"),
    "unknown fill": (["occlude", "vgg_mini", "cat", "--fill", "red", "--out", "/tmp"], "'red'"),
    "train nothing": (["train", "nope"], "nope"),
    "train for no epoch": (["train", "vgg_mini", "--epochs", "0"], "epochs=0"),
}


@pytest.mark.parametrize(("argv", "named"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_one_line_and_exit_code_2(capsys, argv, named):
    code, out, err = run(capsys, *argv)
    assert code == 2
    assert out == ""
    assert err.startswith("error: "), err
    assert err.count("\n") == 1, err
    assert named in err
    assert "Traceback" not in err


def test_a_reader_that_stops_early_causes_no_error():
    command = f"{sys.executable} -m explorer describe torchvision:densenet121 | head -1"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0
    assert done.stderr == ""


def test_a_missing_extra_is_named_with_the_command_that_installs_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    assert main.main(["describe", "timm:resnet18"]) == 2
    assert "pip install 'cnn-explorer[timm]'" in capsys.readouterr().err
