"""Which tensor of a file is which of a network, by names and shapes alone: prefixes, and other ways of naming, are seen
through."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from models.weights.kept import COUNTER, Kept, Shapes, kept_of
from models.weights.renaming import RENAMINGS, Renaming

# What training and profiling leave among the tensors, and no network reads at inference.
BYSTANDERS = (COUNTER, "n_averaged", "total_ops", "total_params")
AUXILIARY = "aux_classifier."  # of torchvision's segmentation networks: a second head, for training alone
DEEPEST_PREFIX = 8  # dots
AVERAGED_WORDS = ("ema", "averag", "teacher")


@dataclass(frozen=True)
class TensorFit:
    """How the tensors of a file go with those of a network.

    names: of those that the file has, under the network's name, the file's own. held, wanted: the shapes of both, by
    their own names. prefix: what stands before the network's names in the file. renaming: how the file names them, ""
    where as here.
    """

    names: Mapping[str, str]
    held: Shapes
    wanted: Shapes
    prefix: str = ""
    renaming: str = ""

    @cached_property
    def same(self) -> tuple[str, ...]:
        """The network's tensors that the file has in their shape."""
        return tuple(name for name, own in self.names.items() if self.held[own] == self.wanted[name])

    @cached_property
    def reshaped(self) -> tuple[str, ...]:
        """The network's tensors that the file has in another shape."""
        return tuple(name for name, own in self.names.items() if self.held[own] != self.wanted[name])

    @cached_property
    def missing(self) -> tuple[str, ...]:
        """The network's tensors that the file lacks, but for counters of batches."""
        return tuple(name for name in self.wanted if name not in self.names and not name.endswith(COUNTER))

    @cached_property
    def unused(self) -> tuple[str, ...]:
        """The file's tensors, by its own names, that are none of the network's; bystanders are not among them."""
        used = {*self.names.values()}
        return tuple(name for name in self.held if name not in used and not name.endswith(BYSTANDERS))

    @cached_property
    def surplus(self) -> tuple[str, ...]:
        """Those of `unused` that stand where the network's own are, and would be read at inference: what is outside of
        the prefix belongs to others."""
        passed = self.prefix + AUXILIARY
        return tuple(name for name in self.unused if name.startswith(self.prefix) and not name.startswith(passed))

    @cached_property
    def differences(self) -> int:
        """How many tensors keep the file from being the network's."""
        return len(self.reshaped) + len(self.missing) + len(self.surplus)

    @property
    def is_whole(self) -> bool:
        """Whether the file has all the network's tensors, and no others where these are."""
        return self.differences == 0 and bool(self.same)

    @cached_property
    def kept(self) -> Kept:
        """What the network keeps of the file, and what of the file is left."""
        held = {name: self.held[own] for name, own in self.names.items()}
        left = sorted((*(self.names[name] for name in self.reshaped), *self.unused))
        return kept_of(held, self.wanted, tuple(left))


def fit(held: Shapes, wanted: Shapes) -> TensorFit:
    """The way to read a file of tensors `held` into a network of tensors `wanted` that uses most of them."""
    best = _under(held, wanted, lambda name: name, "")
    for renaming in () if best.is_whole else RENAMINGS:
        if renaming.applies(held, wanted):
            best = max(best, _renamed(held, wanted, renaming), key=_worth)
    return best


def _worth(found: TensorFit) -> tuple[int, int]:
    return len(found.same), -found.differences


def _renamed(held: Shapes, wanted: Shapes, renaming: Renaming) -> TensorFit:
    return _under(held, wanted, renaming.rename, renaming.title)


def _under(held: Shapes, wanted: Shapes, rename: Callable[[str], str], title: str) -> TensorFit:
    """The fit under the prefix that leaves most of the network's names."""
    renamed = {rename(name): name for name in held}
    best = TensorFit({name: renamed[name] for name in wanted if name in renamed}, held, wanted, "", title)
    if best.is_whole or len(best.names) == len(wanted):
        return best
    for prefix in _prefixes(renamed, wanted):
        names = {name: renamed[prefix + name] for name in wanted if prefix + name in renamed}
        own = next((own for name, own in names.items()), "")
        said = prefix if own.startswith(prefix) else ""
        best = max(best, TensorFit(names, held, wanted, said, title), key=_worth)
    return best


def _prefixes(names: Iterable[str], wanted: Shapes) -> list[str]:
    """What stands before names of the network, averaged copies first, then the most frequent."""
    found: Counter[str] = Counter()
    for name in names:
        parts = name.split(".", DEEPEST_PREFIX)
        for depth in range(1, len(parts)):
            prefix = ".".join(parts[:depth]) + "."
            if name[len(prefix) :] in wanted:
                found[prefix] += 1
    frequent = [prefix for prefix, _ in found.most_common(4)]
    return sorted(frequent, key=lambda prefix: not any(word in prefix.lower() for word in AVERAGED_WORDS))
