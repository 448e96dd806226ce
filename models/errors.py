"""The errors of Specs and weights, beside those that the whole program shares."""

from __future__ import annotations

from explorer.errors import UserError


class SpecError(UserError):
    """Hyperparameters that no network can have; names the knob and its value."""


class WeightsError(UserError):
    """Weights that are missing, cut short, or of another network; names the file and the first difference."""
