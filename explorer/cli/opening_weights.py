"""`open CHECKPOINT`: the network that a file of weights is of, with these weights."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from explorer.errors import UserError
from explorer.images.preprocess import Preprocessing
from explorer.networks import catalog
from explorer.networks.identify import identify, verdict
from explorer.networks.own_weights import own_weights
from models.weights.own_file import open_own

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
    loaded = catalog.load(own.network, own.source, "cpu")
    return {
        "module": loaded.module, "classes": loaded.classes, "preprocessing": _said(loaded.preprocessing),
        "input_size": own.network.input_size,
    }  # fmt: skip


def _said(found: Preprocessing) -> dict[str, Any]:
    values = asdict(found)
    return {"resize": found.resize_px, **{name: values[name] for name in _SAID}}
