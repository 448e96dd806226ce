"""The projective field: which units of later layers a pixel, or a unit of an earlier layer, reaches."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from explorer.analysis.passes import Cancel
from explorer.analysis.sensitivity import Wiring
from explorer.analysis.structure import Analysis
from explorer.errors import UserError
from explorer.types import Cell


def projective_field(
    analysis: Analysis, source: Cell, layer: str | None = None, *, local: bool = False, cancel: Cancel | None = None
) -> dict[str, np.ndarray]:
    """Of each map behind it the positions that (row, column) of the image, or a layer, reaches: bool [rows, columns].

    One pass through the wiring, exact also where a window has gaps, as a dilated one; of layers whose operation has no
    rule (`Wiring.untried`), and of what they are read by, nothing is told. local: without what gates and statistics of
    whole maps carry. Raises UserError (a position that is not there, a layer that is no map), Cancelled.
    """
    start, image = analysis.layers[0], torch.zeros(1, *analysis.layers[0].output_shape[1:])
    origin = start if layer is None else analysis[layer]
    if not origin.is_map:
        raise UserError(
            f"layer={origin.id!r}: its output of shape {list(origin.output_shape)} has no rows and columns."
        )
    for name, at, count in zip(("row", "column"), source, origin.output_shape[2:], strict=True):
        if not 0 <= at < count:
            raise UserError(f"{name}={at} of {origin.id} is not from 0 to {count - 1}.")
    changed = image if layer is None else torch.zeros(1, *origin.output_shape[1:])
    changed[:, :, source[0], source[1]] = 1
    wiring, found = Wiring(analysis.program), dict[str, np.ndarray]()
    told = {other.id for other in analysis.layers if other.is_map} - wiring.untried

    def seen(name: str, output: Tensor) -> None:
        if name in told:
            found[name] = (output[0].amax(0) != 0).numpy()

    given = None if layer is None else {layer: changed}
    wiring.spread(image, seen, local=local, start=given, cancel=cancel)
    return found
