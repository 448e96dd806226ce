"""Fit to a budget: the largest network of a family that keeps some limits, found by its width, depth or resolution."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from explorer.errors import TraceError, UserError, in_percent
from explorer.networks import scaling
from explorer.networks.footprint import footprint
from explorer.networks.scaling import COMPOUND, DEPTH, WIDTH
from models.errors import SpecError
from models.spec import NetSpec

LATENCY = "latency_s"
NEAR_LIMIT = 0.01  # of a limit: what a network may lie below it to meet it
AIM = 1 - NEAR_LIMIT / 2
NEAR_MEASURED = 0.05  # the same of a latency, which two measurements of one network miss by as much
FARTHEST = 2.0**10  # the factor, up or down, at which the search gives up
NARROWEST = 1.0005  # between two factors: what lies between no longer differs
SLACK = 1.06  # of a factor, in which rounding to another grain may move the end of what keeps the limits
MOST_TRIED = 48  # networks in one search
MOST_MEASURED = 10  # of them run
NUDGES = tuple(1 + sign * step / 1000 for step in range(1, 13) for sign in (1, -1))  # to a factor that Specs take


@dataclass(frozen=True)
class Limited:
    """A figure that can be limited: its name, what people call it, and the unit that limits are given in."""

    name: str
    title: str
    unit: str
    per: float

    def text(self, value: float) -> str:
        """A value of the figure with its unit, to four digits: 25.56 M parameters."""
        digits = f"{value / self.per:,.4g}"
        return (
            f"{digits} {self.unit} {self.title}" if self.unit in ("M", "G") else f"{digits} {self.unit}, {self.title}"
        )


LIMITED = {
    limited.name: limited
    for limited in (
        Limited("params", "parameters", "M", 1e6),
        Limited("macs", "MACs", "G", 1e9),
        Limited("peak_bytes", "peak memory", "MB", 1e6),
        Limited("float32_bytes", "on disk in float32", "MB", 1e6),
        Limited("float16_bytes", "on disk in float16", "MB", 1e6),
        Limited("int8_bytes", "on disk in int8", "MB", 1e6),
        Limited(LATENCY, "latency", "ms", 1e-3),
    )
}


@dataclass(frozen=True)
class BudgetFit:
    """The network that was found: its Spec, what it takes, and how near it comes to the limit that binds it.

    limits: by the names of `LIMITED`. found: the same of the network; a latency only where one is limited.
    """

    before: NetSpec
    spec: NetSpec
    way: str
    limits: Mapping[str, float]
    found: Mapping[str, float]

    @property
    def binding(self) -> str:
        """The limit that comes nearest to being passed."""
        return max(self.limits, key=lambda name: self.found[name] / self.limits[name])

    @property
    def below(self) -> float:
        """How far the network lies below that limit, as a share of it."""
        return 1 - self.found[self.binding] / self.limits[self.binding]

    @property
    def is_close(self) -> bool:
        """Whether it meets the limit: within one per cent, or as near as a latency can be told."""
        return 0 <= self.below <= (NEAR_MEASURED if self.binding == LATENCY else NEAR_LIMIT)

    def sentence(self) -> str:
        """What was found, for people; a limit that nothing comes near is said to be missed, and by how much."""
        limited = LIMITED[self.binding]
        far = in_percent(max(self.below, 0.0001), 2) + " below" if self.below > 0 else "exactly"
        limit = f"the limit of {limited.text(self.limits[self.binding]).split(' ')[0]} {limited.unit}"
        told = f"{limited.text(self.found[self.binding])}: {far} {limit}."
        return told if self.is_close else f"{told} No {self.way} of its knobs comes nearer from below."

    @property
    def changes(self) -> dict[str, object]:
        """The knobs that were changed, with their new values."""
        before = dict(self.before)
        return {name: value for name, value in dict(self.spec).items() if value != before[name]}


def fit(
    spec: NetSpec,
    limits: Mapping[str, float],
    way: str,
    *,
    latency_s: Callable[[NetSpec], float] | None = None,
    progress: Callable[[int], None] | None = None,
) -> BudgetFit:
    """Scale a network by "width", "depth", "resolution" or "compound" to the largest that keeps all limits.

    limits: by the names of `LIMITED`, in numbers, bytes and seconds. Where the knobs' own steps come no nearer than one
    per cent, finer ones are tried, and after compound scaling the width alone. latency_s: measures a network; needed
    where latency is limited. progress: is told how many networks were tried, and may raise to stop. Raises UserError
    where there is no limit, no such way, or no network of this kind that keeps them.
    """
    if unknown := set(limits) - set(LIMITED):
        raise UserError(f"limit={min(unknown)!r} is not one of {', '.join(LIMITED)}.")
    if not limits:
        raise UserError("Set a limit first: parameters, MACs, memory, size on disk or latency.")
    if way not in scaling.ways(spec):
        raise UserError(f"way={way!r}: this network has no knob for its {way}.")
    search = _Search(spec, dict(limits), latency_s, progress or (lambda _: None))
    best = search.largest(spec, way)
    if best is None:
        raise UserError(search.refusal(way))
    if way == COMPOUND and not search.is_met(best):
        best = search.nearer(best, WIDTH)
    return BudgetFit(spec, best, way, limits, search.figures(best))


class _End(NamedTuple):
    """One end of the factors that a search is between, and the share of the limits that is taken there."""

    factor: float
    share: float | None


def _between(low: _End, high: _End) -> float:
    """The factor to try next: where a power of it would come just below the limit, and not close to either end."""
    place = 0.5
    if low.share and high.share and low.share < AIM < high.share:
        place = min(max(math.log(AIM / low.share) / math.log(high.share / low.share), 0.1), 0.9)
    return low.factor * (high.factor / low.factor) ** place


@dataclass
class _Search:
    """The networks that one search has tried."""

    before: NetSpec
    limits: dict[str, float]
    latency_s: Callable[[NetSpec], float] | None
    progress: Callable[[int], None]
    tried: dict[NetSpec, dict[str, float] | None] = field(default_factory=dict)
    measured: int = 0

    def figures(self, spec: NetSpec) -> dict[str, float]:
        """What a network takes, of what is limited; of one that cannot be, and is tried by `share`, KeyError."""
        return self.tried[spec] or {}

    def share(self, spec: NetSpec) -> float | None:
        """The largest share of a limit that a network takes; None where it cannot run."""
        if spec not in self.tried:
            if len(self.tried) >= MOST_TRIED:
                return None
            self.progress(len(self.tried))
            self.tried[spec] = self._figures(spec)
        found = self.tried[spec]
        return None if found is None else self._worst(found)

    def _figures(self, spec: NetSpec) -> dict[str, float] | None:
        try:
            taken = footprint(spec)._asdict()
        except (SpecError, TraceError):
            return None
        found: dict[str, float] = {name: taken[name] for name in self.limits if name != LATENCY}
        # What is too large anyway need not be run, nor, within a minute, more than a few.
        if LATENCY in self.limits and all(found[name] <= self.limits[name] for name in found):
            assert self.latency_s is not None, "a limited latency needs a measure"
            if self.measured >= MOST_MEASURED:
                return None
            self.measured += 1
            found[LATENCY] = self.latency_s(spec)
        return found

    def is_met(self, spec: NetSpec) -> bool:
        """Whether a network keeps all limits and comes close to one."""
        share = self.share(spec)
        near = NEAR_MEASURED if LATENCY in self.limits else NEAR_LIMIT
        return share is not None and 1 - near <= share <= 1

    def largest(self, base: NetSpec, way: str) -> NetSpec | None:
        """The largest network that keeps the limits; None where the smallest of all does not."""
        low = high = 1.0
        while high < FARTHEST and self._keeps(self._at(base, way, high)):
            low, high = high, high * 2
        while low > 1 / FARTHEST and not self._keeps(self._at(base, way, low)):
            low, high = low / 2, low
        best = self._at(base, way, low)
        if best is None or not self._keeps(best):
            return None
        for grain in scaling.GRAINS:
            best, factor = self._bisected(base, way, grain, best, (low, high))
            if self.is_met(best) or way in (DEPTH, COMPOUND):
                break
            low, high = factor / SLACK, factor * SLACK
        return self._filled(best, way) if way in (DEPTH, WIDTH) else best

    def _filled(self, best: NetSpec, way: str) -> NetSpec:
        """A network with single blocks or channels more, as far as the limits let it: each time what comes nearest."""
        while not self.is_met(best):
            shares = {spec: self.share(spec) or 0 for spec in scaling.one_more(best, way)}
            larger = [spec for spec, share in shares.items() if (self.share(best) or 0) < share <= 1]
            if not larger:
                break
            best = max(larger, key=shares.__getitem__)
        return best

    def nearer(self, base: NetSpec, way: str) -> NetSpec:
        """A network that was found, moved on in another way as far as the limits let it."""
        found = self.largest(base, way)
        return base if found is None or (self.share(found) or 0) < (self.share(base) or 0) else found

    def _bisected(
        self, base: NetSpec, way: str, grain: int, best: NetSpec, between: tuple[float, float]
    ) -> tuple[NetSpec, float]:
        """The largest that keeps the limits between a factor that does and one that does not, and where it ended."""
        low, high = (_End(factor, self._share_at(base, way, factor, grain)) for factor in between)
        while high.factor / low.factor > NARROWEST and not self.is_met(best):
            middle = _between(low, high)
            tried = self._at(base, way, middle, grain)
            if tried is not None and self._keeps(tried):
                low = _End(middle, self.share(tried))
                best = max(best, tried, key=lambda spec: self.share(spec) or 0)
            else:
                high = _End(middle, tried and self.share(tried))
        return best, low.factor

    def _share_at(self, base: NetSpec, way: str, factor: float, grain: int) -> float | None:
        spec = self._at(base, way, factor, grain)
        return spec and self.share(spec)

    def _keeps(self, spec: NetSpec | None) -> bool:
        share = None if spec is None else self.share(spec)
        return share is not None and share <= 1

    def _at(self, base: NetSpec, way: str, factor: float, grain: int = 0) -> NetSpec | None:
        """The Spec at a factor, or at the nearest that its rules take."""
        for nudge in (1.0, *NUDGES):
            try:
                return base if factor == 1 else scaling.scale(base, way, factor * nudge, grain)
            except SpecError:
                pass
        return None

    def refusal(self, way: str) -> str:
        """Why there is no network that keeps the limits."""
        smallest = min((found for found in self.tried.values() if found), key=self._worst)
        name = max(smallest, key=lambda name: smallest[name] / self.limits[name])
        limited = LIMITED[name]
        least = f"{smallest[name] / limited.per:,.4g} {limited.unit}"
        return f"No {way} of this network keeps {name} at {limited.text(self.limits[name])}: the least is {least}."

    def _worst(self, found: Mapping[str, float]) -> float:
        return max(taken / self.limits[name] for name, taken in found.items())
