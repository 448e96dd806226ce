"""A layer in the field's words: conv 3×3 /2 · 64 → 128."""

from __future__ import annotations

from explorer.graph.layers import Layer, Window

TICK_LENGTH = 16  # characters; longer names at the axis leave a phone's chart no room


def tick(name: str) -> str:
    """A layer's name at the axis of a chart: the end of a long one, which tells it from its neighbours."""
    return name if len(name) <= TICK_LENGTH else f"…{name[1 - TICK_LENGTH :]}"


def operation(kind: str, window: Window | None) -> str:
    """What a layer does, with its window: conv 7×7 /2."""
    name = kind.replace("adaptive_", "").replace("_", " ")
    if window is None:
        return name
    (rows, columns), (down, across) = window.kernel, window.stride
    stride = "" if (down, across) == (1, 1) else f" /{down}" if down == across else f" /{down},{across}"
    return f"{name} {rows}×{columns}{stride}".strip()


def sentence(layer: Layer) -> str:
    """The same with channels, and what else tells it from others of its kind: groups, dilation."""
    parts = [operation(layer.kind, layer.window), _channels(layer)]
    if layer.window and layer.window.dilation != (1, 1):
        parts.append(f"dilation {'×'.join(map(str, layer.window.dilation))}")
    if (groups := layer.attributes.get("groups", 1)) != 1:
        parts.append(f"{groups:,} groups")
    return " · ".join(part for part in (*parts, layer.op) if part)


def _channels(layer: Layer) -> str:
    before, after = ([shape[1] for shape in shapes if len(shape) > 1] for shapes in (layer.input_shapes, layer.outputs))
    if not after:
        return ""
    if before[:1] == after[:1]:
        return f"{after[0]:,} channels"
    return " → ".join(f"{number:,}" for number in (*before[:1], after[0]))
