"""`open FILE`: the network in a file, or the one that a file of weights is of, with the file's weights."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from explorer.errors import UserError
from explorer.images.preprocess import Preprocessing
from explorer.networks import catalog
from explorer.networks.catalog import Network
from explorer.networks.identify import identify, verdict
from explorer.networks.own_weights import own_weights
from models.weights.own_file import open_own
from models.weights.sources import WeightsSource

_SAID = ("fit", "interpolation", "mean", "std")


def opened_weights(path: str) -> dict[str, Any]:
    """What `explorer.open` is given for a file of weights, after a word on what it is. Raises UserError."""
    file = open_own(Path(path))
    matches = identify(file)
    said = verdict(file, matches)
    if not matches or not matches[0].fit.is_whole:
        raise UserError(f"{said} `open` takes a file that fits a network whole.")
    print(said, file=sys.stderr)
    own = own_weights(file, matches[0].name)
    return _loaded(own.network, own.source)


def opened_network(path: str) -> dict[str, Any]:
    """What `explorer.open` is given for a file of a network, which holds its weights. Raises UserError."""
    network = catalog.find(path)
    return _loaded(network, catalog.weights_source(path))


def _loaded(network: Network, source: WeightsSource) -> dict[str, Any]:
    loaded = catalog.load(network, source, "cpu")
    return {
        "module": loaded.module, "classes": loaded.classes, "preprocessing": _said(loaded.preprocessing),
        "input_size": network.input_size,
    }  # fmt: skip


def _said(found: Preprocessing) -> dict[str, Any]:
    values = asdict(found)
    order = {"channels": found.order} if found.channels == 3 else {}
    return {"resize": found.resize_px, **order, **{name: values[name] for name in _SAID}}
