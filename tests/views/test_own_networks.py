"""A module that was opened from Python, in the page: every panel that needs no Spec, on copies of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from explorer.networks import live
from explorer.networks.given_input import expected_input
from explorer.views.workbench.page import OF_PRESETS, PANELS
from tests.support.page import errors, open_app
from tests.views.test_library_networks import finished

SIZE = (3, 16, 16)


@pytest.fixture
def module() -> Iterator[nn.Module]:
    torch.manual_seed(0)
    own = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 14 * 14, 5))
    live.keep(live.LiveModule(own.eval(), SIZE, expected_input(own, SIZE, None)))
    yield own
    live.keep(None)


def test_panels_without_a_spec_are_offered_gradients_among_them(module: nn.Module) -> None:
    app = finished(open_app(preset="live:Sequential", panel="gradients"))
    assert not errors(app)
    switch = app.segmented_control(key="widget:panel")
    assert set(switch.options) == {title for name, (title, _) in PANELS.items() if name not in OF_PRESETS}
    assert any(caption.value.startswith("With its weights as they are: L2 norm") for caption in app.caption)
    assert any("The gradient at 0 is" in text.value for text in app.markdown)
    assert not module.training
    assert all(parameter.grad is None for parameter in module.parameters())
