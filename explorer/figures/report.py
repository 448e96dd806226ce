"""A network on one page of its own, to be sent or kept: figures, graph, layers, and what it makes of a picture."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from explorer.analysis.activations import Prediction
from explorer.analysis.structure import Analysis, LayerReport
from explorer.errors import in_percent
from explorer.figures.caveats import field_text
from explorer.figures.maps import grid
from explorer.figures.raster import limits
from explorer.images.codec import encode_png

MOST_MAPS = 16  # channels shown of a layer, the strongest
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #1c2733;
  background: #fff; }
h1 { font-size: 1.7rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.87rem; }
td, th { padding: 0.2rem 0.9rem 0.2rem 0; text-align: left; border-bottom: 1px solid #e3e8ec; }
.scroll { max-height: 32rem; overflow: auto; } .pictures { display: flex; flex-wrap: wrap; gap: 1.5rem; }
figure { margin: 0; max-width: 100%; } img { max-width: 100%; } figcaption { color: #5a6672; font-size: 0.87rem; }
iframe { width: 100%; height: 40rem; border: 1px solid #e3e8ec; border-radius: 6px; }
@media (prefers-color-scheme: dark) { body { color: #dfe6ec; background: #10161c; } td, th { border-color: #2b3640; }
  figcaption { color: #9aa7b3; } iframe { background: #fff; } }
"""
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>{style}</style>
</head>
<body>
<h1>{title}</h1>
{facts}
{pictures}
<h2>Graph</h2>
<iframe title="Graph" sandbox="allow-scripts allow-downloads" srcdoc="{graph}"></iframe>
<h2>Layers</h2>
<div class="scroll">{layers}</div>
</body>
</html>
"""


@dataclass(frozen=True, eq=False)
class ReportPicture:
    """A picture, uint8 [H, W, 3 or 4], with a line below it."""

    pixels: np.ndarray
    caption: str

    @property
    def html(self) -> str:
        """It and its line, the picture in the text itself."""
        data = base64.b64encode(encode_png(self.pixels)).decode()
        caption = escape(self.caption)
        image = f'<img src="data:image/png;base64,{data}" alt="{caption}">'
        return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def report_page(
    title: str,
    facts: Mapping[str, str],
    analysis: Analysis,
    graph: str,
    sections: Mapping[str, Sequence[ReportPicture]],
) -> str:
    """An HTML page that needs no other file and no server.

    facts: what is said in the table on top. graph: a page of its own, which is put into a frame. sections: pictures
    under headings.
    """
    pictures = "".join(
        f'<h2>{escape(heading)}</h2><div class="pictures">{"".join(picture.html for picture in found)}</div>'
        for heading, found in sections.items()
    )
    return _PAGE.format(
        title=escape(title), style=_STYLE, facts=_table(facts.items()), pictures=pictures, graph=escape(graph),
        layers=_table(map(_row, analysis.layers), _HEADINGS),
    )  # fmt: skip


def _table(rows: Iterable[Iterable[str]], headings: Sequence[str] = ()) -> str:
    head = f"<tr>{''.join(f'<th>{escape(text)}</th>' for text in headings)}</tr>" if headings else ""
    body = "".join(f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in row)}</tr>" for row in rows)
    return f"<table>{head}{body}</table>"


_HEADINGS = ("Layer", "Kind", "Output", "Parameters", "MACs", "Receptive field")


def _row(layer: LayerReport) -> tuple[str, ...]:
    field = field_text("×".join(map(str, layer.receptive_field.size)), layer.certainty)
    macs = "unknown" if layer.macs is None else f"{layer.macs:,}"
    return layer.id, layer.kind, "×".join(map(str, layer.output_shape[1:])), f"{layer.params:,}", macs, field


def maps_picture(layer: str, maps: np.ndarray) -> ReportPicture:
    """The strongest maps of a layer [channels, rows, columns], each in its own colours."""
    order = np.argsort(-np.nan_to_num(maps).mean((1, 2)), kind="stable")[:MOST_MAPS]
    shown = maps[order]
    return ReportPicture(
        grid(shown, [limits(channel) for channel in shown], columns=4),
        f"{layer}: the {len(shown)} strongest of {len(maps):,} maps, {maps.shape[1]} × {maps.shape[2]}",
    )


def answer_in_words(prediction: Prediction, classes: Sequence[str]) -> str:
    """The most probable classes in one line."""
    if not prediction.is_finite:
        return "none: the output holds NaN or infinity"
    return ", ".join(f"{classes[number]} {in_percent(value, 1)}" for number, value in prediction.classes)
