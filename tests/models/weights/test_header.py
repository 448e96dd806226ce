"""What the header of a weight file says: read where it is clear, else said to be ignored, and bounded."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save
from torch import Tensor

import models
from explorer.networks import catalog
from models.errors import WeightsError
from models.weights import header, safetensors_file
from models.weights.expected_input import IMAGENET_MEAN, IMAGENET_STD, ExpectedInput, InputChoices
from models.weights.sources import WeightsSource, available, file_source, load, usual_input
from tests.support.checkpoints import refusal, tiny, trained, upload

PLAIN = save(trained())
PIXELS = np.array(
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)).resize((500, 400))
)  # fmt: skip


def with_header(preset: str = "resnet18", **entries: str) -> WeightsSource:
    return file_source("mine.safetensors", save(trained(), entries), preset)


def expected(preset: str = "resnet18", **entries: str) -> ExpectedInput:
    return with_header(preset, **entries).preprocessing


# What a file without a header gets


@pytest.mark.parametrize("name", ["efficientnet_b0", "efficientnet_b2", "resnet50", "vgg16", "mobilenet_v3_large"])
def test_a_plain_file_gets_what_torchvision_does_for_its_own_weights_of_that_preset(name: str) -> None:
    builder = models.preset(name).torchvision
    assert builder is not None
    theirs = torchvision.models.get_model_weights(builder)["DEFAULT"]
    source = file_source("mine.safetensors", PLAIN, name)
    ours = catalog.preprocessing(source, models.spec(name)).tensor(PIXELS)[0]
    levels = (ours - theirs.transforms()(Image.fromarray(PIXELS))).abs() * 255 * min(source.preprocessing.std)
    assert levels.max() < 2.05  # Pillow rounds twice
    assert levels.mean() < 0.02
    assert theirs.name in source.preprocessing.origin
    assert name in source.preprocessing.origin


def test_a_plain_file_for_a_shipped_network_gets_that_networks_own() -> None:
    shipped = available("zfnet_mini")[0]
    assert shipped.kind == "shipped"
    assert file_source("mine.safetensors", PLAIN, "zfnet_mini").preprocessing == shipped.preprocessing


def test_where_no_weights_are_published_the_guess_is_said_to_be_one() -> None:
    found = file_source("mine.safetensors", PLAIN, "zfnet").preprocessing
    assert (found.resize_px, found.crop_px, found.mean) == (224, 224, IMAGENET_MEAN)
    assert found.origin.startswith("a guess")


# GoogLeNet and Inception v3


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
@pytest.mark.parametrize(
    ("transform_input", "entries"),
    [(True, {}), (True, {"transform_input": "true"}), (False, {"transform_input": "false"})],
)
def test_a_file_from_torchvision_gives_the_output_that_torchvision_gives(
    name: str, transform_input: bool, entries: dict[str, str]
) -> None:
    torch.manual_seed(1)
    theirs = torchvision.models.get_model(name, init_weights=False, transform_input=transform_input).eval()
    source = file_source("mine.safetensors", save(theirs.state_dict(), entries), name)
    ours = models.build(name)
    load(ours, source)
    picture = torchvision.models.get_model_weights(name)["DEFAULT"].transforms()(Image.fromarray(PIXELS))
    with torch.inference_mode():
        wanted = theirs(picture[None])
        found = ours(catalog.preprocessing(source, models.spec(name)).tensor(PIXELS))
    assert relative(found, wanted) < 0.01


def relative(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).norm() / (wanted - wanted.mean()).norm())


@pytest.mark.parametrize("mean", [(0.485, 0.456, 0.406), (0.2, 0.5, 0.7)])
def test_transform_input_after_any_mean_and_std_is_what_torchvisions_network_does_inside(mean: Any) -> None:
    std = (0.229, 0.1, 0.3)
    net = torchvision.models.googlenet(init_weights=False, transform_input=True)
    x = torch.rand(1, 3, 8, 8)
    inside = net._transform_input((x - column(mean)) / column(std))
    found = InputChoices(mean=mean, std=std, transform_input=True).applied(ExpectedInput(8, 8, mean, std), "")
    torch.testing.assert_close((x - column(found.mean)) / column(found.std), inside, rtol=1e-4, atol=1e-5)


def column(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values).view(3, 1, 1)


def test_mean_and_std_for_googlenet_without_transform_input_are_taken_as_they_are_and_this_is_said() -> None:
    source = with_header("googlenet", mean="[0.1, 0.2, 0.3]", std="1")
    assert source.preprocessing.mean == (0.1, 0.2, 0.3)
    assert "transform_input" in " ".join(source.notes)


# Preprocessing


def test_every_entry_takes_effect() -> None:
    found = expected(
        image_size="96", resize="110", interpolation="bicubic", mean="[0.1, 0.2, 0.3]", std="[0.4, 0.5, 0.6]"
    )
    assert found == ExpectedInput(110, 96, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), "bicubic")
    assert "in the file" in found.origin
    assert expected(fit='"stretch"').fit == expected(fit="stretch").fit == "stretch"
    assert expected(image_size="96").resize_px == 96
    assert expected(resize="300").resize_px == 300


@pytest.mark.parametrize(
    ("entries", "mean", "std"),
    [
        ({"mean": "[123.675, 116.28, 103.53]", "std": "[58.395, 57.12, 57.375]"}, IMAGENET_MEAN, IMAGENET_STD),
        ({"mean": "123.675, 116.28, 103.53", "std": "58.395, 57.12, 57.375", "range": "0..255"}, IMAGENET_MEAN,
         IMAGENET_STD),
        ({"mean": "0", "std": "1", "range": "-1..1"}, (0.5,) * 3, (0.5,) * 3),
        ({"range": "-1..1"}, (0.5,) * 3, (0.5,) * 3),
        ({"range": '"0..255"'}, (0.0,) * 3, (1 / 255,) * 3),
        ({"range": "0..1"}, (0.0,) * 3, (1.0,) * 3),
        ({"mean": "0.5", "std": "0.25"}, (0.5,) * 3, (0.25,) * 3),
        ({"mean": "(0.5, 0.4, 0.3)", "std": "[0.25]"}, (0.5, 0.4, 0.3), (0.25,) * 3),
    ],
)  # fmt: skip
def test_normalisation_is_of_values_from_0_to_1_whatever_range_it_is_said_for(
    entries: dict[str, str], mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    source = with_header(**entries)
    assert source.preprocessing.mean == pytest.approx(mean, abs=1e-6)
    assert source.preprocessing.std == pytest.approx(std, abs=1e-6)
    assert not source.notes


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("image_size", "true"), ("image_size", "4"), ("image_size", "big"), ("image_size", "[96, 96]"),
        ("resize", "200"), ("resize", "-3"), ("resize", "1e9"), ("fit", "zoom"), ("interpolation", "area"),
        ("range", "0-1"), ("transform_input", "maybe"), ("mean", "0.5"), ("mean", "null"), ("std", "[1, 1, 1]"),
        ("classes", "5"), ("classes", "[1, 2]"), ("classes", "[]"), ("classes", "[" * 100_000), ("classes", "null"),
        ("classes", '{"0": "a", "2": "b"}'), ("classes", '{"a": 0, "b": 0}'), ("classes", json.dumps(["a"] * 30_000)),
    ],
)  # fmt: skip
def test_an_entry_that_cannot_be_read_is_named_and_changes_nothing(key: str, text: str) -> None:
    source = with_header(**{key: text})
    (note,) = source.notes
    assert key in note
    assert len(note) < 300
    assert source.preprocessing == usual_input("resnet18")
    assert source.classes is None


@pytest.mark.parametrize(
    "std", ["[1e-40, 1, 1]", "[0, 1, 1]", "[-1, 1, 1]", "[NaN, 1, 1]", "[Infinity, 1, 1]", "1e-7", "[1, 1]", "[true]"]
)  # fmt: skip
def test_a_std_that_would_blow_the_input_up_is_named_and_ignored(std: str) -> None:
    source = with_header(mean="[0.5, 0.5, 0.5]", std=std)
    assert source.preprocessing == usual_input("resnet18")
    assert "std" in source.notes[0]
    picture = catalog.preprocessing(source, models.spec("resnet18")).tensor(PIXELS)
    assert picture.isfinite().all()


@pytest.mark.parametrize("mean", ["[NaN, 0, 0]", f"[1{'0' * 400}, 0, 0]", "[1e300, 0, 0]", "[0.5, 0.5]", '"red"'])
def test_a_mean_that_is_no_number_for_each_channel_is_named_and_ignored(mean: str) -> None:
    source = with_header(mean=mean, std="[1, 1, 1]")
    assert source.preprocessing == usual_input("resnet18")
    assert "mean" in source.notes[0]
    assert all(len(note) < 300 for note in source.notes)


def test_a_good_entry_counts_beside_a_bad_one() -> None:
    source = with_header(resize="300", std="[0, 1, 1]", mean="0.5", fit="zoom", interpolation="bicubic")
    assert (source.preprocessing.resize_px, source.preprocessing.interpolation) == (300, "bicubic")
    assert len(source.notes) == 2


# Classes


@pytest.mark.parametrize(
    "text",
    ['["a", "b", "c"]', "a,b,c", "a, b, c", '{"0": "a", "1": "b", "2": "c"}', '{"2": "c", "0": "a", "1": "b"}',
     '{"a": 0, "c": 2, "b": 1}'],
)  # fmt: skip
def test_classes_are_read_in_every_form_that_is_clear(text: str) -> None:
    source = with_header(classes=text)
    assert source.classes == ("a", "b", "c")
    assert not source.notes


def test_names_are_bounded() -> None:
    source = with_header(classes=json.dumps(["x" * 1_000_000] * 10))
    assert source.classes is not None
    assert all(len(name) <= header.LONGEST_CLASS for name in source.classes)
    (note,) = source.notes
    assert "classes[0] and 9 more" in note


@pytest.mark.parametrize("mark", ["\0", "\x1b", "\x7f", "\u202e", "\u200f", "\u2066", "\ufeff", "\udfff"])
def test_what_cannot_be_shown_in_a_name_is_replaced_and_the_class_is_named(mark: str) -> None:
    source = with_header(classes=json.dumps(["fine", f"do{mark}g"]))
    assert source.classes == ("fine", "do\ufffdg")
    assert "classes[1]" in source.notes[0]


@pytest.mark.parametrize("name", ["Zürich", "गौरैया", "می‌خواهم", "狗", "dog 🐕", "O'Neill & Söhne <b>"])
def test_names_in_any_script_stay(name: str) -> None:
    source = with_header(classes=json.dumps([name, "b"]))
    assert source.classes == (name, "b")
    assert not source.notes


@pytest.mark.fuzz
@given(st.lists(st.text(st.characters(exclude_categories=()), max_size=300), min_size=1, max_size=5))
def test_any_names_are_safe_to_show_and_write(names: list[str]) -> None:
    found = with_header(classes=json.dumps(names)).classes
    assert found is not None
    assert len(found) == len(names)
    for name in found:
        assert len(name.encode()) <= 4 * header.LONGEST_CLASS
        assert not set(name) & {chr(code) for code in (*range(32), *range(127, 160), *range(0x202A, 0x202F), 0xFEFF)}


# Size of the header


def test_a_header_of_very_many_entries_is_refused_before_it_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    text = json.dumps({f"t{i}": entry for i in range(200_000)}).encode()
    monkeypatch.setattr(safetensors_file.json, "loads", lambda _: pytest.fail("the header was parsed"))
    message = refusal(upload(len(text).to_bytes(8, "little") + text + bytes(4)))
    assert "announces 200,000 tensors; at most 20,000 are read" in message


def test_a_file_is_read_once_and_taken_for_several_presets(monkeypatch: pytest.MonkeyPatch) -> None:
    content = save(trained(), {"classes": "a,b"})
    found = header.read("mine.safetensors", content)
    monkeypatch.setattr(safetensors_file.json, "loads", lambda _: pytest.fail("the header was parsed again"))
    monkeypatch.setattr("models.weights.sources.usual_input", lambda _: ExpectedInput(8, 8, (0.0,) * 3, (1.0,) * 3))
    for preset in ("resnet18", "vgg16"):
        assert file_source("mine.safetensors", content, preset, found).classes == ("a", "b")


def test_the_shapes_of_the_tensors_are_known() -> None:
    shapes = header.read("mine", PLAIN).shapes
    assert shapes == {key: tuple(value.shape) for key, value in tiny().state_dict().items()}


def test_a_broken_header_is_refused_by_name() -> None:
    with pytest.raises(WeightsError, match=r"^mine is not a safetensors file"):
        header.read("mine", b"PK\x03\x04" + bytes(100))
