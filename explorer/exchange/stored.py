"""What any file of a network holds: tensors as bytes, and the limits of what is read of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from explorer.errors import UserError
from explorer.types import Shape

MOST_FILE_BYTES = 2 * 1024**3  # what an .onnx file itself can hold in one
MOST_NODES = 50_000  # ten times as many as the largest network of timm
LONGEST_IN_FILE = 500  # characters of a name


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A tensor as a file holds it: `load` makes it, in memory of its own.

    values: None where they lie in another file, which is not read, so that no more than the shape is known. is_weight:
    whether it is one of the network's own; else it is a constant within the program.
    """

    name: str
    shape: Shape
    dtype: torch.dtype
    values: np.ndarray | None = field(repr=False)
    is_weight: bool = True

    @property
    def is_single(self) -> bool:
        """Whether it is a number that is known."""
        return self.values is not None and self.values.size == 1

    @property
    def is_zero(self) -> bool:
        """Whether all its values are known and 0."""
        return self.values is not None and not np.any(self.values)

    def load(self) -> Tensor:
        """Its values; those of a tensor that has them."""
        assert self.values is not None
        found = torch.from_numpy(self.values.copy())
        return (found.view(torch.bfloat16) if self.dtype is torch.bfloat16 else found).reshape(self.shape)


def content_of(name: str, content: bytes | Path) -> bytes:
    """The bytes of a file, uploaded or on disk. Raises UserError that names it where they are too many or not there."""
    try:
        size_bytes = len(content) if isinstance(content, bytes) else content.stat().st_size
        if size_bytes > MOST_FILE_BYTES:
            raise UserError(f"{name} has {size_bytes:,} bytes; at most {MOST_FILE_BYTES:,} are read.")
        return content if isinstance(content, bytes) else content.read_bytes()
    except OSError as error:
        raise UserError(f"{name} cannot be read: {error.strerror or error}.") from None
