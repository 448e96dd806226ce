"""What the report of a network says: its figures, and what it makes of a picture where it is given one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from explorer.analysis import activations, occlusion
from explorer.analysis.occluder import default_stride, default_window, fill_values
from explorer.analysis.occlusion import OcclusionSettings, OnProgress
from explorer.analysis.passes import Cancel
from explorer.analysis.structure import Analysis
from explorer.figures import occlusion as figures
from explorer.figures import units
from explorer.figures.caveats import field_text, inexact_fields, uncounted_macs, weight_products
from explorer.figures.graph_page import graph_page
from explorer.figures.graph_payload import graph_payload
from explorer.figures.raster import enlarge, zoom_of
from explorer.figures.report import ReportPicture, answer_in_words, maps_picture, report_page
from explorer.graph.trace import TracedProgram
from explorer.images.preprocess import Preprocessing
from explorer.receptive_field.report import ReceptiveField
from explorer.run.device import format_bytes

LAYERS_SHOWN = 4  # whose maps are shown, evenly over the depth
_OPACITY = 0.6  # of a map over the picture
Sections = dict[str, list[ReportPicture]]


@dataclass(frozen=True, eq=False)
class ReportedPicture:
    """A picture, uint8 [H, W, 3], and the network that is asked of it; prepared: its way into it, in words."""

    name: str
    pixels: np.ndarray
    program: TracedProgram
    image: Tensor
    preprocessing: Preprocessing
    prepared: str
    classes: Sequence[str]


def whole_report(
    title: str,
    analysis: Analysis,
    asked: ReportedPicture | None = None,
    *,
    progress: OnProgress | None = None,
    cancel: Cancel | None = None,
) -> str:
    """The HTML page of a network. progress, cancel: of the occlusion, see `occlusion_map`. Raises Cancelled."""
    facts, sections = _facts(analysis), Sections()
    if asked is not None:
        said, sections = _of_picture(analysis, asked, progress, cancel)
        facts |= said
    return report_page(title, facts, analysis, graph_page(graph_payload(analysis, title=title)), sections)


def _facts(analysis: Analysis) -> dict[str, str]:
    field, local = analysis.receptive_field, analysis.local_receptive_field
    seen, near = (_size(analysis, each) for each in (field, local))
    facts = {
        "Parameters": f"{analysis.params:,} ({format_bytes(analysis.weight_bytes)})",
        "MACs": f"{analysis.macs:,}",
        "Activations": f"{format_bytes(analysis.activation_bytes)}, at once {format_bytes(analysis.peak_bytes)}",
        "Receptive field": "the whole image" if field.is_global else seen,
    }
    if field.is_global and not local.is_global:
        facts["Without gates"] = near
    caveats = filter(None, (weight_products(analysis), uncounted_macs(analysis.uncounted), inexact_fields(analysis)))
    return facts | {f"Note {number}": text for number, text in enumerate(caveats, 1)}


def _size(analysis: Analysis, field: ReceptiveField) -> str:
    return field_text(f"{units.pair(field.size)} px", analysis[analysis.head_layer].certainty)


def _of_picture(
    analysis: Analysis, asked: ReportedPicture, progress: OnProgress | None, cancel: Cancel | None
) -> tuple[dict[str, str], Sections]:
    """What the network makes of the picture: facts, and pictures under their headings."""
    seen = asked.preprocessing.view(asked.pixels)
    found = activations.predict(asked.program, asked.image)
    maps = [
        maps_picture(layer, activations.feature_maps(asked.program, asked.image, layer).float().cpu().numpy())
        for layer in _layers(analysis)
    ]
    facts = {"Picture": asked.name, "Prepared": asked.prepared, "Answer": answer_in_words(found, asked.classes)}
    square = _square(asked)
    hidden = occlusion.occlusion_map(asked.program, asked.image, None, square, progress=progress, cancel=cancel)
    at = figures.placement(hidden, (seen.shape[0], seen.shape[1]))
    shown = figures.over(seen, hidden.probability, hidden.done, at, figures.scale(hidden.probability, hidden.baseline),
                         _OPACITY, smooth=False)  # fmt: skip
    caption = f"The probability of {asked.classes[hidden.target]} with a square of {square.window} px at each place"
    picture = ReportPicture(enlarge(seen, zoom_of(at.size)), asked.name)
    return facts, {"Picture": [picture, ReportPicture(shown, caption)], "Feature maps": maps}


def _square(asked: ReportedPicture) -> OcclusionSettings:
    """A gray square of the default size for this input."""
    window = default_window(min(asked.image.shape[2:]))
    mean, std = (torch.tensor(values) for values in (asked.preprocessing.mean, asked.preprocessing.std))
    filling = fill_values(asked.image.cpu(), "gray", mean, std)
    return OcclusionSettings(window, default_stride(window), fill_value=filling)


def _layers(analysis: Analysis) -> list[str]:
    """Layers with maps, evenly over the depth."""
    held = [layer.id for layer in analysis.layers if layer.is_map and layer.kind != "input" and layer.params]
    places = np.linspace(0, len(held) - 1, min(LAYERS_SHOWN, len(held))).round().astype(int)
    return [held[place] for place in dict.fromkeys(places.tolist())]
