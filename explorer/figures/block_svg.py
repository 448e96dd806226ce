"""A block figure as SVG, black on nothing, for a page of paper or a slide."""

from __future__ import annotations

from html import escape

from explorer.figures.block_figure import LINE_PX, TIMES_PX, BlockBox, BlockFigure, BlockFrame, BlockLine
from explorer.figures.graph_dot import kind_colour, tint

_INK, _QUIET = "#1f2430", "#5f6875"
_HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} '
    '{height:.0f}" font-family="Helvetica, Arial, sans-serif" font-size="12">\n<title>{title}</title>\n'
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    f'<path d="M0 0.5 8 4 0 7.5z" fill="{_QUIET}"/></marker></defs>\n'
)


def block_svg(figure: BlockFigure, title: str) -> str:
    """An SVG document; title: what it is of."""
    parts = [*map(_frame, figure.frames), *map(_line, figure.lines), *map(_shape, figure.boxes)]
    parts += map(_box, figure.boxes)
    head = _HEAD.format(width=figure.width, height=figure.height, title=escape(title))
    return f"{head}{''.join(parts)}</svg>\n"


def _frame(frame: BlockFrame) -> str:
    return (
        f'<rect class="frame" x="{frame.left:.1f}" y="{frame.top:.1f}" width="{frame.right - frame.left:.1f}" '
        f'height="{frame.bottom - frame.top:.1f}" rx="6" fill="none" stroke="{_QUIET}" stroke-dasharray="4 3"/>\n'
        f'<text x="{frame.right + 5:.1f}" y="{(frame.top + frame.bottom) / 2 + 4:.1f}" font-weight="bold" '
        f'fill="{_INK}">×{frame.times}</text>\n'
    )


def _line(line: BlockLine) -> str:
    (x, y), *rest = line.points
    path = f"M{x:.1f} {y:.1f}C" + " ".join(f"{x:.1f} {y:.1f}" for x, y in rest)
    ends = f'data-from="{line.source}" data-to="{line.target}"'
    return f'<path {ends} d="{path}" fill="none" stroke="{_QUIET}" stroke-width="1.3" marker-end="url(#tip)"/>\n'


def _box(box: BlockBox) -> str:
    colour = kind_colour(box.kind)
    left, top = box.x - box.width / 2, box.y - box.height / 2
    first = box.y + 4 - (LINE_PX / 2 if box.details else 0)
    parts = [
        f'<rect class="box" id="{box.id}" x="{left:.1f}" y="{top:.1f}" width="{box.width:.1f}" '
        f'height="{box.height:.1f}" rx="4" fill="{tint(colour)}" stroke="{colour}" stroke-width="1.3"/>',
        _text(box.x, first, box.title, f'fill="{_INK}" text-anchor="middle"'),
    ]
    if box.details:
        style = f'fill="{_QUIET}" text-anchor="middle" font-size="10.5"'
        parts.append(_text(box.x, first + LINE_PX, box.details, style))
    if box.times > 1:
        parts.append(
            _text(left + box.width + 5, box.y - TIMES_PX + 4, f"×{box.times}", f'fill="{_INK}" font-weight="bold"')
        )
    return "\n".join(parts) + "\n"


def _shape(box: BlockBox) -> str:
    """What the box hands on, on a ground of its own where a line would cross it."""
    style = f'class="shape" fill="{_QUIET}" font-size="9.5" paint-order="stroke" stroke="#fff" stroke-width="3"'
    return _text(box.x + 5, box.y + box.height / 2 + 12, box.shape, style) + "\n"


def _text(x: float, y: float, text: str, style: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'
