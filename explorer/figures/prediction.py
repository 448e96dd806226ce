"""The most probable classes as bars, and probabilities in words."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import plotly.graph_objects as go

from explorer.analysis.activations import Prediction
from explorer.analysis.outputs import Output

ROW_PX = 34


def bars(prediction: Prediction, names: Sequence[str]) -> go.Figure:
    """One bar per class, the most probable on top, its name and probability written on it."""
    unit = "Value" if prediction.output == "logits" else "Probability"
    labels = [names[index] for index, _ in prediction.classes]
    shares = [share for _, share in prediction.classes]
    texts = [in_words(share, prediction.output) for share in shares]
    figure = go.Figure(
        go.Bar(
            x=shares, y=list(range(len(shares))), orientation="h", text=texts,
            textposition="outside", cliponaxis=False,
            meta={"x": unit, "y": None, "customdata": ("Class",)}, customdata=[plotly_safe(label) for label in labels],
            hovertemplate="%{customdata}: %{x:.4f}<extra></extra>",
        )
    )  # fmt: skip
    figure.update_xaxes(range=_span(prediction.output, shares), visible=False, fixedrange=True)
    figure.update_yaxes(
        tickvals=list(range(len(labels))), ticktext=[plotly_safe(shortened(label)) for label in labels],
        autorange="reversed", fixedrange=True, automargin=True, ticks="", showgrid=False,
    )  # fmt: skip
    figure.update_layout(
        height=ROW_PX * len(labels) + 8, margin={"l": 0, "r": 0, "t": 4, "b": 4}, bargap=0.35, dragmode=False
    )
    return figure


def _span(output: Output, values: Sequence[float]) -> list[float]:
    """The ends of the axis, with room for what is written at the bars."""
    if output != "logits":
        return [0, 1.2]
    low, high = min(0.0, *values), max(0.0, *values)
    room = 0.2 * (high - low or 1)
    return [low - (room if low < 0 else 0), high + room]


def plotly_safe(name: str) -> str:
    """A name from outside, as a class of a person's weights: Plotly would read a few HTML tags in it."""
    return escape(name, quote=False)


def shortened(name: str, length: int = 22) -> str:
    """A class name that leaves room for its bar."""
    return name if len(name) <= length else f"{name[: length - 1]}…"


def percent(share: float) -> str:
    """A probability for people: 97 %, 1.2 %, < 0.1 %."""
    if 0 < share < 0.001:
        return "< 0.1 %"
    digits = 1 if 0 < share < 0.0995 or 0.995 <= share < 0.9995 else 0
    return f"{100 * share:.{digits}f} %"


def in_words(value: float, output: Output) -> str:
    """What is shown of a class: a probability, or the network's own value where it is that."""
    return f"{value:.4g}" if output == "logits" else percent(value)


_MADE = {
    "softmax": "Probabilities: softmax over the classes.",
    "sigmoid": "Probabilities: sigmoid of each value by itself.",
    "probabilities": "Probabilities: as the network gives them.",
    "logits": "The network's values as they are, which are no probabilities.",
}


def explained(output: Output, tensor: str = "") -> str:
    """How probabilities were made, and of which of the network's outputs where it has several."""
    return _MADE[output] + (f" Of its outputs it is {tensor}." if tensor else "")
