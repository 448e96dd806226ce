"""The command `report`: a network on one HTML page, with what it makes of a picture where one is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from explorer.analysis import activations, occlusion
from explorer.analysis.structure import Analysis
from explorer.cli.pictures import OPACITY, Chosen, Square, chosen_picture, show_progress, writable
from explorer.figures import occlusion as figures
from explorer.figures import units
from explorer.figures.caveats import field_text, inexact_fields, uncounted_macs, weight_products
from explorer.figures.graph_page import graph_page
from explorer.figures.graph_payload import graph_payload
from explorer.figures.raster import enlarge, zoom_of
from explorer.figures.report import ReportPicture, answer_in_words, maps_picture, report_page
from explorer.networks import catalog, picture_input
from explorer.receptive_field.report import ReceptiveField
from explorer.run.device import format_bytes
from explorer.whole_file import write_whole

LAYERS_SHOWN = 4  # whose maps are shown, evenly over the depth


def report_command(image: str | None, out: str, **network: Any) -> int:
    """Write one HTML file that needs nothing else; network: see `Chosen`. Raises UserError that names the file."""
    chosen, target = Chosen.of(network), writable(Path(out), ".html")
    analysis = catalog.find(chosen.name, dict(chosen.knobs), chosen.seed).analysis()
    facts, sections = _facts(analysis), dict[str, list[ReportPicture]]()
    if image is not None:
        said, sections = _of_picture(chosen, image)
        facts |= said
    graph = graph_page(graph_payload(analysis, title=chosen.name))
    page = report_page(chosen.name, facts, analysis, graph, sections)
    write_whole(target, lambda draft: draft.write_text(page, encoding="utf-8"))
    print(f"{target}: {len(analysis.layers)} layers, {len(page.encode()):,} bytes")
    return 0


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


def _of_picture(chosen: Chosen, image: str) -> tuple[dict[str, str], dict[str, list[ReportPicture]]]:
    """What the network makes of the picture: facts, and pictures under their headings."""
    pixels, loaded = chosen_picture(image), chosen.load()
    tensor, seen = loaded.input(pixels), loaded.preprocessing.view(pixels)
    found = activations.predict(loaded.program, tensor)
    facts = {
        "Picture": image, "Prepared": picture_input.describe(loaded.preprocessing),
        "Answer": answer_in_words(found, loaded.classes),
    }  # fmt: skip
    maps = [
        maps_picture(layer, activations.feature_maps(loaded.program, tensor, layer).float().cpu().numpy())
        for layer in _layers(catalog.find(chosen.name, dict(chosen.knobs), chosen.seed).analysis())
    ]
    square = Square(None, None, "gray", None, "auto", None, None).settings(tensor, loaded)
    hidden = occlusion.occlusion_map(loaded.program, tensor, None, square, progress=show_progress)
    at = figures.placement(hidden, (seen.shape[0], seen.shape[1]))
    shown = figures.over(seen, hidden.probability, hidden.done, at, figures.scale(hidden.probability, hidden.baseline),
                         OPACITY, smooth=False)  # fmt: skip
    caption = f"The probability of {loaded.classes[hidden.target]} with a square of {square.window} px at each place"
    return facts, {"Picture": [ReportPicture(enlarge(seen, zoom_of(at.size)), image), ReportPicture(shown, caption)],
                   "Feature maps": maps}  # fmt: skip


def _layers(analysis: Analysis) -> list[str]:
    """Layers with maps, evenly over the depth."""
    held = [layer.id for layer in analysis.layers if layer.is_map and layer.kind != "input" and layer.params]
    places = np.linspace(0, len(held) - 1, min(LAYERS_SHOWN, len(held))).round().astype(int)
    return [held[place] for place in dict.fromkeys(places.tolist())]
