"""What a click on a layer does, wherever it is shown."""

from __future__ import annotations

from explorer.ui import state

ABOUT_A_LAYER = ("layer", "field", "layers", "knobs", "ablate")  # the panels that follow the chosen layer


def choose(layer: str) -> None:
    """Make a layer the chosen one, everywhere; another layer has other channels and units."""
    if layer != state.get("layer"):
        for name, value in (("layer", layer), ("channel", -1), ("row", -1), ("column", -1)):
            state.put(name, value)
    if state.get("panel") not in ABOUT_A_LAYER:
        state.put("panel", "layer")


def choose_channel(layer: str, channel: int) -> None:
    """Make a channel of a layer the chosen one; its strongest unit is then shown. A link has both."""
    for name, value in (("layer", layer), ("channel", channel), ("row", -1), ("column", -1)):
        state.put(name, value)
