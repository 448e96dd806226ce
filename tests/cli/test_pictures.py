"""The commands that run a picture through a network: what they write, and what they refuse first."""

from __future__ import annotations

import errno
import json
import resource
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

import models
from explorer.analysis.occluder import square_boxes
from explorer.analysis.occlusion import OcclusionMap
from explorer.cli.pictures import OPACITY, encoded_maps, summarise
from explorer.figures import occlusion as figures
from explorer.figures.raster import INVALID
from explorer.images import codec
from explorer.images.preprocess import resize
from explorer.networks import catalog
from explorer.run import device
from models.weights.expected_input import IMAGENET_MEAN, IMAGENET_STD
from tests.cli.test_describe import described, run
from tests.support.places import SAMPLES, WEIGHTS

SHIPPED = WEIGHTS / "zfnet_mini.safetensors"


def test_a_network_of_40_gb_is_described_but_refused_before_it_is_built(capsys, tmp_path, monkeypatch):
    knobs = ["--set", "fc_widths=65536,65536", "--set", "head_size=14"]
    assert described(capsys, "vgg16", *knobs)["weight_bytes"] > 40e9
    places, build = list[str](), models.build

    def recorded(spec: Any, *, device: str = "cpu", **options: Any) -> nn.Module:
        places.append(device)
        return build(spec, device=device, **options)

    monkeypatch.setattr(models, "build", recorded)
    monkeypatch.setattr(device, "free_bytes", lambda _: 16 * 10**9)
    peak_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    out = tmp_path / "x.png"
    code, _, err = run(capsys, "features", "vgg16", "cat", "--layer", "features.0", "--out", str(out), *knobs)
    assert code == 2
    assert "43." in err
    assert "16.0 GB" in err
    assert "vgg16" in err
    assert set(places) == {"meta"}
    assert not out.exists()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak_before < 200_000  # KiB


@pytest.mark.parametrize(
    ("name", "knobs", "cut_bytes", "says"),
    [
        ("zfnet_mini", (), 1, f"is cut short: it has {SHIPPED.stat().st_size - 1:,} of {SHIPPED.stat().st_size:,}"),
        ("zfnet_mini", (), SHIPPED.stat().st_size - 100, "is cut short: its header alone has"),
        ("resnet_mini", ("--set", "num_classes=12"), 0, "more tensors differ"),  # as it has them anyway
        ("resnet_mini", ("--set", "num_classes=11"), 0, "none of its tensors has the name and shape"),
        ("resnet_mini", (), 0, "more tensors differ"),
    ],
)
def test_weights_cut_short_or_of_another_shape_are_one_line(capsys, tmp_path, name, knobs, cut_bytes, says):
    path = tmp_path / "mine.safetensors"
    content = SHIPPED.read_bytes()
    path.write_bytes(content[: len(content) - cut_bytes])
    out = tmp_path / "x.png"
    options = ("--weights", str(path), "--layer", "features.0", "--out", str(out), *knobs)
    code, text, err = run(capsys, "features", name, "cat", *options)
    assert (code, text, out.exists()) == (2, "", False)
    assert err.startswith("error: mine.safetensors")
    assert says in err
    assert err.count("\n") == 1


def test_features_writes_a_picture_and_the_values(capsys, tmp_path):
    out = tmp_path / "maps.png"
    code, text, err = run(capsys, "features", "zfnet_mini", "cat", "--layer", "features.4", "--out", str(out))
    assert code == 0, err
    maps = np.load(out.with_suffix(".npy"))
    module = catalog.load(catalog.find("zfnet_mini"), catalog.weights_source("zfnet_mini"))
    pixels = codec.load(SAMPLES / "cat.png").pixels
    features = module.module.get_submodule("features")
    assert isinstance(features, nn.Sequential)
    expected = features[:5](module.input(pixels))[0].detach().cpu().numpy()
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-5)
    assert codec.load(out).pixels.ndim == 3
    assert "48 maps of 16×16" in text


@pytest.mark.parametrize(("weights", "title"), [((), "Trained here"), (("--weights", str(SHIPPED)), SHIPPED.name)])
def test_changed_knobs_keep_the_trained_weights_that_fit_and_say_which_layers_are_new(capsys, tmp_path, weights, title):
    out = tmp_path / "maps.png"
    knobs = ("--set", "activation=silu", "--set", "num_classes=5", "--seed", "4")
    code, _, err = run(capsys, "features", "zfnet_mini", "cat", "--layer", "features.4", "--out", str(out), *knobs,
                       *weights)  # fmt: skip
    assert code == 0, err
    module = models.build("zfnet_mini", activation="silu")
    module.load_state_dict({key: value for key, value in load_file(SHIPPED).items() if "classifier.6" not in key},
                           strict=False)  # fmt: skip
    image = catalog.preprocessing(catalog.weights_source("zfnet_mini"), models.spec("zfnet_mini")).tensor(
        codec.load(SAMPLES / "cat.png").pixels
    )
    with torch.inference_mode():
        expected = cast("nn.Sequential", module.get_submodule("features"))[:5](image)[0]
    np.testing.assert_allclose(np.load(out.with_suffix(".npy")), expected.numpy(), rtol=1e-4, atol=1e-5)
    (told,) = [line for line in err.splitlines() if " kept; new: " in line]
    assert told.startswith(f"{title} kept; new: classifier.6 (1 of 13 layers). What is new is untrained, from seed 4.")
    assert ("accuracy" in told) == (title == "Trained here"), "what a file's accuracy is nobody said"


@pytest.mark.parametrize(("name", "channels"), [("zfnet_mini", 1), ("lenet5", 3)])
def test_features_of_a_preset_with_other_channels(capsys, tmp_path, name, channels):
    layer = catalog.find(name).analysis().layers[1].id
    knobs = ["--set", f"in_channels={channels}", "--layer", layer]
    code, _, err = run(capsys, "features", name, "cat", *knobs, "--out", str(tmp_path / "x.png"))
    assert code == 0, err
    assert np.isfinite(np.load(tmp_path / "x.npy")).all()


def test_a_layer_may_be_a_module(capsys, tmp_path):
    for name in ("features", "features.17"):
        options = ("--layer", name, "--out", str(tmp_path / f"{name}.png"))
        assert run(capsys, "features", "zfnet_mini", "cat", *options)[0] == 0
    assert np.array_equal(np.load(tmp_path / "features.npy"), np.load(tmp_path / "features.17.npy"))
    code, _, err = run(capsys, "features", "resnet_mini", "cat", "--layer", "layer33", "--out", str(tmp_path / "x.png"))
    assert (code, err.count("\n")) == (2, 1)
    assert "layer='layer33' is not a layer of this network; the nearest are layer3" in err


OCCLUDE = ["occlude", "zfnet_mini", "--stride", "24"]


def test_occlude_writes_the_maps_and_a_summary(capsys, tmp_path):
    code, out, err = run(capsys, "occlude", "zfnet_mini", "cat", "--window", "16", "--stride", "8", "--layer",
                         "features.14", "--out", str(tmp_path))  # fmt: skip
    assert code == 0, err
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary == json.loads(out)
    probability = np.load(tmp_path / "probability.npy")
    assert list(probability.shape) == summary["positions"] == [7, 7]
    assert summary["lowest_probability"] == probability.min() == probability[tuple(summary["lowest_position"])]
    assert summary["target"] == summary["predicted"] == "cat"
    assert summary["top_class_colours"] == {"cat (49)": figures.CLASS_COLOURS[0]}
    assert np.load(tmp_path / "top_class.npy").shape == np.load(tmp_path / "activation.npy").shape == (7, 7)
    assert {*summary["files"], "summary.json"} == {path.name for path in tmp_path.iterdir()}
    drawn = {name: codec.load(tmp_path / name).pixels for name in summary["files"] if name.endswith(".png")}
    assert set(drawn) == {"probability.png", "overlay.png", "top_class.png", "activation.png"}
    assert all(np.ptp(picture) > 0 for picture in drawn.values())


def test_occlude_also_sums_a_chosen_map(capsys, tmp_path):
    asked = [*OCCLUDE, "cat", "--layer", "features.14", "--out", str(tmp_path), "--channel"]
    code, out, _ = run(capsys, *asked, "5")
    summary = json.loads(out)
    assert (code, summary["channel"]) == (0, 5)
    assert summary["baseline_of_channel"] < summary["baseline_activation"]
    assert {"activation.npy", "channel.npy", "channel.png"} <= {path.name for path in tmp_path.iterdir()}
    sums = [np.load(tmp_path / f"{name}.npy") for name in ("activation", "channel")]
    assert sums[0].shape == sums[1].shape
    assert not np.allclose(*sums)
    code, _, err = run(capsys, *asked, "900")
    assert (code, err.splitlines()[-1]) == (2, "error: channel=900 is not a map: they go from 0 to 63.")


def test_without_a_layer_no_activation_is_written_and_that_of_an_earlier_run_goes(capsys, tmp_path):
    for name in ("activation.npy", "activation.png", "mine.png"):
        (tmp_path / name).write_bytes(b"old")
    code, out, _ = run(capsys, "occlude", "zfnet_mini", "cat", "--stride", "24", "--out", str(tmp_path))
    assert code == 0
    files = {"overlay.png", "probability.npy", "probability.png", "top_class.npy", "top_class.png"}
    assert set(json.loads(out)["files"]) == files
    assert {path.name for path in tmp_path.iterdir()} == files | {"summary.json", "mine.png"}


FEATURES = ["features", "zfnet_mini", "--layer", "features.4"]


@pytest.mark.parametrize(("command", "out", "vouches", "step"), [
    *((OCCLUDE, "", "summary.json", step) for step in (0, 3, 5, 6)),
    *((FEATURES, "x.png", "x.png", step) for step in (0, 1, 2)),
])  # fmt: skip
def test_a_disk_that_fails_half_way_leaves_no_summary_beside_other_files(
    command, out, vouches, step, capsys, tmp_path, monkeypatch
):
    def contents():
        return {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    assert run(capsys, *command, "cat", "--out", str(tmp_path / out))[0] == 0
    old, replace, done = contents(), Path.replace, []

    def fails(path: Path, target: Path) -> Path:
        if len(done) == step:
            raise OSError(errno.EIO, "Input/output error", str(target))
        done.append(target)
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", fails)
    code, text, err = run(capsys, *command, "boat", "--out", str(tmp_path / out))
    found = contents()
    if code == 0:
        assert found.keys() == old.keys()
        assert all(found[name] != content for name, content in old.items())
    else:
        assert (text, err.count("\n")) == ("", 1)
        assert err.startswith(f"error: {tmp_path}")
        assert vouches not in found
        assert found.keys() <= old.keys()


def test_the_most_probable_classes_are_drawn_in_the_pages_colours_where_the_squares_were():
    top_class = np.array([[0, 1], [1, -1]])
    found = OcclusionMap(np.full((2, 2), 0.5), top_class, np.full((2, 2), 0.5), None, np.full((2, 2), True),
                         square_boxes((8, 8), 4, 4), 0, 0.5, 0)  # fmt: skip
    files = encoded_maps(found, np.zeros((8, 8, 3), np.uint8))
    assert sorted(files) == ["overlay.png", "probability.npy", "probability.png", "top_class.npy", "top_class.png"]
    picture = codec.load(files["top_class.png"]).pixels
    side = len(picture)
    quarters = picture[side // 4 :: side // 2, side // 4 :: side // 2].reshape(4, 3)
    wanted = [figures.CLASS_COLOURS[0], figures.CLASS_COLOURS[1], figures.CLASS_COLOURS[1]]
    colours = [*(tuple(bytes.fromhex(colour[1:])) for colour in wanted), INVALID]
    assert np.abs(quarters - np.array(colours) * OPACITY).max() <= 0.5


def test_occlude_makes_no_folder_for_a_network_or_a_class_that_is_not_there(capsys, tmp_path):
    for argv in (["zfnet_nimi", "cat"], ["zfnet_mini", "cat", "--target", "dragon"]):
        assert run(capsys, "occlude", *argv, "--out", str(tmp_path / "out"))[0] == 2
    assert list(tmp_path.iterdir()) == []


def test_a_summary_of_outputs_that_are_not_finite_names_no_class_and_is_valid_json():
    nan = np.full((2, 2), np.nan)
    found = OcclusionMap(nan, np.full((2, 2), -1), nan, None, np.full((2, 2), True), square_boxes((4, 4), 2, 2), 0,
                         0.5, 1)  # fmt: skip
    summary = summarise(found, ("bird", "boat", "car"))
    json.dumps(summary, allow_nan=False)
    assert summary["predicted_at_lowest"] is summary["lowest_position"] is summary["lowest_box"] is None


def test_occlude_keeps_within_memory_or_says_what_it_takes(capsys, tmp_path):
    for memory, said in {
        "5kB": "memory_bytes=5000 is less than what one position takes: ",
        "much": "'much' is not",
    }.items():
        code, out, err = run(capsys, *OCCLUDE, "cat", "--memory", memory, "--out", str(tmp_path))
        assert (code, out) == (2, "")
        assert said in err
    assert run(capsys, *OCCLUDE, "cat", "--memory", "80MB", "--out", str(tmp_path))[0] == 0


def test_occlude_takes_a_class_by_name_or_number(capsys, tmp_path):
    summaries = []
    for target in ("boat", "1"):
        command = ["occlude", "zfnet_mini", "cat", "--stride", "24", "--target", target, "--out", str(tmp_path)]
        summaries.append(json.loads(run(capsys, *command)[1]))
    assert summaries[0] == summaries[1]
    assert summaries[0]["target"] == "boat"


# Networks of other libraries, with a layer, and how their pictures are resized.
NEEDS_TIMM = pytest.mark.skipif(find_spec("timm") is None, reason="timm is not installed")
FOREIGN = [
    ("torchvision:squeezenet1_1", "features.0", "bilinear"),
    pytest.param("timm:mobilenetv3_small_050", "conv_stem", "bicubic", marks=NEEDS_TIMM),
]


@pytest.mark.parametrize(("name", "layer", "interpolation"), FOREIGN)
def test_features_of_a_foreign_network_are_those_that_it_computes_itself(capsys, tmp_path, name, layer, interpolation):
    options = ("--seed", "3", "--layer", layer, "--out", str(tmp_path / "x.png"))
    code, _, err = run(capsys, "features", name, "cat", *options)
    assert (code, err.splitlines()[-1]) == (0, f"{name} was run with random weights.")
    pixels = codec.load(SAMPLES / "cat.png").pixels
    picture = torch.from_numpy(resize(pixels, (224, 224), "crop", 256, interpolation)).permute(2, 0, 1) / 255
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    with torch.inference_mode():
        expected = built(name, seed=3).get_submodule(layer)(((picture - mean) / std)[None])[0]
    np.testing.assert_allclose(np.load(tmp_path / "x.npy"), expected.numpy(), rtol=1e-4, atol=1e-5)


def built(name: str, seed: int) -> nn.Module:
    """The network as its library makes it after this seed."""
    library, _, inner = name.partition(":")
    torch.manual_seed(seed)
    if library == "torchvision":
        return torchvision.models.get_model(inner).eval()
    return import_module("timm").create_model(inner).eval()


@pytest.mark.parametrize(("name", "layer", "_"), FOREIGN)
def test_occlude_maps_a_foreign_network_by_number_of_class(capsys, tmp_path, name, layer, _):
    options = ("--window", "112", "--stride", "112", "--target", "7", "--layer", layer, "--out", str(tmp_path))
    code, out, err = run(capsys, "occlude", name, "cat", *options)
    assert (code, err.splitlines()[-1]) == (0, f"{name} was run with random weights.")
    summary = json.loads(out)
    assert summary["target"] == "class 7"
    assert summary["positions"] == [2, 2]
    assert np.isfinite(np.load(tmp_path / "probability.npy")).all()


@pytest.mark.parametrize("name", ["squeezenet1_1", "googlenet", "efficientnet_b0", "swin_t"])
def test_published_weights_of_torchvision_bring_their_preprocessing_and_classes(name):
    source = catalog.weights_source(f"torchvision:{name}", "IMAGENET1K_V1")
    published = torchvision.models.get_model_weights(name)["IMAGENET1K_V1"]
    transform, found = published.transforms(), source.preprocessing
    assert (found.resize_px, found.crop_px) == (transform.resize_size[0], transform.crop_size[0])
    assert found.interpolation == transform.interpolation.value
    assert source.url == published.url
    assert source.classes == tuple(published.meta["categories"])
    if name != "googlenet":  # its weights expect pixels in [-1, 1], to which torchvision turns these itself
        assert (found.mean, found.std) == (tuple(transform.mean), tuple(transform.std))


def test_published_weights_run_in_torchvisions_network(capsys, tmp_path, monkeypatch):
    theirs = torchvision.models.squeezenet1_1().eval()
    source = catalog.weights_source("torchvision:squeezenet1_1", "IMAGENET1K_V1")
    save_file(theirs.state_dict(), path := tmp_path / "cached.safetensors")
    monkeypatch.setattr("models.weights.sources.fetch", lambda url, *_: path)
    options = ("--weights", source.name, "--stride", "112", "--window", "112", "--out", str(tmp_path))
    code, out, err = run(capsys, "occlude", "torchvision:squeezenet1_1", "cat", *options)
    assert code == 0, err
    assert err.startswith(
        "prepared: shorter side to 256 px, bilinear; centre 224×224; ImageNet mean and std; from: publ"
    )
    picture = Image.open(SAMPLES / "cat.png").convert("RGB")
    transform = torchvision.models.SqueezeNet1_1_Weights.IMAGENET1K_V1.transforms()
    with torch.inference_mode():
        answer = theirs(transform(picture)[None]).softmax(1)[0]
    summary = json.loads(out)
    assert source.classes is not None
    assert summary["predicted"] == source.classes[int(answer.argmax())]
    assert summary["baseline_probability"] == pytest.approx(float(answer.max()), rel=1e-2)


def test_occlude_says_how_probabilities_were_made_and_takes_ones_word_for_it(capsys, tmp_path):
    loaded = catalog.load(catalog.find("zfnet_mini"), catalog.weights_source("zfnet_mini"))
    with torch.inference_mode():
        values = loaded.module(loaded.input(codec.load(SAMPLES / "cat.png").pixels))[0].double()
    expected = {"softmax": values.softmax(0).max(), "sigmoid": values.sigmoid().max(), "logits": values.max()}
    for output, baseline in expected.items():
        options = ("--window", "32", "--stride", "32", "--out", str(tmp_path), "--output", output)
        summary = json.loads(run(capsys, "occlude", "zfnet_mini", "cat", *options)[1])
        assert (summary["output"], summary["precision"]) == (output, "float32")
        assert summary["baseline_probability"] == pytest.approx(float(baseline), rel=1e-5)
    code, _, err = run(capsys, "occlude", "zfnet_mini", "cat", *options[:-1], "probabilities")
    assert (code, err.count("\n")) == (2, 1)
    assert "output='probabilities': the values of this network are from -" in err
