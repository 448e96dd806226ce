"""Match budget: one knob of a block is solved so that its parameters or MACs equal those of another block."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import models
from explorer.analysis.structure import analyze
from explorer.errors import TraceError, UserError, in_percent
from explorer.networks.knob_text import encode_knob
from explorer.types import InputSize
from models.errors import SpecError
from models.knobs import CHANNEL_STEPS
from models.registry import Block
from models.spec import Spec, unchecked

FIGURES = {"macs": "MACs", "params": "parameters"}
CLOSE = 0.01  # a budget is matched within one per cent
ALL_WIDTHS = "all_widths"  # stands for all widths of a block of several branches, changed in proportion
PREFERRED = ("width", ALL_WIDTHS, "expansion")
FEW = 32  # up to here every value is tried
FINE = 50  # parts of a step in which a knob that is no whole number is tried


class Figures(NamedTuple):
    """What a block costs, height and width of the map that leaves it, and how many pixels one position sees."""

    params: int
    macs: int
    side: tuple[int, ...]
    field: tuple[int, int]


@dataclass(frozen=True)
class Match:
    """The Spec that comes nearest to a budget, and the knob that was changed for it."""

    spec: Spec
    knob: str
    figure: str
    wanted: int
    found: int

    @property
    def difference(self) -> float:
        """How far the figure found is above the one wanted, as a share of it."""
        return (self.found - self.wanted) / max(1, self.wanted)

    @property
    def is_close(self) -> bool:
        """Whether it is within one per cent."""
        return abs(self.difference) <= CLOSE

    @property
    def values(self) -> str:
        """The solved knob, or all of the widths, with their values."""
        names = _widths(self.spec) if self.knob == ALL_WIDTHS else [self.knob]
        return ", ".join(f"{name}={encode_knob(getattr(self.spec, name))}" for name in names)

    def sentence(self) -> str:
        """What was found, for people; a budget that no value reaches is said to be missed, and by how much."""
        far = in_percent(max(abs(self.difference), 0.0001), 2)
        where = f"{far} {'above' if self.found > self.wanted else 'below'}" if self.found != self.wanted else "exactly"
        told = f"{self.values} gives {self.found:,} {FIGURES[self.figure]}, {where} the {self.wanted:,} wanted."
        missed = f"No value of {self.knob.replace('_', ' ')} comes within 1 %; the nearest is taken: "
        narrow = (
            " Inside it is narrower than its input now: a bottleneck, no inverted one." if is_narrow(self.spec) else ""
        )
        return (told if self.is_close else missed + told) + narrow


def is_narrow(spec: Spec) -> bool:
    """Whether a block that is made to be wide inside, an inverted residual, has fewer channels there than come in."""
    knob = type(spec).knobs().get("expansion")
    inside: int | None = getattr(spec, "inner", getattr(spec, "hidden", None))
    outside: int = getattr(spec, "in_channels")  # noqa: B009  (every block has it)
    return knob is not None and isinstance(knob.default, float) and inside is not None and inside < outside


def in_slot(block: Block, in_channels: int) -> Spec:
    """A block's Spec for an input of `in_channels`: where it can, it hands on as many and keeps the map's size.

    Otherwise its own defaults, even where they refuse these channels: building says why.
    """
    try:
        return block.fit(in_channels, in_channels)
    except SpecError:
        pass
    try:
        return block.spec.parse({"in_channels": in_channels})
    except SpecError:
        with unchecked():
            return block.spec.parse({"in_channels": in_channels})


def match(spec: Spec, input_size: InputSize, figure: str, wanted: int, knob: str | None = None) -> Match:
    """Change one knob of a block so that its "macs" or "params" on (C, H, W) come nearest to `wanted`.

    Without a `knob`, the first of `knobs` that comes within one per cent is taken, or else the nearest of all; one
    that changes what a position sees only where there is no other. The width may change the channels that leave the
    block; its input, and height and width of its map, stay as they are.
    Raises UserError where there is no such knob, SpecError or TraceError where the block itself cannot be built.
    """
    figures(spec, input_size)  # raises what is wrong with the block itself
    if knob is not None:
        if knob not in dict(_reaching(spec, input_size, figure, [knob])):
            offered = ", ".join(knobs(spec, input_size, figure)) or "none"
            raise UserError(f"knob={knob!r} does not change the {FIGURES[figure]} alone; those that do: {offered}.")
        return _solve(spec, input_size, figure, wanted, knob)
    reaching = _reaching(spec, input_size, figure, _levers(spec))
    later, best = [], None
    for name, changes_field in reaching:
        if changes_field:
            later.append(name)
            continue
        best = _nearer(best, _solve(spec, input_size, figure, wanted, name))
        if best.is_close:
            return best
    for name in later if best is None else []:
        best = _nearer(best, _solve(spec, input_size, figure, wanted, name))
    if best is None:
        raise UserError(f"No knob of {type(spec).__name__} changes its {FIGURES[figure]} alone.")
    return best


def _nearer(best: Match | None, found: Match) -> Match:
    return found if best is None or abs(found.difference) < abs(best.difference) else best


def knobs(spec: Spec, input_size: InputSize, figure: str) -> list[str]:
    """The knobs that change a figure of a block but not the size of its map: width first, then expansion.

    Those that also change what one position sees (kernel, depth) come last. Raises as `match`.
    """
    figures(spec, input_size)
    reaching = dict(_reaching(spec, input_size, figure, _levers(spec)))
    return sorted(reaching, key=reaching.__getitem__)


def _reaching(spec: Spec, input_size: InputSize, figure: str, names: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Those of the knobs that change a figure, with whether they change what one position sees as well."""
    for name in names:
        tried = _tried(spec, input_size, name) if name in _levers(spec) else []
        if len({getattr(one, figure) for one in tried}) > 1:
            yield name, len({one.field for one in tried}) > 1


def _tried(spec: Spec, input_size: InputSize, name: str) -> list[Figures]:
    """What a block costs at the ends of a knob, or at all of a few values; nothing where it cannot have an end."""
    values = _values(spec, name)
    tried = values if len(values) <= FEW else values[:: len(values) - 1]
    found = [figures for value in tried if (figures := _figures(spec, input_size, name, value))]
    return found if len(found) == len(tried) or len(values) <= FEW else []


# -- what can be changed ----------------------------------------------------------------------------------------------


def _levers(spec: Spec) -> list[str]:
    """The knobs that hold one number, the preferred ones first; a block of several widths has all of them as one."""
    names = [name for name, knob in type(spec).knobs().items() if name != "in_channels" and _is_number(spec, name)]
    if len(_widths(spec)) > 1:
        names.append(ALL_WIDTHS)
    return sorted(names, key=lambda name: PREFERRED.index(name) if name in PREFERRED else len(PREFERRED))


def _is_number(spec: Spec, name: str) -> bool:
    value = getattr(spec, name)
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _widths(spec: Spec) -> list[str]:
    """The knobs that count channels of branches, where the block has no width of its own."""
    found = type(spec).knobs()
    names = [name for name, knob in found.items() if knob.step in CHANNEL_STEPS and getattr(spec, name)]
    return [] if "width" in found else names


@lru_cache(maxsize=256)
def _values(spec: Spec, name: str) -> Sequence[Any]:
    """The values that the Spec takes for a knob, all others being as they are, in order."""
    return [value for value in _range(spec, name) if _changed(spec, name, value) is not None]


def _range(spec: Spec, name: str) -> Sequence[Any]:
    if name == ALL_WIDTHS:
        return range(1, max(int(type(spec).knobs()[width].high or 0) for width in _widths(spec)) + 1)
    knob = type(spec).knobs()[name]
    if knob.choices is not None:
        return sorted(knob.choices)
    low, high = knob.low or 0, knob.high or 0
    if isinstance(getattr(spec, name), int):
        return range(int(low), int(high) + 1)
    part = (knob.step or (high - low) / FINE) / FINE
    return [round(low + i * part, 9) for i in range(round((high - low) / part) + 1)]


def _changed(spec: Spec, name: str, value: Any) -> Spec | None:
    """The Spec with the knob changed; None where its rules refuse that. Ranges and types are not checked again."""
    changes = _in_proportion(spec, value) if name == ALL_WIDTHS else {name: value}
    changed = spec.model_copy(update=changes)
    try:
        changed.check_all()
    except ValueError:
        return None
    return changed


def _in_proportion(spec: Spec, largest: int) -> dict[str, int]:
    """All widths changed by one factor, so that the largest of them is `largest`, within their ranges."""
    widths = {name: getattr(spec, name) for name in _widths(spec)}
    scaled = {name: max(1, round(width * largest / max(widths.values()))) for name, width in widths.items()}
    return {name: min(width, int(type(spec).knobs()[name].high or width)) for name, width in scaled.items()}


# -- the search -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=8192)
def figures(spec: Spec, input_size: InputSize) -> Figures:
    """What a block costs on an input (C, H, W). Raises SpecError, TraceError."""
    found = analyze(models.build(spec, device="meta"), input_size)
    return Figures(found.params, found.macs, found.layers[-1].output_shape[2:], found.local_receptive_field.size)


def _figures(spec: Spec, input_size: InputSize, name: str, value: Any) -> Figures | None:
    """The figures with one knob changed; None where the block then cannot run, or makes a map of another size."""
    changed = _changed(spec, name, value)
    assert changed is not None, "only values that the Spec takes are tried"
    try:
        found = figures(changed, input_size)
    except (SpecError, TraceError):
        return None
    return found if found.side == figures(spec, input_size).side else None


def _solve(spec: Spec, input_size: InputSize, figure: str, wanted: int, name: str) -> Match:
    """The nearest that one knob gets."""
    own = getattr(figures(spec, input_size), figure)
    if own == wanted:
        return Match(spec, name, figure, wanted, own)
    values = _values(spec, name)

    def at(index: int) -> Any:
        found = _figures(spec, input_size, name, values[index])
        return found and getattr(found, figure)

    if len(values) <= FEW:
        tried = [index for index in range(len(values)) if at(index) is not None]
    else:
        kinds = _pieces(len(values), lambda index: _kind(spec, name, values[index]))
        tried = [index for piece in kinds for index in _around(piece, at, wanted)]
    best = min(tried, key=lambda index: abs(at(index) - wanted))
    nearest = _changed(spec, name, values[best])
    if nearest is None or abs(own - wanted) <= abs(at(best) - wanted):  # it is as near as it is
        return Match(spec, name, figure, wanted, own)
    return Match(nearest, name, figure, wanted, at(best))


def _pieces(count: int, kind: Callable[[int], Any]) -> Iterator[range]:
    """The runs of indices of one kind; a kind that was left does not come back."""
    start = 0
    while start < count:
        first = kind(start)
        end = bisect_left(range(count), True, lo=start, key=lambda index: kind(index) != first)
        yield range(start, end)
        start = end


def _kind(spec: Spec, name: str, value: Any) -> tuple[bool, ...]:
    """Which numbers of the Spec lie below, at or above the channels of the input, and which are 0.

    Blocks leave a convolution out where these are equal (no projection, no expansion) and take 0 for "choose for me":
    there, and only there, may a figure fall while a width grows.
    """
    changed = _changed(spec, name, value)
    inputs: int = getattr(changed, "in_channels")  # noqa: B009  (every block has it)
    return tuple(truth for number in _numbers(changed) for truth in (number < inputs, number == inputs, number == 0))


def _numbers(spec: Any) -> Iterator[float]:
    """The whole numbers of a Spec, and those that its properties derive from them."""
    own = [cls for cls in type(spec).__mro__ if issubclass(cls, Spec)]
    derived = {name for cls in own for name, value in vars(cls).items() if isinstance(value, property)}
    for name in (*type(spec).knobs(), *derived):
        value = getattr(spec, name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            yield value


def _around(piece: range, figure: Callable[[int], int], wanted: int) -> Sequence[int]:
    """The indices of a run, in which the figure only grows or only falls, on both sides of the one wanted."""
    rising = piece if figure(piece[0]) <= figure(piece[-1]) else piece[::-1]
    if not figure(rising[0]) < wanted < figure(rising[-1]):
        return [rising[0], rising[-1]]
    place = bisect_left(rising, wanted, key=figure)
    return rising[max(0, place - 1) : place + 1]
