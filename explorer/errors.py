"""The errors that a person may cause: each carries one clear sentence that names the field or file and its value.

Standard library only: models, which may be imported without the rest, builds on it. Those about Specs and weights are
in models/errors.py.
"""

from __future__ import annotations


class UserError(ValueError):
    """Bad input. The message is shown as it stands: in the app as a notice, in the CLI on stderr with exit code 2."""


class UnknownNameError(UserError):
    """An architecture, preset, block, layer or class that is not there; names it and the nearest that is."""


class ImageError(UserError):
    """A file that is not a picture we can show; names the file."""


class MemoryLimitError(UserError):
    """A request that would not fit in memory; names the estimate and what is free."""


class TraceError(UserError):
    """A module that neither torch.fx nor torch.export can trace, or that fails on this input; names the layer."""


class Cancelled(Exception):  # noqa: N818 (a request that was followed, not an error)
    """Raised inside long work when its cancel flag is set."""
