"""The square of an occlusion as a person chose it, for all views that slide one."""

from __future__ import annotations

import torch

from explorer.analysis.occluder import Fill, default_stride, default_window, fill_values, square_boxes
from explorer.analysis.occlusion import OcclusionSettings
from explorer.ui import output_control, state
from explorer.ui.session import Session

CHEAP_MACS = 30 * 10**9  # a few seconds on two cores: started without being asked


def chosen_square(session: Session) -> OcclusionSettings:
    """The settings of the view Occlusion, where they fit the picture."""
    side = min(session.preprocessing.crop)
    window = or_default(state.get("window"), side, default_window(side))
    stride = or_default(state.get("stride"), side, default_stride(window))
    return OcclusionSettings(window, stride, state.get("fill"), output=output_control.chosen())


def or_default(value: int, high: int, default: int) -> int:
    """A setting of the link that 0 leaves to us, and what does not fit."""
    return value if 0 < value <= high else default


def filling(session: Session, fill: Fill) -> torch.Tensor:
    """What the squares over the picture at hand are filled with."""
    mean, std = (torch.tensor(values) for values in (session.preprocessing.mean, session.preprocessing.std))
    return fill_values(session.input.cpu(), fill, mean, std)


def positions(session: Session, settings: OcclusionSettings) -> int:
    """How many there are."""
    return square_boxes(session.preprocessing.crop, settings.window, settings.stride)[..., 0].size
