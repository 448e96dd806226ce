"""A network after chosen epochs of its training, from the files that `train --checkpoints` writes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import models
from explorer.errors import UserError
from explorer.graph.trace import TracedProgram, trace
from explorer.training.train import read_table, trained_spec
from models.weights.safetensors_file import read_into
from models.weights.sources import SHIPPED

EVOLVED = "zfnet_mini"  # whose epochs come with the program
SHIPPED_EPOCHS = SHIPPED / "evolution"


def epoch_files(preset: str = EVOLVED, folder: Path = SHIPPED_EPOCHS) -> dict[int, Path]:
    """The files by epoch. Raises UserError where there are fewer than two."""
    files, name = folder.glob("*.safetensors"), re.compile(rf"{re.escape(preset)}-epoch(\d+)")
    named = ((name.fullmatch(path.stem), path) for path in files)
    found = {int(match[1]): path for match, path in named if match}
    if len(found) < 2:
        raise UserError(
            f"{folder} holds the weights of {preset} after {len(found)} epochs; at least 2 are needed, as "
            f"`train {preset} --checkpoints 1,2,5` writes them."
        )
    return dict(sorted(found.items()))


def load_epochs(preset: str = EVOLVED, folder: Path = SHIPPED_EPOCHS) -> dict[int, TracedProgram]:
    """The network after each epoch, on the CPU. Raises UserError, WeightsError."""
    spec = trained_spec(preset)
    programs = dict[int, TracedProgram]()
    for epoch, path in epoch_files(preset, folder).items():
        module = models.build(spec)
        read_into(module, path, path.name)
        programs[epoch] = trace(module.eval(), (spec.in_channels, spec.image_size, spec.image_size))
    return programs


def epochs_row(preset: str = EVOLVED, folder: Path = SHIPPED_EPOCHS) -> dict[str, Any]:
    """How it was trained, and its accuracy after each epoch: the row of metrics.json, empty where there is none."""
    return read_table(folder / "metrics.json").get(preset, {})
