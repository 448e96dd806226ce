"""First-layer filters of networks beside each other: what is said of each, and which frequencies they look at."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from explorer.analysis.first_layer import ALIASED, BANDS, WEAK, FirstLayer
from explorer.errors import in_percent
from explorer.figures import filters
from explorer.figures.layers import BLUE, ORANGE
from explorer.figures.raster import contact_sheet, enlarge
from explorer.images.preprocess import ColourOrder

SMALLEST_PX = 48  # of a filter on a sheet
FILTER_MARKS = (
    f"**Dead**: its greatest activation over the pictures is below {in_percent(WEAK)} of the median channel's. "
    f"**Aliased**: more than {in_percent(ALIASED)} of its energy, without its mean, is at frequencies beyond half a "
    "cycle per stride, which reach the map as other, lower ones."
)


def order(found: FirstLayer) -> list[int]:
    """The channels, the least aliased first, the dead last."""
    return [int(i) for i in np.lexsort((found.beyond, found.is_dead))]


def mark(found: FirstLayer, channel: int) -> str:
    """The word for a channel that is dead or aliased; "" for the others."""
    return "dead" if found.is_dead[channel] else "aliased" if found.is_aliased[channel] else ""


def plan(found: FirstLayer) -> str:
    """The window and stride, as "7×7, stride 2"."""
    (rows, columns), (down, across) = found.size, found.stride
    return f"{rows}×{columns}, stride {down if down == across else f'{down} and {across}'}"


def summary(found: FirstLayer) -> str:
    """How many filters are dead and aliased, and the mean share of energy beyond what the stride carries."""
    count = len(found.beyond)
    return (
        f"{int(found.is_dead.sum())} of {count} dead, {int(found.is_aliased.sum())} aliased; "
        f"{in_percent(found.beyond.mean())} of the energy is beyond what stride {found.stride[0]} carries."
    )


def spectrum_chart(networks: Mapping[str, FirstLayer]) -> go.Figure:
    """Bars: the mean share of the filters' energy in each band of frequencies, of each network by name."""
    edges = [number * 0.5 / BANDS for number in range(BANDS + 1)]
    labels = [f"{low:.1f} – {high:.1f}" for low, high in zip(edges, edges[1:], strict=False)]
    figure = go.Figure()
    for colour, (name, found) in zip((BLUE, ORANGE), networks.items(), strict=False):
        figure.add_bar(x=labels, y=found.spectrum, name=name, marker_color=colour,
                       hovertemplate="%{x} cycles/px<br>%{y:.1%}<extra></extra>")  # fmt: skip
    figure.update_xaxes(title="frequency, cycles per pixel")
    figure.update_yaxes(title="share of the energy", tickformat=".0%")
    return figure.update_layout(
        height=300, margin={"l": 10, "r": 10, "t": 10, "b": 10}, barmode="group",
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.02},
    )  # fmt: skip


def sheet(found: FirstLayer, colours: ColourOrder = "RGB", columns: int = 8) -> np.ndarray:
    """All filters as one picture, uint8 [H, W, 3], in `order`. colours: in which order the network reads them."""
    pictures, _ = filters.filter_pictures(found.filters, order(found), order=colours)
    zoom = max(1, -(-SMALLEST_PX // max(found.size)))
    return contact_sheet([enlarge(picture, zoom) for picture in pictures], columns)
