"""Figures as people read them."""

from __future__ import annotations

import pytest

from explorer.figures.units import count, difference, pair, shape


@pytest.mark.parametrize(
    ("number", "text"),
    [(61_706, "61,706"), (138_357_544, "138.4 M"), (15_470_264_320, "15.5 G"), (999_960, "1.0 M"), (0, "0")],
)
def test_counts_are_written_for_people(number: int, text: str) -> None:
    assert count(number) == text


@pytest.mark.parametrize(
    ("now", "before", "text"),
    [(5, 5, None), (59, 50, "+9"), (10, 12, "-2"), (1_100_000, 1_000_000, "+10.0 %"), (500, 2000, "-75.0 %")],
)
def test_differences_carry_their_sign(now: int, before: int, text: str | None) -> None:
    assert difference(now, before) == text


def test_pairs_and_shapes() -> None:
    assert (pair((7, 7)), pair((1, 7)), shape((1, 64, 56, 56)), shape((1,))) == ("7", "1 × 7", "64 × 56 × 56", "scalar")
