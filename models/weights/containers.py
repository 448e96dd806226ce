"""What a checkpoint holds besides tensors, once it is read: the state dict inside, and the plain facts beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from models.weights.class_names import CLASS_KEYS, MOST_CLASSES

# Where training scripts put the weights; averaged ones first, which are those that they evaluate.
AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "ema")
CONTAINERS = (*AVERAGED, "state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights")
NO_WEIGHTS = ("optim", "lr_", "sched", "scaler", "amp", "callbacks", "loops", "history", "metrics")
NESTED = 3  # of containers within containers

OPTIONS = ("hyper_parameters", "hparams", "args", "config", "meta")  # where scripts keep what they were told
ARCHITECTURE_KEYS = ("arch", "architecture", "model_name", "model", "backbone", "network", "name")
LONGEST_ARCHITECTURE = 200  # characters of an architecture's name


@dataclass(frozen=True)
class Contents:
    """The state dict of a checkpoint; path: the keys that lead to it, none where it is the whole.

    others: the keys of further state dicts beside it. facts: class names (as JSON) and the name of the architecture,
    as far as the checkpoint says them plainly.
    """

    state: Mapping[Any, Tensor]
    path: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def header(self) -> dict[str, str]:
        """The same for the free text of a safetensors file."""
        read_from = {"read_from": json.dumps([list(self.path), list(self.others)])} if self.path else {}
        return {**read_from, **self.facts}


def contents(loaded: Any) -> Contents | None:
    """The weights of what `torch.load` gave; None where no dictionary from names to tensors is in it."""
    found = _search(loaded, NESTED)
    if found is None:
        return None
    state, path, others = found
    return Contents(state, path, others, _facts(loaded) if path else {})


def _search(loaded: Any, depth: int) -> tuple[Mapping[Any, Tensor], tuple[str, ...], tuple[str, ...]] | None:
    if not isinstance(loaded, dict):
        return None
    if loaded and all(isinstance(value, Tensor) for value in loaded.values()):
        return loaded, (), ()
    inner = {key: found for key in _by_rank(loaded) if depth and (found := _search(loaded[key], depth - 1))}
    if inner:
        first, *rest = inner
        state, path, others = inner[first]
        return state, (first, *path), (*others, *rest)
    return _mostly_tensors(loaded)


def _by_rank(loaded: dict[Any, Any]) -> list[str]:
    """The keys that may lead to weights, the likeliest first."""
    keys = [key for key in loaded if isinstance(key, str) and not key.lower().startswith(NO_WEIGHTS)]
    known = {name: rank for rank, name in enumerate(CONTAINERS)}
    return sorted(keys, key=lambda key: known.get(key, len(known)))


def _mostly_tensors(loaded: dict[Any, Any]) -> tuple[Mapping[Any, Tensor], tuple[str, ...], tuple[str, ...]] | None:
    """A state dict into which a script put its counters."""
    tensors = {key: value for key, value in loaded.items() if isinstance(value, Tensor)}
    return (tensors, (), ()) if 2 * len(tensors) > len(loaded) else None


# -- facts ------------------------------------------------------------------------------------------------------------


def _facts(loaded: dict[Any, Any]) -> dict[str, str]:
    places = [loaded, *(_plain(loaded[key]) for key in OPTIONS if key in loaded)]
    classes = next((found for place in places for found in _class_names(place)), None)
    named = (place.get(key) for place in places[::-1] for key in ARCHITECTURE_KEYS)
    architecture = next((name for name in named if isinstance(name, str) and len(name) <= LONGEST_ARCHITECTURE), None)
    found = {"classes": classes, "architecture": architecture}
    return {name: value for name, value in found.items() if value is not None}


def _plain(value: Any) -> dict[Any, Any]:
    """What a dictionary, or a namespace of options, says."""
    value = value if isinstance(value, dict) else getattr(value, "state", None)
    return value if isinstance(value, dict) else {}


def _class_names(place: Mapping[Any, Any]) -> Iterator[str]:
    for key, value in place.items():
        if isinstance(key, str) and key.lower() in CLASS_KEYS and isinstance(value, list | tuple | dict):
            entries = [*value, *(value.values() if isinstance(value, dict) else ())]
            if 0 < len(value) <= MOST_CLASSES and all(type(entry) in (str, int) for entry in entries):
                yield json.dumps(value)
