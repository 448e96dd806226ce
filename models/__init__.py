"""What can be built: architectures and blocks, each declared once by its Spec."""

from explorer.errors import UnknownNameError, UserError
from models.errors import SpecError, WeightsError
from models.registry import (
    Architecture,
    Block,
    Paper,
    Preset,
    architecture_for,
    architecture_of,
    architectures,
    block,
    blocks,
    broken_files,
    build,
    check,
    preset,
    presets,
    register,
    spec,
)
from models.spec import Knob, NetSpec, Spec, knob

__all__ = [
    "Architecture",
    "Block",
    "Knob",
    "NetSpec",
    "Paper",
    "Preset",
    "Spec",
    "SpecError",
    "UnknownNameError",
    "UserError",
    "WeightsError",
    "architecture_for",
    "architecture_of",
    "architectures",
    "block",
    "blocks",
    "broken_files",
    "build",
    "check",
    "knob",
    "preset",
    "presets",
    "register",
    "spec",
]
