"""Networks that are no presets: by name those of torchvision and timm, and those that a person opened."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from explorer.errors import UserError
from explorer.networks import catalog, libraries
from explorer.networks.catalog import Network


def named(name: str, seed: int = 0, options: Mapping[str, Any] | None = None) -> Network:
    """The network of that name, which is no preset; options: what its builder is told. Raises UnknownNameError."""
    return catalog.find(name, seed=seed, options=options)


@cache
def titles() -> dict[str, str]:
    """How a list of networks calls each of them, by name."""
    return {name: _listed(name) for name in libraries.library_names()}


def title(name: str) -> str:
    """What a network is called above the page."""
    return name.replace(":", " · ", 1)


def _listed(name: str) -> str:
    task = libraries.library_task(name)
    return title(name) + ("" if task == "classification" else f", {task}")


def summary(network: Network) -> str:
    """What a network is, in a sentence or two."""
    library, _, _ = network.name.partition(":")
    size = "×".join(map(str, network.input_size))
    return f"Of {library}, for {libraries.library_task(network.name)}, on images of {size}. It has no knobs here."


def check_name(name: str) -> None:
    """Refuse a name of a link that stands for no network here. Raises UserError with half a sentence."""
    if why := libraries.why_unknown(name):
        raise UserError(why)
