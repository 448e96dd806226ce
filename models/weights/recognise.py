"""What is it? Which preset, with which knobs, the tensors of a file belong to; told by names and shapes alone."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from explorer.errors import listed, shown
from models.errors import SpecError
from models.meta import only_compared
from models.registry import architecture_of, architectures, build, preset
from models.spec import NetSpec
from models.weights.fit import TensorFit, fit
from models.weights.header import Header
from models.weights.kept import Shapes, shapes_of
from models.weights.safetensors_file import shown_name, size_text
from models.weights.search_knobs import Searched, depths_read_off, nearness, search

SIDES_PX = (28, 32, 48, 56, *range(64, 256, 16), 256, 288, 299, 320, 336, 384, 448, 512)  # usual ones
SWITCHES = ("aux_head", "aux_heads")  # of what training alone uses, and inference does without
MOST_PRESETS = 60  # that are compared whole
LEAST_OVERLAP = 0.3  # of tensors, with which a network is told as one that the file may belong to
LEAST_ALIKE = 0.5  # of the smaller one's names, that a file and a preset whose numbers are searched have in common
MOST_SEARCHED = 4  # presets, of which two of a family
NEAR_FAMILY = 0.35  # of the best family's share of names: what a family needs to be compared whole


@dataclass(frozen=True)
class Buildable:
    """A network that can be built with other classes, channels or input: what a file is held against.

    shapes: those of its state dict with these knobs, on meta; raises SpecError where there is no such network. counts:
    the side of a tensor in which each knob shows, and its value by itself. switches: knobs that can be False, for what
    training alone uses. side_px: of the input by itself, None where nobody can choose it. depths_and_widths: all other
    knobs, of a network whose numbers may be searched.
    """

    name: str
    shapes: Callable[[Mapping[str, Any]], Shapes]
    counts: Mapping[str, tuple[int, int]]
    switches: tuple[str, ...] = ()
    side_px: int | None = None
    depths_and_widths: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NetworkMatch:
    """A network by name, and how a file fits it. knobs: those of the preset, or options of another library's builder,
    that differ from its own; reasons: why the file sets some of them, in half a sentence."""

    name: str
    fit: TensorFit
    knobs: Mapping[str, Any] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)

    def reading(self, header: Header) -> str | None:
        """How the file is read, in one line without its name; None where it says all by itself."""
        path, others = header.read_from
        parts = [f"read from {'.'.join(map(shown, path))}"] if path else []
        parts += [f"beside it {listed(map(shown, others), 40)}"] if others else []
        parts += [f"prefix {shown(self.fit.prefix)} taken off"] if self.fit.prefix else []
        parts += [f"names of {self.fit.renaming}"] if self.fit.renaming else []
        outside = len(self.fit.unused) - len(self.fit.surplus)
        others_passed = f"{outside:,} other {'tensor' if outside == 1 else 'tensors'} passed over"
        parts += [others_passed] if outside and self.fit.is_whole else []
        shown_knobs = (f"{name} = {self.knobs[name]}, as {why}" for name, why in self.reasons.items())
        return "; ".join(filter(None, (", ".join(parts), *shown_knobs))) or None


def match_of(held: Shapes, name: str, wanted: Shapes, knobs: Mapping[str, Any]) -> NetworkMatch:
    """How a file of tensors `held` fits a network of tensors `wanted`, as it is."""
    return NetworkMatch(name, fit(held, wanted), knobs)


def adapted(
    held: Shapes, network: Buildable, knobs: Mapping[str, Any] | None = None, fixed: Collection[str] = ()
) -> NetworkMatch:
    """The network with the classes, channels, auxiliary heads and size that the file shows, beside other knobs given.

    fixed: knobs that stay as they are. Where the file is another network's, knobs change only as far as that makes more
    of it fit.
    """
    given = dict(knobs or {})
    return _told(NetworkMatch(network.name, fit(held, network.shapes(given)), given), network, fixed)


def _told(found: NetworkMatch, network: Buildable, fixed: Collection[str] = ()) -> NetworkMatch:
    """The match with the classes, channels, heads and size that the file shows."""
    for propose in (_switched_off, _counted, _sized):
        if found.fit.is_whole:
            break
        changes = [change for change in propose(found, network) if change[0] not in fixed]
        found = _improved(found, network, changes)
    return found


Change = tuple[str, Any, str]  # of a knob: its name, its new value, and why


def _improved(found: NetworkMatch, network: Buildable, changes: Iterable[Change]) -> NetworkMatch:
    """The match after every change of a knob that makes the file fit better."""
    for knob, value, reason in changes:
        knobs = {**found.knobs, knob: value}
        try:
            other = fit(found.fit.held, network.shapes(knobs))
        except SpecError:
            continue
        if nearness(other) > nearness(found.fit):
            found = NetworkMatch(found.name, other, knobs, {**found.reasons, knob: reason})
    return found


def _switched_off(found: NetworkMatch, network: Buildable) -> Iterator[Change]:
    """Auxiliary heads, of which the file has nothing."""
    for knob in network.switches if found.fit.missing else ():
        yield knob, False, f"the file has no {found.fit.missing[0].partition('.')[0]}"


def _counted(found: NetworkMatch, network: Buildable) -> Iterator[Change]:
    """Classes and channels: the only side in which a tensor differs, where the network has their number there."""
    seen = set[tuple[str, int]]()
    for name in found.fit.reshaped:
        own, here = found.fit.held[found.fit.names[name]], found.fit.wanted[name]
        others = [i for i, (a, b) in enumerate(zip(own, here, strict=False)) if a != b]
        for knob, (axis, default) in network.counts.items() if len(own) == len(here) else ():
            is_it = others == [axis] and here[axis] == found.knobs.get(knob, default)
            if is_it and (knob, own[axis]) not in seen:
                seen.add((knob, own[axis]))
                yield knob, own[axis], f"{shown_name(found.fit.names[name])} is {size_text(own)}"


def _sized(found: NetworkMatch, network: Buildable) -> Iterator[Change]:
    """Sizes of the input, where tensors grow with it: positions of a transformer, a linear layer on a flattened map."""
    if not found.fit.reshaped or network.side_px is None or not _grows(network, found.knobs):
        return
    name = found.fit.reshaped[0]
    own = found.fit.held[found.fit.names[name]]
    for side in SIDES_PX:
        yield "image_size", side, f"{shown_name(found.fit.names[name])} is {size_text(own)}"


def _grows(network: Buildable, knobs: Mapping[str, Any]) -> bool:
    """Whether some tensors are larger for a larger input."""
    side = knobs.get("image_size", network.side_px)
    with contextlib.suppress(SpecError):
        return network.shapes({**knobs, "image_size": 2 * side}) != network.shapes(knobs)
    return False


def shapes_of_spec(spec: NetSpec) -> Shapes:
    """The shapes in the state dict of a Spec's network, which is built on meta."""
    return _shapes(spec)  # pyright: ignore[reportArgumentType]  (frozen, so hashable)


@lru_cache(maxsize=512)
def _shapes(spec: NetSpec) -> Shapes:
    with only_compared():
        return shapes_of(build(spec, device="meta", unchecked=True))


# -- presets ----------------------------------------------------------------------------------------------------------


def buildable(preset_name: str) -> Buildable:
    """A preset, with its knobs. Raises UnknownNameError."""
    spec = preset(preset_name).spec
    told_otherwise = {"num_classes", "in_channels", "image_size", *SWITCHES}
    return Buildable(
        preset_name, lambda knobs: shapes_of_spec(spec.replace(**knobs)),
        {"num_classes": (0, spec.num_classes), "in_channels": (1, spec.in_channels)},
        tuple(knob for knob in SWITCHES if getattr(spec, knob, False)), spec.image_size,
        {knob: value for knob, value in spec if knob not in told_otherwise},
    )  # fmt: skip


def candidates(held: Shapes, progress: Callable[[int, int], None] = lambda *_: None) -> list[NetworkMatch]:
    """The presets that a file may belong to, each with the knobs that the file shows, the best first.

    Of each family one preset tells whether the others are worth a look. progress: of presets done, and of all.
    """
    shares = {family.name: _share(held, next(iter(family.presets))) for family in architectures()}
    least = NEAR_FAMILY * max(shares.values())
    names = [name for family in architectures() if shares[family.name] >= least > 0 for name in family.presets]
    names = sorted(names, key=lambda name: -_share(held, name))[:MOST_PRESETS]
    found = []
    for done, name in enumerate(names):
        progress(done, len(names))
        found.append(adapted(held, buildable(name)))
    for match in [] if any(match.fit.is_whole for match in found) else _alike(map(_numbered_through, found)):
        found.append(searched(match))
        if found[-1].fit.is_whole:
            break
    return ranked({match.name: match for match in found}.values())


def searched(match: NetworkMatch) -> NetworkMatch:
    """The match of a preset with the depths and widths that the file shows, beside classes, channels and size."""
    network = buildable(match.name)
    values = network.depths_and_widths
    found, knobs = search(match.fit, match.knobs, Searched(network.shapes, values))
    spec = preset(match.name).spec.replace(**knobs)
    why = {knob: "the shapes of its tensors show" for knob in knobs if knob in values}
    knobs = {knob: getattr(spec, knob) for knob in knobs}
    return _told(NetworkMatch(match.name, found, knobs, {**match.reasons, **why}), network)


def _numbered_through(match: NetworkMatch) -> NetworkMatch:
    """The match with the depths that the numbers of its layers show: without them no other name is where it was."""
    network = buildable(match.name)
    depths = depths_read_off(match.fit, network.depths_and_widths)
    return _improved(match, network, [(knob, value, "the numbers of its layers show") for knob, value in depths])


def _alike(found: Iterable[NetworkMatch]) -> list[NetworkMatch]:
    """Those with most of the file's names, though other shapes: the likeliest to differ in depth or width alone."""
    near = [
        match for match in found if len(match.fit.names) > LEAST_ALIKE * min(len(match.fit.held), len(match.fit.wanted))
    ]
    of_family = dict[str, list[NetworkMatch]]()
    for match in sorted(near, key=lambda match: match.fit.differences):
        of_family.setdefault(architecture_of(match.name).name, []).append(match)
    nearest = [match for matches in of_family.values() for match in matches[:2]]
    return sorted(nearest, key=lambda match: match.fit.differences)[:MOST_SEARCHED]


def ranked(matches: Iterable[NetworkMatch]) -> list[NetworkMatch]:
    """Those of which a good part fits, the nearest first."""
    return sorted(
        (match for match in matches if overlap(match.fit) >= LEAST_OVERLAP),
        key=lambda match: (not match.fit.is_whole, match.fit.differences, len(match.knobs), match.name),
    )


def overlap(found: TensorFit) -> float:
    """Which share of the tensors of both fits, 0 to 1."""
    return len(found.same) / max(len(found.held), len(found.wanted)) if found.same else 0.0


def _share(held: Shapes, preset_name: str) -> float:
    """Which share of all names a file and a preset have in common."""
    found = fit(held, shapes_of_spec(preset(preset_name).spec))
    return len(found.names) / math.hypot(len(found.held), len(found.wanted))
