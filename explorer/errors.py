"""The errors that a person may cause: each carries one clear sentence that names the field or file and its value."""

from __future__ import annotations


class UserError(ValueError):
    """Bad input. The message is shown as it stands: in the app as a notice, in the CLI on stderr with exit code 2."""


class ImageError(UserError):
    """A file that is not a picture we can show; names the file."""


class WeightsError(UserError):
    """Weights that are missing, cut short, or of another network; names the file and the first difference."""


class SpecError(UserError):
    """Hyperparameters that no network can have; names the knob and its value."""


class MemoryLimitError(UserError):
    """A request that would not fit in memory; names the estimate and what is free."""


class TraceError(UserError):
    """A module that neither torch.fx nor torch.export can trace; names the module and the reason."""


class Cancelled(Exception):
    """Raised inside long work when its cancel flag is set; not an error that a person sees."""
