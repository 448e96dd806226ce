"""Whether attributions keep to the object, and to the network: measured over the unseen items of the picture set.

Of each method's map: its share on the object's mask (the energy-based pointing game), and the area under the deletion
curve. A map of random values, which knows nothing, is measured as well.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from explorer.analysis.attribution import Scored, find_target
from explorer.analysis.attribution_batch import attribution_maps, deletion_areas
from explorer.analysis.attribution_metrics import share_on_mask
from explorer.analysis.attribution_settings import (
    ATTRIBUTION_METHODS,
    AttributionMethod,
    AttributionSettings,
    refusal,
)
from explorer.analysis.mean import Mean
from explorer.analysis.occluder import fill_values
from explorer.errors import UserError
from explorer.graph.trace import TracedProgram
from explorer.run.digest import weights_digest
from explorer.training.batches import drawing_version
from explorer.training.dataset import MEAN, STD
from explorer.training.unseen import Unseen
from explorer.whole_file import write_whole

FaithfulnessMethod = AttributionMethod | Literal["random"]
FAITHFULNESS_METHODS: tuple[FaithfulnessMethod, ...] = (*ATTRIBUTION_METHODS, "random")
AT_A_TIME = {"cpu": 50, "cuda": 500}  # the maps of so many stay in a CPU's cache
CHUNK = 500  # pictures, after which progress is told


@dataclass(frozen=True)
class Faithfulness:
    """One method on one network. on_object: of the maps that have a positive part; deletion: area, 0 to 1, low is good.

    items, pictures, weights: how many were asked for, the version of what draws them, and the weights' digest.
    """

    network: str
    method: FaithfulnessMethod
    on_object: Mean
    deletion: Mean
    items: int
    pictures: str
    weights: str
    seconds: float


def measure(
    name: str,
    program: TracedProgram,
    methods: Sequence[FaithfulnessMethod],
    unseen: Unseen,
    folder: Path,
    tell: Callable[[str], None] = lambda _: None,
) -> list[Faithfulness]:
    """Each method that is defined on a network, which names the classes of the set; those that `folder` has are kept.

    The class is that of the object. Each result is written whole as `folder`/NAME-METHOD.json when it is there. tell
    hears how far the work is, and why a method is left out. Raises UserError.
    """
    key = {"items": len(unseen.labels), "pictures": drawing_version(), "weights": weights_digest(program.module)}
    found = list[Faithfulness]()
    for method in methods:
        if method != "random" and (why := refusal(program, method)) is not None:
            tell(f"{name}: {why}")
            continue
        path = folder / f"{name}-{method}.json"
        result = _kept(path, key)
        if result is None:
            started, label = time.monotonic(), f"{name}, {method}: "
            shares, areas = _figures(program, method, unseen, lambda done, label=label: tell(f"{label}{done}"))
            took = round(time.monotonic() - started, 1)
            result = Faithfulness(name, method, Mean.of(shares), Mean.of(areas), **key, seconds=took)
            _write(path, result)
        found.append(result)
    return found


def _figures(
    program: TracedProgram, method: FaithfulnessMethod, unseen: Unseen, tell: Callable[[int], None]
) -> tuple[np.ndarray, np.ndarray]:
    """The share on the object and the area under the deletion curve of each item, [N] each."""
    device = next(program.module.parameters()).device
    at_a_time, shares, areas = AT_A_TIME.get(device.type, AT_A_TIME["cuda"]), list[float](), list[np.ndarray]()
    gray = fill_values(unseen.images[:1], "gray", torch.tensor(MEAN), torch.tensor(STD))
    settings = AttributionSettings(fill_value=gray)
    reading = find_target(program, unseen.images[:1].to(device), None, settings).reading
    for start in range(0, len(unseen.labels), CHUNK):
        part = slice(start, start + CHUNK)
        scored = Scored(program, reading, unseen.images[part].to(device), unseen.labels[part].to(device))
        maps = _random_maps(start, scored.images) if method == "random" else attribution_maps(
            scored, method, settings, at_a_time
        )  # fmt: skip
        shares += map(share_on_mask, maps, unseen.masks[part])
        areas.append(deletion_areas(scored, maps, settings, at_a_time))
        tell(len(shares))
    return np.array(shares), np.concatenate(areas)


def _random_maps(start: int, images: Tensor) -> np.ndarray:
    """A map for each image that says nothing, [N, H, W], values from 0 to 1."""
    return np.random.default_rng(start).random((len(images), *images.shape[2:]))


# -- kept results -----------------------------------------------------------------------------------------------------


def _kept(path: Path, key: dict[str, int | str]) -> Faithfulness | None:
    """A result of an earlier run on the same items and weights. Raises UserError where the file is damaged."""
    if not path.exists():
        return None
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        means = {name: Mean(**read[name]) for name in ("on_object", "deletion")}
        found = Faithfulness(**{**read, **means})
    except (ValueError, TypeError, KeyError):
        raise UserError(f"{path} is damaged: it holds no figures of a method; delete it.") from None
    return found if all(getattr(found, name) == value for name, value in key.items()) else None


def _write(path: Path, result: Faithfulness) -> None:
    text = json.dumps(asdict(result), indent=2) + "\n"
    write_whole(path, lambda draft: draft.write_text(text, encoding="utf-8"))
