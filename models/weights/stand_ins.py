"""What training scripts pickle beside tensors, made harmless: each such object becomes a stand-in that does nothing."""

from __future__ import annotations

import contextlib
import fnmatch
from pathlib import Path
from typing import Any

from torch import serialization

# Options, paths, numbers and logs, which the tensors do without.
HARMLESS = (
    "argparse.Namespace", "pathlib.*Path", "pathlib._local.*Path",
    "datetime.*", "enum.*", "typing.Any", "numpy.dtype", "numpy.ndarray", "numpy.core.multiarray.*",
    "numpy._core.multiarray.*", "numpy.dtypes.*", "omegaconf.*", "pytorch_lightning.*", "lightning.*",
    "lightning_fabric.*", "torch.nn.modules.loss.*", "builtins.dict", "builtins.list", "builtins.tuple", "builtins.int",
    "builtins.float", "builtins.str", "builtins.bool", "builtins.slice", "builtins.range",
)  # fmt: skip
NETWORKS = ("torch.nn.modules.*", "torchvision.models.*", "timm.*", "torch.fx.*", "torch.jit.*")


class StandIn:
    """Stands for an object of any class: takes what the pickle gives it, and has no behaviour."""

    state: Any = None

    def __new__(cls, *_: Any) -> StandIn:
        return object.__new__(cls)

    def __setstate__(self, state: Any) -> None:
        self.state = state


def foreign_names(source: Path) -> list[str]:
    """The classes and functions that a file of torch.save names and torch does not load by itself, as text.

    Nothing is imported or run. Files of before torch 1.6 are not searched.
    """
    with contextlib.suppress(Exception):  # whatever a damaged one raises
        return sorted(serialization.get_unsafe_globals_in_checkpoint(source))
    return ["argparse.Namespace"]


def stand_ins(names: list[str]) -> contextlib.AbstractContextManager[Any]:
    """Within it torch loads these names as stand-ins, as far as they are known to be harmless."""
    return serialization.safe_globals([(StandIn, name) for name in names if _is_one_of(name, HARMLESS)])


def is_network(names: list[str]) -> bool:
    """Whether these are of a network that is pickled as a whole."""
    return any(_is_one_of(name, NETWORKS) and not _is_one_of(name, HARMLESS) for name in names)


def harmful(names: list[str]) -> str | None:
    """The first name that has no stand-in."""
    return next((name for name in names if not _is_one_of(name, HARMLESS)), None)


def _is_one_of(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
