"""The command that makes the image that excites a unit most: optimise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from explorer.analysis.optimised_image import optimise_units
from explorer.atlas.optimisation import optimisation_settings, optimised_pixels
from explorer.cli.pictures import Chosen, show_progress, writable
from explorer.images import codec
from explorer.types import Cell
from explorer.whole_file import write_together


def optimise_command(layer: str, channel: int, position: Cell | None, steps: int, out: str, **network: Any) -> int:
    """Write the image that excites a unit most, and say its activation; network: see `Chosen`, whose seed is taken."""
    chosen, target = Chosen.of(network), writable(Path(out), ".png")
    loaded = chosen.load()
    settings = optimisation_settings(loaded.preprocessing, steps, chosen.seed)
    (found,) = optimise_units(loaded.program, layer, [(channel, position)], settings, progress=show_progress)
    picture = optimised_pixels(found, loaded.preprocessing)
    write_together(target.parent, {target.name: codec.encode_png(picture)})
    unit = f"channel {channel}" if position is None else f"channel {channel} at {position[0]},{position[1]}"
    print(f"{found.layer}, {unit}: activation {found.before:.4g} by noise, {found.after:.4g} by {target}")
    chosen.say_if_random()
    return 0
