"""The errors that a person may cause: each carries one clear sentence that names the field or file and its value."""

from __future__ import annotations


class UserError(ValueError):
    """Bad input. The message is shown as it stands: in the app as a notice, in the CLI on stderr with exit code 2."""


class SpecError(UserError):
    """Hyperparameters that no network can have; names the knob and its value."""


class WeightsError(UserError):
    """Weights that are missing, cut short, or of another network; names the file and the first difference."""


class UnknownNameError(UserError):
    """An architecture, preset, block, layer or class that is not there; names it and the nearest that is."""


class Cancelled(Exception):
    """Raised inside long work when its cancel flag is set; not an error that a person sees."""
