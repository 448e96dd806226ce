"""What a changed network keeps of weights that were made for another: every tensor whose name and shape still fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from torch import nn

Shapes = Mapping[str, tuple[int, ...]]  # of the tensors of a state dict, by name

COUNTER = "num_batches_tracked"  # which only training without momentum reads
MOST_CHARACTERS = 100  # of names in a sentence


@dataclass(frozen=True)
class Kept:
    """The tensors of a network, parameters and buffers, by name: those that it takes from weights, and those that these
    lack or hold in another shape, which stay as they were initialised. A counter of batches is never called fresh.

    left: of the weights, by their own names, the tensors that the network does not take.
    """

    tensors: tuple[str, ...]
    fresh: tuple[str, ...]
    left: tuple[str, ...] = ()

    @cached_property
    def _layers(self) -> dict[str, list[str]]:
        """The tensors of each module that has any of its own."""
        found: dict[str, list[str]] = {}
        for name in (*self.tensors, *self.fresh):
            if not name.endswith(COUNTER):
                found.setdefault(name.rpartition(".")[0], []).append(name)
        return found

    @property
    def layers(self) -> int:
        """How many layers there are, of those with weights or statistics."""
        return len(self._layers)

    @cached_property
    def new(self) -> tuple[str, ...]:
        """The layers that are new, by path; of those that are new in part, the tensors."""
        fresh = dict.fromkeys(name.rpartition(".")[0] for name in self.fresh)
        return tuple(name for path in fresh for name in self._named(path))

    @property
    def new_layers(self) -> int:
        """How many layers have at least one new tensor."""
        return len({name.rpartition(".")[0] for name in self.fresh})

    @property
    def is_nothing(self) -> bool:
        """Whether no tensor is kept, but for counters."""
        return all(name.endswith(COUNTER) for name in self.tensors)

    def _named(self, path: str) -> Iterable[str]:
        """One name for a layer that is new as a whole; a module that holds others goes by its tensors."""
        own = [name for name in self._layers[path] if name in self._fresh]
        return own if path in self._holders or len(own) < len(self._layers[path]) else [path]

    @cached_property
    def _fresh(self) -> frozenset[str]:
        return frozenset(self.fresh)

    @cached_property
    def _holders(self) -> set[str]:
        """The paths of all modules that hold one of the layers; "" is the network's own."""
        found = {""}
        for path in self._layers:
            while (path := path.rpartition(".")[0]) not in found:
                found.add(path)
        return found

    def sentence(self, title: str) -> str:
        """What is kept of the weights called `title`, and which layers are new."""
        if not self.new:
            return f"{title} kept, whole."
        if self.is_nothing:
            return f"Nothing of {title} fits: all {self.layers:,} layers are new."
        of = f"{self.new_layers:,} of {self.layers:,} layers"
        return f"{title} kept; new: {_first(self.new)} ({of})."


def _first(names: tuple[str, ...]) -> str:
    """As many names as have room."""
    shown: list[str] = []
    for name in names:
        if shown and len(", ".join([*shown, name])) > MOST_CHARACTERS:
            return f"{', '.join(shown)}, …"
        shown.append(name)
    return ", ".join(shown)


def kept_of(held: Shapes, wanted: Shapes, left: tuple[str, ...] = ()) -> Kept:
    """What a network of tensors `wanted` keeps of weights that hold `held`; `left` is what they hold besides."""
    fits = {name: held.get(name) == shape for name, shape in wanted.items()}
    fresh = (name for name, fitting in fits.items() if not fitting and not name.endswith(COUNTER))
    return Kept(tuple(name for name, fitting in fits.items() if fitting), tuple(fresh), left)


def shapes_of(module: nn.Module) -> Shapes:
    """The shapes in a module's state dict."""
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
