"""The procedural picture set: determinism, balance, masks, what tells a class, the samples."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from explorer.training.dataset import (
    CLASSES,
    COLOUR_COVARIANCE,
    MEAN,
    PARTS,
    SAMPLE_INDICES,
    STD,
    Item,
    PictureError,
    draw_item,
    label_of,
    sample,
    to_tensor_batch,
    write_samples,
)
from explorer.training.drawing import canvas, paint
from explorer.training.drawing.canvas import Style
from tests.support import places

CHANCE = 1 / len(CLASSES)
TRAIN = 720


@pytest.fixture(scope="module")
def items() -> list[Item]:
    return [draw_item(21, index) for index in range(TRAIN + 240)]


def test_twelve_classes_of_named_parts():
    assert len(CLASSES) == len(set(CLASSES)) == 12
    assert list(PARTS) == list(CLASSES)
    for parts in PARTS.values():
        assert len(parts) == len(set(parts)) >= 3


def test_same_arguments_give_the_same_item_whatever_was_drawn_before():
    first = draw_item(3, 17)
    random.seed(99)
    draw_item(3, 18)
    again = draw_item(3, 17)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.mask, again.mask)
    assert first.label == again.label == label_of(3, 17)
    for other in (draw_item(3, 18), draw_item(4, 17), draw_item(3, 17, label=(first.label + 1) % 12)):
        assert not np.array_equal(first.image, other.image)


def test_every_block_holds_every_class_once_in_changing_order():
    blocks = [[label_of(5, 12 * block + place) for place in range(12)] for block in range(20)]
    assert all(sorted(block) == list(range(12)) for block in blocks)
    assert len({tuple(block) for block in blocks}) > 15
    assert [label_of(6, place) for place in range(24)] != blocks[0] + blocks[1]


@given(
    st.integers(-(2**40), 2**40),
    st.integers(0, 2**40),
    st.integers(0, 11),
    st.sampled_from((16, 33, 64, 130)),
)
@settings(max_examples=40, deadline=None)
def test_masks_are_disjoint_parts_whose_union_is_the_object(seed: int, index: int, label: int, size_px: int):
    item = draw_item(seed, index, size_px, label)
    assert item.image.shape == (size_px, size_px, 3)
    assert item.image.dtype == np.uint8
    assert (item.label, item.name) == (label, CLASSES[label])
    assert tuple(item.parts) == PARTS[item.name]
    layers = np.stack(list(item.parts.values()))
    assert layers.dtype == item.mask.dtype == np.bool_
    assert (
        layers.shape[1:]
        == item.mask.shape
        == (
            size_px,
            size_px,
        )
    )
    assert layers.sum(axis=0).max() == 1
    assert np.array_equal(layers.any(axis=0), item.mask)


def test_every_part_can_be_seen_at_64_px(items: list[Item]):
    pixels = [mask.sum() for item in items for mask in item.parts.values()]
    assert np.mean([count >= 4 for count in pixels]) > 0.99


def test_the_mask_is_what_was_painted(monkeypatch: pytest.MonkeyPatch):
    """A red subject on a blue ground without shade or clutter: the mask is where red rules, save at edges."""
    red, blue = (255, 0, 0), (0, 0, 255)
    roles: dict[str, paint.Colour] = dict.fromkeys(("main", "second", "accent", "dark", "light"), red)
    monkeypatch.setattr(canvas, "palette", lambda rng: paint.Palette((blue,) * 4, roles))
    monkeypatch.setattr(canvas, "clutter", lambda *args: [])
    monkeypatch.setattr(canvas, "ground", lambda size, tones, rng: Image.new("RGB", (size, size), blue))
    monkeypatch.setattr(canvas, "pattern", lambda size, rng: None)
    monkeypatch.setattr(canvas, "_style", lambda rng: Style(line=0.015, ink=0.0, shade=0.0, halo=0.0, soft=False))
    for label in range(len(CLASSES)):
        item = draw_item(8, label, 96, label)
        painted = item.image[..., 0].astype(int) > item.image[..., 2]
        assert np.mean(painted != item.mask) < 0.01, item.name


def test_the_same_picture_at_every_size():
    for index in range(12):
        small, large = draw_item(2, index, 64), draw_item(2, index, 192)
        shrunk = np.asarray(Image.fromarray(large.image).reduce(3)).astype(int)
        assert np.abs(shrunk - small.image).mean() < 12, small.name
        again = large.mask[1::3, 1::3]
        assert (again & small.mask).sum() / (again | small.mask).sum() > 0.9, small.name


def test_objects_take_a_fifth_to_three_fifths_whatever_the_class(items: list[Item]):
    share = np.array([item.mask.mean() for item in items])
    assert share.min() > 0.15
    assert share.max() < 0.6
    by_class = [share[[item.name == name for item in items]].mean() for name in CLASSES]
    assert max(by_class) - min(by_class) < 0.15


def colour_statistics(pixels: np.ndarray) -> np.ndarray:
    """Means, deviations and histograms (joint 4×4×4, 16 per channel) of the colours [N, 3] of one picture."""
    joint = np.bincount((pixels // 64) @ np.array([16, 4, 1]), minlength=64)
    single = [np.bincount(pixels[:, channel] // 16, minlength=16) for channel in range(3)]
    histograms = np.sqrt(np.concatenate([joint, *single]) / len(pixels))
    return np.concatenate([pixels.mean(axis=0) / 255, pixels.std(axis=0) / 255, histograms])


def silhouette(mask: np.ndarray) -> np.ndarray:
    """The mask cut to its box and brought to 16×16."""
    cut = Image.fromarray(mask.astype(np.uint8) * 255).crop(Image.fromarray(mask).getbbox())
    return np.asarray(cut.resize((16, 16), Image.Resampling.BOX)).ravel() / 255


def linear_accuracy(features: np.ndarray, labels: np.ndarray) -> float:
    """Share of unseen items that a softmax regression on the first TRAIN gets right."""
    x = torch.tensor((features - features.mean(axis=0)) / (features.std(axis=0) + 1e-4), dtype=torch.float32)
    y = torch.tensor(labels)
    model = torch.nn.Linear(x.shape[1], len(CLASSES))
    torch.nn.init.zeros_(model.weight)
    optimiser = torch.optim.Adam(model.parameters(), 1e-2, weight_decay=1e-2)
    for _ in range(200):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(x[:TRAIN]), y[:TRAIN]).backward()
        optimiser.step()
    return (model(x[TRAIN:]).argmax(dim=1) == y[TRAIN:]).float().mean().item()


def test_shape_tells_the_class_and_colour_does_not(items: list[Item]):
    labels = np.array([item.label for item in items])
    colours = np.stack([colour_statistics(item.image.reshape(-1, 3).astype(int)) for item in items])
    shapes = np.stack([silhouette(item.mask) for item in items])
    assert linear_accuracy(colours, labels) < 0.3
    assert linear_accuracy(colours[:, :3], labels) < 2 * CHANCE
    assert linear_accuracy(shapes, labels) > 0.7


def test_normalisation_is_that_of_the_pictures(items: list[Item]):
    pixels = torch.from_numpy(np.stack([item.image for item in items])).flatten(0, 2).float() / 255
    assert pixels.mean(dim=0).tolist() == pytest.approx(MEAN, abs=0.02)
    assert pixels.std(dim=0).tolist() == pytest.approx(STD, abs=0.02)
    torch.testing.assert_close(torch.cov(pixels.T), torch.tensor(COLOUR_COVARIANCE), atol=0.005, rtol=0)


def test_a_batch_holds_the_items_as_tensors():
    images, labels = to_tensor_batch(7, 0, 3, 32)
    assert images.dtype == torch.uint8
    assert labels.dtype == torch.int64
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        item = draw_item(7, index, 32)
        assert np.array_equal(image.permute(1, 2, 0), item.image)
        assert label == item.label


def test_a_batch_may_start_anywhere():
    images, labels = to_tensor_batch(7, 4, 3, 32)
    whole, all_labels = to_tensor_batch(7, 0, 7, 32)
    assert torch.equal(images, whole[4:])
    assert torch.equal(labels, all_labels[4:])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"index": -1}, "index=-1"),
        ({"index": 0, "size_px": 8}, "size_px=8"),
        ({"index": 0, "size_px": 5000}, "size_px=5000"),
        ({"index": 0, "label": 12}, "label=12"),
    ],
)
def test_what_cannot_be_drawn_is_refused_by_name(arguments: dict[str, int], named: str):
    with pytest.raises(PictureError, match=named):
        draw_item(0, **arguments)


def test_a_negative_count_is_refused():
    with pytest.raises(PictureError, match="count=-2"):
        to_tensor_batch(0, 0, -2)


@pytest.mark.parametrize("name", SAMPLE_INDICES)
def test_shipped_samples_are_what_the_code_draws(name: str):
    """Within one grey level on average: another processor may round the sine of an angle otherwise."""
    shipped = np.asarray(Image.open(places.SAMPLES / f"{name}.png"))
    assert shipped.shape == (256, 256, 3)
    assert np.abs(shipped.astype(int) - sample(name).image).mean() < 1


def test_one_sample_per_class_and_no_others(tmp_path: Path):
    assert sorted(SAMPLE_INDICES) == list(CLASSES)
    assert sorted(path.stem for path in places.SAMPLES.glob("*.png")) == list(CLASSES)
    written = write_samples(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(written)
    assert len(written) == 12
