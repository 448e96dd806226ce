"""The nine strongest activations of each channel: against a plain sort, in whatever order and parts pictures come."""

from __future__ import annotations

from functools import reduce

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from explorer.analysis.top_nine import NINE, TopNine

CHANNELS, SIZE = 3, (2, 5)
PARTS = ("values", "pictures", "rows", "columns")


@st.composite
def maps(draw: st.DrawFn) -> np.ndarray:
    """[N, CHANNELS, *SIZE] of few different values, so that many are equal, and some that are not finite."""
    count = draw(st.integers(1, 30))
    levels = st.sampled_from([0.0, 0.5, 1.0, 2.0, -1.0, np.nan, np.inf])
    cells = draw(st.lists(levels, min_size=count * CHANNELS, max_size=count * CHANNELS))
    found = np.zeros((count, CHANNELS, *SIZE), np.float32)
    places = draw(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 4)), min_size=len(cells), max_size=len(cells)))
    for at, (value, (row, column)) in enumerate(zip(cells, places, strict=True)):
        found[at // CHANNELS, at % CHANNELS, row, column] = value
    return found


def of(pictures: np.ndarray, numbers: np.ndarray) -> TopNine:
    flat = pictures.reshape(len(pictures), CHANNELS, -1)
    return TopNine.of_maxima(flat.max(2), flat.argmax(2), numbers, SIZE[1])


def by_a_plain_sort(pictures: np.ndarray, channel: int) -> list[tuple[float, int, int, int]]:
    """Of each picture its greatest value and first position, the best nine: value, picture, row, column."""
    rows = list[tuple[float, int, int, int]]()
    for number, picture in enumerate(pictures):
        cells = [(-float(picture[channel, r, c]), r, c) for r in range(SIZE[0]) for c in range(SIZE[1])]
        if np.isfinite(picture[channel]).all():
            value, row, column = min(cells)
            rows.append((-value, number, row, column))
    return sorted(rows, key=lambda row: (-row[0], row[1]))[:NINE]


def entries(found: TopNine, channel: int) -> list[tuple[float, int, int, int]]:
    columns = [getattr(found, part)[channel, : found.count(channel)].tolist() for part in PARTS]
    return list(zip(*columns, strict=True))


def assert_same(one: TopNine, other: TopNine) -> None:
    for part in PARTS:
        np.testing.assert_array_equal(getattr(one, part), getattr(other, part))
        assert getattr(one, part).dtype == getattr(other, part).dtype


@given(maps())
def test_it_is_what_a_plain_sort_finds(pictures: np.ndarray) -> None:
    found = of(pictures, np.arange(len(pictures)))
    for channel in range(CHANNELS):
        assert entries(found, channel) == by_a_plain_sort(pictures, channel)


@given(maps(), st.data())
def test_parts_may_be_merged_in_any_order_and_more_than_once(pictures: np.ndarray, data: st.DataObject) -> None:
    numbers = np.arange(len(pictures))
    share = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(numbers), max_size=len(numbers))))
    parts = [of(pictures[share == k], numbers[share == k]) for k in range(4) if (share == k).any()]
    shuffled = data.draw(st.permutations(parts + parts[:2]))
    whole = of(pictures, numbers)
    assert_same(reduce(TopNine.merged, shuffled), whole)
    assert_same(reduce(lambda done, part: part.merged(done), shuffled), whole)
    middle = len(shuffled) // 2
    halves = [reduce(TopNine.merged, half, TopNine.empty(CHANNELS)) for half in (shuffled[:middle], shuffled[middle:])]
    assert_same(halves[0].merged(halves[1]), whole)


@given(maps(), st.integers(0, 29))
def test_further_pictures_are_taken_in_as_if_they_had_been_merged(pictures: np.ndarray, first: int) -> None:
    numbers, first = np.arange(len(pictures)), min(first, len(pictures) - 1)
    before = of(pictures[:first], numbers[:first]) if first else TopNine.empty(CHANNELS)
    new, more = pictures[first:], numbers[first:]
    flat = new.reshape(len(new), CHANNELS, -1)
    assert_same(before.with_maxima(flat.max(2), flat.argmax(2), more, SIZE[1]), before.merged(of(new, more)))


@given(maps(), st.lists(st.booleans(), min_size=CHANNELS, max_size=CHANNELS))
def test_some_channels_are_replaced_and_the_others_stay(pictures: np.ndarray, chosen: list[bool]) -> None:
    channels, numbers = np.array(chosen), np.arange(len(pictures))
    before, new = of(pictures[::2], numbers[::2]), of(pictures, numbers)
    found = before.replaced(channels, new.of(channels))
    for channel in range(CHANNELS):
        assert entries(found, channel) == entries(new if chosen[channel] else before, channel)


def test_of_nothing_there_are_no_nine() -> None:
    nothing = TopNine.empty(CHANNELS)
    assert [nothing.count(channel) for channel in range(CHANNELS)] == [0] * CHANNELS
    assert_same(nothing.merged(nothing), nothing)
