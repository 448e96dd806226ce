"""Other depths and widths than a preset's: the knobs with which its network has the tensors of a file.

A search uphill, one number of the Spec at a time. What a number may become is read off the tensors: how many more
blocks the file has where names are numbered, and in what ratio the sides of tensors of one name stand.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from models.errors import SpecError
from models.spec import Spec
from models.weights.fit import TensorFit, fit
from models.weights.kept import Shapes

_MOST_TRIED = 400  # networks, of some ten milliseconds each
_MOST_RATIOS = 4
_NEIGHBOURS = (1, -1, 2, -2)
_LARGEST_DEPTH = 64
_NUMBER = re.compile(r"\d+")

Place = tuple[int | str, ...]  # of a number within a knob: places in tuples, fields of nested Specs


def nearness(found: TensorFit) -> tuple[int, int]:
    """Larger where a file fits better: fewer differences, then more that is equal."""
    return -found.differences, len(found.same)


@dataclass(frozen=True)
class Searched:
    """What is searched. shapes: those of the network with knobs changed; may raise SpecError. values: of all knobs that
    may change."""

    shapes: Callable[[Mapping[str, Any]], Shapes]
    values: Mapping[str, Any]


def search(found: TensorFit, knobs: Mapping[str, Any], network: Searched) -> tuple[TensorFit, dict[str, Any]]:
    """The best fit that is reached from one with these knobs changed, and the knobs that are changed there.

    A multiplier of all widths is tried before the widths one by one, and after them.
    """
    both = (_climbed(found, dict(knobs), network, multipliers_first) for multipliers_first in (True, False))
    best, changed = next(both)
    if not best.is_whole:
        best, changed = max((best, changed), next(both), key=lambda each: nearness(each[0]))
    return _pruned(best, changed, knobs, network)


def _pruned(
    best: TensorFit, changed: dict[str, Any], given: Mapping[str, Any], network: Searched
) -> tuple[TensorFit, dict[str, Any]]:
    """The same fit without changes that turned out not to be needed."""
    for name in [name for name in changed if name not in given]:
        without = {other: value for other, value in changed.items() if other != name}
        with contextlib.suppress(SpecError):
            other = fit(best.held, network.shapes(without))
            if nearness(other) >= nearness(best):
                best, changed = other, without
    return best, changed


def _climbed(
    found: TensorFit, knobs: dict[str, Any], network: Searched, multipliers_first: bool
) -> tuple[TensorFit, dict[str, Any]]:
    """The fit that no proposal makes better, or that is whole, or at which enough was tried."""
    tried, improved = 0, True
    while improved and not found.is_whole:
        improved = False
        for knob, value in _proposals(found, {**network.values, **knobs}, network.values, multipliers_first):
            tried += 1
            changed = {**knobs, knob: value}
            with contextlib.suppress(SpecError):
                other = fit(found.held, network.shapes(changed))
                improved = nearness(other) > nearness(found)
            if improved:
                found, knobs = other, changed
                break
            if tried >= _MOST_TRIED:
                return found, knobs
    return found, knobs


def depths_read_off(found: TensorFit, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Depths as the gaps in the numbers of the file's layers say, for each of the knobs that may hold them."""
    runs = _runs(found)
    if not all(map(_is_depth, runs)):
        return
    yield from ((knob, runs) for knob, value in values.items() if _are_depths(value, len(runs)) and value != runs)


def _proposals(
    found: TensorFit, now: Mapping[str, Any], knobs: Iterable[str], multipliers_first: bool
) -> Iterator[tuple[str, Any]]:
    """(knob, value), the likeliest first: as the numbers of names say, as the sides say, then one more or less."""
    steps, ratios = _steps(found), _ratios(found)
    places = [(knob, place, number) for knob in knobs for place, number in _numbers(now[knob])]
    if multipliers_first:
        places.sort(key=lambda each: not isinstance(each[2], float) or each[1] != ())
    for propose in (
        lambda number: [number + step for step in steps] if _is_depth(number) else [],
        lambda number: [_scaled(number, ratio) for ratio in ratios],
        lambda number: [number + step for step in _NEIGHBOURS] if _is_depth(number) else [],
    ):
        for knob, place, number in places:
            for value in propose(number):
                if value > 0 and value != number:
                    yield knob, _put(now[knob], place, value)


def _are_depths(value: Any, count: int) -> bool:
    return isinstance(value, tuple) and len(value) == count and all(_is_depth(each) for each in value)


def _is_depth(number: float) -> bool:
    return isinstance(number, int) and number <= _LARGEST_DEPTH


def _scaled(number: float, ratio: float) -> float:
    return round(number * ratio) if isinstance(number, int) else round(number * ratio, 4)


def _numbers(value: Any) -> Iterator[tuple[Place, float]]:
    """The numbers in a knob's value, with their places."""
    match value:
        case bool():
            return
        case int() | float():
            if value > 0:
                yield (), value
        case tuple():
            for place, each in enumerate(value):
                yield from (((place, *rest), number) for rest, number in _numbers(each))
        case Spec():
            for name, each in value:
                yield from (((name, *rest), number) for rest, number in _numbers(each))


def _put(value: Any, place: Place, number: float) -> Any:
    """A knob's value with one of its numbers replaced."""
    if not place:
        return number
    first, *rest = place
    if isinstance(value, Spec):
        return dict(value) | {str(first): _put(getattr(value, str(first)), tuple(rest), number)}
    return tuple(_put(each, tuple(rest), number) if i == first else each for i, each in enumerate(value))


def _steps(found: TensorFit) -> list[int]:
    """By how much the file's numbered parts are more than the network's, the most frequent first."""
    own = _counts(name.removeprefix(found.prefix) for name in found.held)
    here = _counts(found.wanted)
    differences = Counter(own[part] - here[part] for part in own.keys() & here.keys() if own[part] != here[part])
    return [step for step, _ in differences.most_common(_MOST_RATIOS)]


def _runs(found: TensorFit) -> tuple[int, ...]:
    """How many convolutions stand between pools where all layers are numbered through, as in VGG: there a depth alone
    shifts the names of all behind it. A pool has a number and no tensor."""
    numbers: dict[str, list[int]] = {}
    for name, shape in found.held.items():
        head, _, tail = name.removeprefix(found.prefix).rpartition(".")[0].rpartition(".")
        if len(shape) == 4 and re.fullmatch("[0-9]{1,4}", tail):
            numbers.setdefault(head, []).append(int(tail))
    longest = sorted(max(numbers.values(), key=len, default=[]))
    gaps = [after - before for before, after in pairwise(longest)]
    ends = [place for place, gap in enumerate(gaps, start=1) if gap > min(gaps)]
    return tuple(end - begin for begin, end in pairwise((0, *ends, len(longest))))


def _counts(names: Iterable[str]) -> dict[str, int]:
    """How many numbers follow each beginning of names: blocks of a stage, layers of a block."""
    seen: dict[str, set[str]] = {}
    for name in names:
        for digits in _NUMBER.finditer(name):
            seen.setdefault(name[: digits.start()], set()).add(digits.group())
    return {part: len(numbers) for part, numbers in seen.items()}


def _ratios(found: TensorFit) -> list[float]:
    """In what ratios sides of the file's tensors stand to the network's: those of the most tensors, and of the widest,
    where rounding shows least."""
    pairs = Counter[tuple[int, int]]()
    for name in found.reshaped:
        own, here = found.held[found.names[name]], found.wanted[name]
        pairs.update({(a, b) for a, b in zip(own, here, strict=False) if a != b and b and len(own) == len(here)})
    frequent = [pair for pair, _ in pairs.most_common(_MOST_RATIOS)]
    widest = sorted(pairs, key=lambda pair: -pair[1])[:2]
    return list(dict.fromkeys(a / b for a, b in (*frequent, *widest)))
