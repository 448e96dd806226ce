"""Which units prefer a part or a class: a unit that looks at one thing alone comes first where that is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest

from explorer.analysis.top_nine import TopNine
from explorer.atlas.patches import Patch
from explorer.atlas.picture_sets import UnseenPictures
from explorer.atlas.search import class_preferences, part_preferences
from explorer.errors import UnknownNameError
from explorer.images.preprocess import Preprocessing

SIDE = 64
PICTURES = UnseenPictures()
AS_DRAWN = Preprocessing(SIDE, (SIDE, SIDE), (0.5,) * 3, (0.5,) * 3)


def looking_at(number: int, mask: np.ndarray) -> Patch:
    """A patch of the whole picture, whose unit is excited by these pixels alone."""
    projection = np.repeat(mask[..., None], 3, -1).astype(np.float32)
    label, pixels = PICTURES.label(number), PICTURES.pixels(number)
    return Patch(number, str(number), label, 1.0, (0, 0), (0, 0, SIDE, SIDE), pixels, projection)


def numbers_of(label: str, count: int) -> list[int]:
    return [number for number in range(400) if PICTURES.label(number) == label][:count]


def test_a_unit_made_to_look_at_a_part_comes_first_of_those_that_prefer_it() -> None:
    cats = numbers_of("cat", 4)
    parts = sorted(PICTURES.parts(cats[0]))
    units = [
        (channel, tuple(looking_at(number, PICTURES.parts(number)[part]) for number in cats))
        for channel, part in enumerate(parts)
    ]
    found = part_preferences(PICTURES, AS_DRAWN, units)
    for channel, part in enumerate(parts):
        ranking = found.ranking(part)
        assert next(iter(ranking)) == channel
        assert ranking[channel] == pytest.approx(1)
        assert all(share < 0.05 for other, share in ranking.items() if other != channel)


@dataclass(frozen=True)
class _Halves:
    """A picture of 32 px whose left half is a part, of a set that a network sees at twice its size."""

    title: str = "halves"
    digest: str = ""

    def __len__(self) -> int:
        return 1

    def name(self, number: int) -> str:
        return str(number)

    def label(self, number: int) -> str:
        return ""

    def pixels(self, number: int) -> np.ndarray:
        return np.zeros((32, 32, 3), np.uint8)

    def view(self, number: int, preprocessing: Preprocessing) -> np.ndarray:
        return preprocessing.view(self.pixels(number))

    def parts(self, number: int) -> Mapping[str, np.ndarray]:
        return {"left": np.arange(32)[None, :].repeat(32, 0) < 16}


def test_the_share_is_of_the_patch_in_the_networks_own_pixels() -> None:
    def patch(projection: np.ndarray | None) -> Patch:
        box = (16, 24, 32, 40)  # half of it is left of the middle
        return Patch(0, "0", "", 1.0, (0, 0), box, np.zeros((16, 16, 3), np.uint8), projection)

    right = np.zeros((16, 16, 3), np.float32)
    right[:, 8:] = 2.0
    uneven = np.ones((16, 16, 3), np.float32)
    uneven[:, :8] = 3.0  # nine times the energy
    units = [(0, (patch(None),)), (1, (patch(right),)), (2, (patch(uneven),)), (3, (patch(np.zeros_like(right)),))]
    found = part_preferences(_Halves(), AS_DRAWN, units).shares["left"]
    assert found == {
        0: pytest.approx(0.5, abs=0.04),
        1: pytest.approx(0, abs=0.04),
        2: pytest.approx(0.9, abs=0.02),
        3: 0,
    }


def test_classes_are_counted_among_those_pictures_that_a_unit_has() -> None:
    cat, boat = numbers_of("cat", 9), numbers_of("boat", 6)
    values = np.full((3, 9), 1.0, np.float32)
    pictures = np.array([cat, [*boat, *cat[:3]], [*boat[:2], *[-1] * 7]])
    zeros = np.zeros((3, 9), np.int32)
    found = class_preferences(PICTURES, TopNine(values, pictures, zeros, zeros))
    assert found.ranking("boat") == {2: 1.0, 1: pytest.approx(6 / 9), 0: 0.0}
    assert list(found.ranking("boat")) == [2, 1, 0]
    assert found.ranking("cat")[0] == 1.0
    with pytest.raises(UnknownNameError, match="'wing' is on none of the pictures; there are boat, cat"):
        found.ranking("wing")


def test_a_dead_unit_prefers_no_class() -> None:
    """Its nine are the first pictures of the set, which are of as many classes as these happen to be."""
    values, numbers = np.array([[0.0], [2.0]], np.float32), np.array([0])
    top = TopNine.of_maxima(values.T, np.zeros((1, 2), np.int64), numbers, columns=1)
    assert (top.is_dead(0), top.is_dead(1)) == (True, False)
    assert class_preferences(PICTURES, top).ranking(PICTURES.label(0)) == {1: 1.0, 0: 0.0}
