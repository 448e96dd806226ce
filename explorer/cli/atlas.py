"""The command that draws units with what excites them most, as the paper's figure 2 does: atlas."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from explorer.atlas.patches import Patch, patches_and_projections
from explorer.atlas.picture_sets import PictureSet, UnseenPictures, has_same_files, picture_set
from explorer.atlas.scan_file import Scan, read_scan
from explorer.atlas.scan_folder import RESULT
from explorer.atlas.shipped import shipped
from explorer.cli.pictures import Chosen, writable
from explorer.errors import UserError, shown
from explorer.figures.contact_sheet import block, in_rows
from explorer.figures.way_back import signal_pixels
from explorer.graph.names import find_layer
from explorer.images import codec
from explorer.networks.catalog import LoadedNetwork
from explorer.networks.picture_input import describe
from explorer.run.digest import weights_digest
from explorer.whole_file import write_together

CELL_PX, GAP_PX, PER_ROW = 36, 12, 3
MOST_UNITS = 256
ChosenUnit = tuple[str, int]  # layer and channel


def atlas_command(units: Sequence[ChosenUnit], scan: str | None, pictures: str | None, out: str, **network: Any) -> int:
    """Draw units, three to a row: the projections of the nine pictures at the left, what the unit sees of them at the
    right.

    scan, pictures: the folder of a scan of the network, and the set that it is of; by default what is shipped. network:
    see `Chosen`.
    """
    chosen, target = Chosen.of(network), writable(Path(out), ".png")
    if len(units) > MOST_UNITS:
        raise UserError(f"--units are {len(units)}; at most {MOST_UNITS} are drawn.")
    found, found_set = _scan(chosen, scan, pictures)
    loaded = chosen.load()
    if weights_digest(loaded.module) != found.subject.weights:
        raise UserError(f"The scan is of other weights than these of {chosen.name}: scan it again.")
    if (prepared := describe(loaded.preprocessing)) != found.subject.preprocessing:
        raise UserError(f"The scan is of pictures prepared otherwise ({found.subject.preprocessing}, not {prepared}).")
    drawn = [_drawn(loaded, found, found_set, unit) for unit in units]
    picture = in_rows(drawn, PER_ROW, GAP_PX)
    write_together(target.parent, {target.name: codec.encode_png(picture)})
    print(f"{len(units)} units, three to a row, projections left and patches right, written to {target}")
    return 0


def _scan(chosen: Chosen, scan: str | None, pictures: str | None) -> tuple[Scan, PictureSet]:
    if scan is None:
        return shipped(chosen.name), UnseenPictures()
    found = read_scan(Path(scan) / RESULT)
    name = pictures or found.subject.pictures
    found_set = picture_set(name, found.subject.total)
    if not has_same_files(found_set.digest, found.subject.pictures_digest):
        raise UserError(f"--pictures {shown(name)} is not the set that {scan} is a scan of.")
    if found_set.digest != found.subject.pictures_digest:
        print(f"note: files of {shown(name)} have other times than when they were scanned: if pictures were replaced, "
              "their patches are not those that were found.", file=sys.stderr)  # fmt: skip
    return found, found_set


def _drawn(network: LoadedNetwork, scan: Scan, pictures: PictureSet, unit: ChosenUnit) -> np.ndarray:
    """The unit's two blocks side by side."""
    layer, channel = find_layer(network.program.graph, unit[0]).id, unit[1]
    top = scan.of(layer)
    if channel >= top.channels:
        raise UserError(f"--units {unit[0]}:{channel}: {layer} has channels 0 to {top.channels - 1}.")
    found = patches_and_projections(network, pictures, top, layer, [channel])
    patches = next((patches for _, patches in found), ())
    return in_rows([block(list(map(_projection, patches)), CELL_PX), block([p.pixels for p in patches], CELL_PX)], 2, 2)


def _projection(patch: Patch) -> np.ndarray:
    return patch.pixels if patch.projection is None else signal_pixels(patch.projection)
