"""A block figure as a LaTeX document that needs TikZ alone, to be edited and put into a paper."""

from __future__ import annotations

from explorer.figures.block_figure import TIMES_PX, BlockBox, BlockFigure, BlockFrame, BlockLine
from explorer.figures.graph_dot import kind_colour

_DOCUMENT = r"""% {title}
\documentclass[tikz,border=4pt]{{standalone}}
{colours}
\begin{{document}}
\begin{{tikzpicture}}[
  x=0.75pt, y=-0.75pt, line width=0.8pt, font=\sffamily\fontsize{{9}}{{11}}\selectfont,
  box/.style={{draw=#1, fill=#1!22, rounded corners=2pt, align=center, inner sep=0pt}},
  flow/.style={{draw=black!60, ->, >=latex}},
  frame/.style={{draw=black!60, dashed, rounded corners=3pt}},
  shape/.style={{anchor=north west, text=black!65, fill=white, inner sep=1pt,
    font=\sffamily\fontsize{{7}}{{8}}\selectfont}},
  times/.style={{anchor=west, inner sep=3pt, font=\sffamily\bfseries\fontsize{{9}}{{11}}\selectfont}},
]
{body}
\end{{tikzpicture}}
\end{{document}}
"""
# What TeX reads as commands, and signs that its fonts lack.
_SIGNS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "^": r"\^{}", "~": r"\~{}", "<": r"$<$", ">": r"$>$", "|": r"$|$", '"': r"''", "×": r"$\times$", "·": r"$\cdot$",
    "→": r"$\to$", "…": r"\dots{}", "−": r"$-$", "≤": r"$\leq$", "\xa0": "~",
}  # fmt: skip


def block_tikz(figure: BlockFigure, title: str) -> str:
    """A standalone LaTeX document; title: what it is of, as a comment."""
    colours = sorted({kind_colour(box.kind) for box in figure.boxes})
    names = {colour: f"kind{chr(ord('A') + number)}" for number, colour in enumerate(colours)}
    defined = "\n".join(f"\\definecolor{{{name}}}{{HTML}}{{{colour[1:]}}}" for colour, name in names.items())
    body = [*map(_frame, figure.frames), *(_box(box, names[kind_colour(box.kind)]) for box in figure.boxes)]
    body += [*map(_line, figure.lines), *map(_shape, figure.boxes)]
    return _DOCUMENT.format(title=_comment(title), colours=defined, body="\n".join(body))


def tex_escape(text: str) -> str:
    """Text that LaTeX prints as it is; a letter beyond ASCII that it has no sign for becomes a question mark."""
    return "".join(_SIGNS.get(sign) or (sign if sign.isascii() and sign.isprintable() else "?") for sign in text)


def _comment(text: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in text)


def _frame(frame: BlockFrame) -> str:
    middle = (frame.top + frame.bottom) / 2
    return (
        f"\\draw[frame] {_at(frame.left, frame.top)} rectangle {_at(frame.right, frame.bottom)};\n"
        f"\\node[times] at {_at(frame.right, middle)} {{$\\times${frame.times}}};"
    )


def _box(box: BlockBox, colour: str) -> str:
    text = tex_escape(box.title)
    if box.details:
        text += f"\\\\{{\\fontsize{{8}}{{10}}\\selectfont\\color{{black!65}}{tex_escape(box.details)}}}"
    size = f"minimum width={box.width * 0.75:.1f}pt, minimum height={box.height * 0.75:.1f}pt"
    lines = [f"\\node[box={colour}, {size}] ({box.id}) at {_at(box.x, box.y)} {{{text}}};"]
    if box.times > 1:
        lines.append(f"\\node[times] at {_at(box.x + box.width / 2, box.y - TIMES_PX)} {{$\\times${box.times}}};")
    return "\n".join(lines)


def _shape(box: BlockBox) -> str:
    return f"\\node[shape] at {_at(box.x + 3, box.y + box.height / 2 + 3)} {{{tex_escape(box.shape)}}};"


def _line(line: BlockLine) -> str:
    """Cubic curves one after the other, as the points say."""
    points = [_at(x, y) for x, y in line.points]
    curves = "".join(
        f" .. controls {points[i]} and {points[i + 1]} .. {points[i + 2]}" for i in range(1, len(points) - 1, 3)
    )
    return f"\\draw[flow] {points[0]}{curves}; % {line.source} to {line.target}"


def _at(x: float, y: float) -> str:
    return f"({x:.1f},{y:.1f})"
