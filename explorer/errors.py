"""Every error that a person may cause, in one place; those about models are defined beside them."""

from __future__ import annotations

from models.errors import Cancelled, SpecError, UnknownNameError, UserError, WeightsError


class ImageError(UserError):
    """A file that is not a picture we can show; names the file."""


class MemoryLimitError(UserError):
    """A request that would not fit in memory; names the estimate and what is free."""


class TraceError(UserError):
    """A module that neither torch.fx nor torch.export can trace, or that fails on this input; names the layer."""


__all__ = [
    "Cancelled",
    "ImageError",
    "MemoryLimitError",
    "SpecError",
    "TraceError",
    "UnknownNameError",
    "UserError",
    "WeightsError",
]
