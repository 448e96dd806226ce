"""The commands below `paper` that hide parts of pictures: figure 7 and table 1."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from explorer.analysis.correspondence import over_parts
from explorer.analysis.mean import Mean
from explorer.analysis.occlusion_panels import OcclusionPanels, occlusion_panels
from explorer.analysis.trunk import trunk
from explorer.atlas.picture_sets import UnseenPictures
from explorer.cli.json_text import json_text
from explorer.cli.picture_inputs import pictures_of
from explorer.cli.pictures import Chosen, Square, chosen_picture, class_number, show_progress, summarise, writable
from explorer.errors import UserError
from explorer.figures import occlusion as figures
from explorer.figures.correspondence import in_sentence
from explorer.figures.occlusion_panels import panels_picture
from explorer.images import codec
from explorer.networks import picture_input
from explorer.networks.catalog import LoadedNetwork
from explorer.training.batches import EVALUATION_ITEMS
from explorer.training.correspondence import CorrespondenceSettings, part_changes
from explorer.training.dataset import CLASSES
from explorer.training.unseen import unseen_class
from explorer.whole_file import write_together


def paper_occlusion_command(
    image: str, layer: str | None, target: str | None, window: int | None, stride: int | None, others: int, out: str,
    **network: Any,
) -> int:  # fmt: skip
    """Write the five panels as one picture, and their figures as JSON (also on stdout); network: see `Chosen`."""
    if others > EVALUATION_ITEMS:
        raise UserError(f"--others {others}: there are {EVALUATION_ITEMS:,} unseen pictures.")
    chosen, file, pixels = Chosen.of(network), writable(Path(out), ".png"), chosen_picture(image)
    loaded = chosen.load()
    number, tensor = class_number(target, loaded.classes), loaded.input(pixels)
    settings = Square(window, stride, "gray", layer, "auto", None, None).settings(tensor, loaded)
    found, unseen = None, None
    if others:
        unseen, _ = pictures_of(loaded, UnseenPictures(others, max(tensor.shape[2:])))
    for found in occlusion_panels(loaded.program, tensor, number, settings, unseen):
        done = found.occlusion.done
        show_progress(int(done.sum()), done.size, 0.0)
    assert found is not None, "the empty panels come first"
    summary = {"network": chosen.name, "image": image, "window": settings.window, "stride": settings.stride,
               **_facts(found, loaded)}  # fmt: skip
    picture = panels_picture(found, loaded.preprocessing.view(pixels), loaded.preprocessing)
    text = json_text(summary, indent=2) + "\n"
    write_together(file.parent, {file.name: codec.encode_png(picture), f"{file.stem}.json": text.encode()})
    print(json_text(summary))
    chosen.say_what_is_seen(loaded, pixels)
    chosen.say_if_random()
    return 0


def _facts(found: OcclusionPanels, loaded: LoadedNetwork) -> dict[str, Any]:
    occlusion = found.occlusion
    assert found.projection is not None, "it is there when the maps are"
    return {
        "layer": found.layer, "channel": found.channel, "preprocessing": picture_input.describe(loaded.preprocessing),
        **summarise(occlusion, loaded.classes),
        "top_class_colours": figures.class_legend(occlusion, figures.class_colours(occlusion), loaded.classes),
        "activation": found.projection.activation,
        "others": [
            {"item": each.picture, "class": unseen_class(each.picture),
             "activation": each.projection.activation}
            for each in found.others
        ],
    }  # fmt: skip


def paper_correspondence_command(
    parts_of: Sequence[str] | None, layers: Sequence[str] | None, groups: int, pooled: bool, as_json: bool,
    **network: Any,
) -> int:  # fmt: skip
    """Say for each layer how far changes by hidden parts and by random places differ; network: see `Chosen`."""
    chosen = Chosen.of(network)
    loaded = chosen.load()
    size_px, names = max(loaded.preprocessing.crop), tuple(dict.fromkeys(parts_of or CLASSES))
    settings = CorrespondenceSettings(names, groups, size_px, chosen.seed, pooled)
    asked = list(layers or trunk(loaded.program.graph))
    found = part_changes(loaded.program, loaded.preprocessing, asked, settings, progress=_tell)
    if as_json:
        print(json_text(found))
    else:
        print("\n".join(f"{each.layer:24} {_said(each.same)}  {_said(each.random)}" for each in over_parts(found)))
        print(in_sentence(over_parts(found)[-1]))
    chosen.say_if_random()
    return 0


def _said(mean: Mean) -> str:
    return f"{100 * mean.mean:5.1f} ± {100 * (mean.error or 0.0):.1f} %"


def _tell(done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{done} of {total} parts", end="\n" if done == total else "", file=sys.stderr, flush=True)
