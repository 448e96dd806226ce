"""How the knobs of a Spec are laid out: groups, tables, labels. No Streamlit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, get_args, get_origin

from models.spec import Knob, NetSpec, Spec

FEW_STEPS = 40  # up to here a slider can be set with a finger

_WORDS = {"fc": "FC", "lrn": "LRN", "mlp": "MLP", "aux": "auxiliary", "ceil": "rounding up",
          "kernel5": "kernel of the 5×5 branch"}  # fmt: skip
# Headings of narrow columns, as the papers' tables have them.
_SYMBOLS = {
    "expansion": "t", "width": "c", "depth": "n", "stride": "s", "kernel": "k", "block": "op",  # MobileNet v2, table 2
    "expanded": "exp", "attention": "SE", "activation": "NL",  # MobileNet v3, table 1
    "conv1": "1×1", "reduce3": "3×3 r", "conv3": "3×3", "reduce5": "5×5 r", "conv5": "5×5", "pool_conv": "pool",
    "reduce_double": "2·3×3 r", "conv_double": "2·3×3", "branch_pool": "pool by",  # Inception, table 1
    "squeeze": "s1×1", "expand1": "e1×1", "expand3": "e3×3",  # SqueezeNet, table 1
    "widths": "c", "kernels": "k", "strides": "s", "paddings": "p", "groups": "g", "pools": "pool",
}  # fmt: skip
_FEW_COLUMNS = 3
SHARED = "Per stage"
_GENERAL = "Layers"
_INPUT = "Input and classes"


def groups(spec: type[Spec]) -> dict[str, list[str]]:
    """Field names by the title of their group: stages first, then what shares the first word of its name."""
    shared = in_tables(spec)
    prefixes = [name.partition("_")[0] for name in spec.model_fields]
    found: dict[str, list[str]] = {}
    for name in spec.model_fields:
        found.setdefault(_group(spec, name, shared, prefixes), []).append(name)
    order = {SHARED: 0, _GENERAL: 1, _INPUT: 99}
    return dict(sorted(found.items(), key=lambda item: order.get(item[0], 2)))


def _group(spec: type[Spec], name: str, shared: set[str], prefixes: list[str]) -> str:
    if name in NetSpec.model_fields:
        return _INPUT
    if name in shared:
        return SHARED
    first = name.partition("_")[0]
    return label(first) if prefixes.count(first) > 1 else _GENERAL


def lengths(spec: type[Spec]) -> list[list[str]]:
    """Tuple knobs that grow and shrink together: those of equal length and equal limits."""
    found: dict[Any, list[str]] = {}
    for name, knob in spec.knobs().items():
        if isinstance(knob.default, tuple) and knob.length and knob.length[0] < knob.length[1]:
            found.setdefault((knob.length, len(knob.default)), []).append(name)
    return list(found.values())


def in_tables(spec: type[Spec]) -> set[str]:
    """The fields whose values stand in a table: tuples that grow together, and tuples of Specs."""
    beside = {name for names in lengths(spec) if len(names) > 1 for name in names}
    return beside | {
        name
        for name, field in spec.model_fields.items()
        if get_origin(field.annotation) is tuple and is_nested(field.annotation)
    }


def is_nested(annotation: Any) -> bool:
    """Whether a field holds Specs, or tuples of them."""
    if get_origin(annotation) is tuple:
        return is_nested(get_args(annotation)[0])
    return isinstance(annotation, type) and issubclass(annotation, Spec)


def label(name: str) -> str:
    """A field name as a person reads it: head_size → Head size."""
    text = " ".join(_WORDS.get(word, word) for word in name.split("_"))
    return text[:1].upper() + text[1:]


def headings(names: Sequence[str]) -> dict[str, str]:
    """What stands above each column of a table: words where there is room for them, else the papers' symbols."""
    if len(names) <= _FEW_COLUMNS:
        return {name: label(name) for name in names}
    return {name: _SYMBOLS.get(name, label(name)) for name in names}


def show(value: Any) -> str:
    """A knob's value in a mark: 96, 256, 384; yes."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (tuple, list)):
        return ", ".join(map(show, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def is_slider(knob: Knob) -> bool:
    """Whether a slider can show the knob: few steps, which start at the lowest value and are the step's multiples.

    A slider only reaches what lies whole steps above its lowest value: from 1 by 4 it has no 32.
    """
    if knob.low is None or knob.high is None or not knob.step or knob.choices:
        return False
    ends = knob.low / knob.step, knob.high / knob.step
    return ends[1] - ends[0] <= FEW_STEPS and all(math.isclose(end, round(end), abs_tol=1e-6) for end in ends)
