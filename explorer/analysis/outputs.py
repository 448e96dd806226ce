"""What the end of a network means: which tensor holds a value per class, and how these become probabilities."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from explorer.errors import UserError

Output = Literal["softmax", "sigmoid", "probabilities", "logits"]
OUTPUTS: tuple[Output, ...] = get_args(Output)

Kind = Literal["probabilities", "logarithms", "scores"] | None  # of the values of a tensor
Path = tuple[str | int, ...]  # of a tensor in the structure that a network returns

# Operations of torch whose values are probabilities, or logarithms of such; and those that keep what values mean.
_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("softmax", "_softmax", "_safe_softmax", "sigmoid", "sigmoid_"), "probabilities"),
    **dict.fromkeys(("hardsigmoid", "hardsigmoid_"), "probabilities"),
    **dict.fromkeys(("log_softmax", "_log_softmax", "log_sigmoid", "log_sigmoid_forward"), "logarithms"),
    **dict.fromkeys(("addmm", "linear", "mm", "matmul", "bmm", "convolution", "_convolution"), "scores"),
}
_SAME = frozenset(("view", "clone", "_to_copy", "to", "contiguous", "_unsafe_view", "reshape", "flatten", "detach",
                   "squeeze", "cat", "concat", "stack"))  # fmt: skip
_INSIDE = frozenset(
    ("mean", "mul", "clamp", "clamp_", "clamp_min", "clamp_max", "clip")
)  # of probabilities: such again
_SUM_ERROR = 1e-3  # of probabilities in float32; of a class in half precision 1e-3 is lost, of 1,000 more
_MOST_LISTED = 6
_DEPTH = 20  # operations that are followed back from the end


@dataclass(frozen=True)
class Reading:
    """How the values of a network's output become one probability per class; precision: their type, as "float16".

    output: "softmax" or "sigmoid": applied to them; "probabilities": they are that already (exp of logarithms);
    "logits": they are taken as they are. path: where the tensor lies in what the network returns. is_log: whether the
    values are logarithms of probabilities.
    """

    output: Output
    path: Path = ()
    is_log: bool = False
    precision: str = "float32"

    @property
    def tensor(self) -> str:
        """The tensor's name in what the network returns, as "logits" or "[1]"; "" where it is all of it."""
        return name_of(self.path)

    def values(self, returned: Any, images: int) -> Tensor:
        """What is shown of each class, [images, classes], float64 on the CPU. Raises UserError."""
        found = next((t for path, t in tensors(returned) if path == self.path), None)
        scores = None if found is None else per_class(found, images)
        if scores is None:
            shape = "gone" if found is None else f"of shape {list(found.shape)}"
            raise UserError(f"the output {self.tensor or 'of the network'} is {shape} for {images} images together.")
        return self.probabilities(scores.detach().cpu().double())

    def probabilities(self, scores: Tensor) -> Tensor:
        """Values [N, classes] of the network as what is shown of each class."""
        match self.output:
            case "softmax":
                return scores.softmax(1)
            case "sigmoid":
                return scores.sigmoid()
            case "probabilities":
                return scores.exp() if self.is_log else scores
            case "logits":
                return scores


class Ends(TorchDispatchMode):
    """Notes the operations of a forward pass, so that `read` can tell what made the tensors that it returns.

    It sees what torch computes, however the network is written: modules, functions, in place, TorchScript.
    """

    def __init__(self) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType]
        self._steps: list[tuple[str, list[int], list[int]]] = []  # operation, storages that it reads and makes

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        made = func(*args, **(kwargs or {}))
        name = "view" if func.is_view else func.name().partition("::")[2].partition(".")[0]
        self._steps.append((name, _storages((args, kwargs)), _storages(made)))
        return made

    def kind(self, tensor: Tensor) -> Kind:
        """What a tensor holds, by the operation that made it; None where that does not tell."""
        return self._kind(_storage(tensor), len(self._steps), _DEPTH)

    def _kind(self, storage: int, before: int, depth: int) -> Kind:
        """By the last operation before a step that made the storage, through those that keep what values mean."""
        at = next((i for i in range(before - 1, -1, -1) if storage in self._steps[i][2]), -1)
        if at < 0 or depth == 0:
            return None
        name, read, _ = self._steps[at]
        if name in _SAME or name in _INSIDE or name == "log":
            # A product with a number alone is no longer between 0 and 1.
            sources = [] if name == "mul" and len(read) < 2 else read
            kinds: set[Kind] = {self._kind(source, at, depth - 1) for source in set(sources)}
            return _joined(name, kinds.pop()) if len(kinds) == 1 else None
        return _KINDS.get(name)

    def leads_to(self, earlier: Tensor, later: Tensor) -> bool:
        """Whether one tensor was read on the way to another; both are still alive, so that no other has its storage."""
        target, wanted = _storage(earlier), {_storage(later)}
        if target in wanted:
            return False
        for _, read, made in reversed(self._steps):
            if wanted.intersection(made):
                wanted = (wanted - (set(made) - set(read))) | set(read)
            if target in wanted:
                return True
            if target in made and target not in read:
                return False  # before that, its storage was another tensor's
        return False


def _joined(name: str, inner: Kind) -> Kind:
    """What an operation makes of values that all mean the same."""
    if name == "log":
        return "logarithms" if inner == "probabilities" else None
    return inner if name in _SAME or inner == "probabilities" else None


def read(returned: Any, images: int, ends: Ends | None = None, asked: Output | None = None) -> Reading:
    """What the end of a network means, from what it returns for some images [N, …] and, if noted, how that was made.

    Of several tensors [N, classes] it is the one named logits, else the last that the others lead to. asked: how its
    values become probabilities, by default found out: one output of a linear end is a logit of its own (sigmoid),
    several are the classes' (softmax), and what ends in a softmax or in sigmoids is taken as it is.
    Raises UserError where there is no such tensor (they are listed), or `asked` does not fit.
    """
    checked(asked)
    path, tensor = _chosen(returned, images, ends)
    scores = per_class(tensor, images)
    assert scores is not None
    found = _found(scores, ends.kind(tensor) if ends else None)
    return Reading(_as_asked(asked, found, scores.detach()), path, found.is_log, str(tensor.dtype).split(".")[-1])


def checked(output: str | None) -> None:
    """Refuse what is none of OUTPUTS. Raises UserError."""
    if output is not None and output not in OUTPUTS:
        raise UserError(f"output={output!r} is not one of {', '.join(OUTPUTS)}.")


def _found(scores: Tensor, kind: str | None) -> Reading:
    """By how the values were made, else by what they are."""
    if kind == "logarithms":
        return Reading("probabilities", is_log=True)
    if kind == "probabilities" or (kind is None and _add_up(scores)):
        return Reading("probabilities")
    return Reading("sigmoid" if scores.shape[1] == 1 else "softmax")


def _as_asked(asked: Output | None, found: Reading, scores: Tensor) -> Output:
    """What a person said, where the network has not done it itself."""
    if asked is None:
        return found.output
    if asked == "probabilities" and not found.is_log and not _in_unit(scores):
        low, high = float(scores.min()), float(scores.max())
        if math.isfinite(low) and math.isfinite(high):
            raise UserError(f"output='probabilities': the values of this network are from {low:.4g} to {high:.4g}.")
    is_done = found.output == "probabilities" and (asked == "sigmoid" or found.is_log or _add_up(scores))
    return "probabilities" if is_done and asked != "logits" else asked


def _in_unit(scores: Tensor) -> bool:
    return bool(((scores >= -1e-6) & (scores <= 1 + _error(scores))).all())


def _add_up(scores: Tensor) -> bool:
    """Whether the values of several classes are a distribution: none negative, their sum 1."""
    sums = scores.double().sum(1)
    return scores.shape[1] > 1 and _in_unit(scores) and bool(((sums - 1).abs() <= _error(scores)).all())


def _error(scores: Tensor) -> float:
    return max(_SUM_ERROR, 4 * torch.finfo(scores.dtype).eps)


# -- which tensor -----------------------------------------------------------------------------------------------------


def _chosen(returned: Any, images: int, ends: Ends | None) -> tuple[Path, Tensor]:
    every = list(tensors(returned))
    found = [(path, t) for path, t in every if per_class(t, images) is not None]
    if any(t.dim() == 4 and t[0, 0].numel() > 1 for _, t in every):  # maps of several sizes, the last of one place
        found = [(path, t) for path, t in found if t.dim() != 4]
    if not found:
        raise UserError(_refusal(every, images))
    if named := [entry for entry in found if entry[0] and str(entry[0][-1]).lower() == "logits"]:
        return named[0]
    shaped = [entry for entry in found if entry[1].dim() > 1] or found  # one number alone may be a loss
    last = [entry for entry in shaped if not _is_on_the_way(entry[1], shaped, ends)] or shaped
    return next((entry for entry in last if entry[1].numel() > images), last[0])


def _is_on_the_way(tensor: Tensor, fitting: list[tuple[Path, Tensor]], ends: Ends | None) -> bool:
    return ends is not None and any(ends.leads_to(tensor, other) for _, other in fitting if other is not tensor)


def _refusal(every: list[tuple[Path, Tensor]], images: int) -> str:
    listed = [f"{name_of(path) or 'its output'} {list(t.shape)}" for path, t in every[:_MOST_LISTED]]
    more = f" and {len(every) - _MOST_LISTED} more" if len(every) > _MOST_LISTED else ""
    what = f"returns {', '.join(listed)}{more}" if listed else "returns no tensor"
    return f"the network {what}: nothing of the form [{images}, classes], so there is no class to take."


def per_class(tensor: Tensor, images: int) -> Tensor | None:
    """A tensor as [images, classes], where it is that: [N, K], [N, K, 1, 1], or one value an image; None elsewhere."""
    if not tensor.is_floating_point():
        return None
    if tensor.dim() <= 1:
        return tensor.reshape(-1, 1) if tensor.numel() == images else None
    if len(tensor) != images or tensor[0].numel() != tensor.shape[1]:
        return None
    return tensor.flatten(1)


def tensors(returned: Any, path: Path = ()) -> Iterator[tuple[Path, Tensor]]:
    """The tensors in what a network returns, with their paths: in tuples, lists, dicts, dataclasses and objects."""
    if isinstance(returned, Tensor):
        yield path, returned
    else:
        for key, value in _parts(returned):
            yield from tensors(value, (*path, key))


def _parts(value: Any) -> list[tuple[str | int, Any]]:
    if isinstance(value, Mapping):
        return [(str(key), item) for key, item in value.items()]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, tuple | list):
        names: Any = getattr(value, "_fields", None) or range(len(value))  # pyright: ignore[reportUnknownArgumentType]
        return list(zip(names, value, strict=True))  # pyright: ignore[reportUnknownArgumentType]
    if is_dataclass(value):
        return [(field.name, getattr(value, field.name)) for field in fields(value)]
    own: dict[str, Any] = getattr(value, "__dict__", {})
    return [(name, item) for name, item in own.items() if isinstance(item, Tensor)]


def name_of(path: Path) -> str:
    """A path as code would say it: "logits", "[1]", "heads[0].scores"."""
    parts = [f"[{key}]" if isinstance(key, int) else f".{key}" for key in path]
    return "".join(parts).removeprefix(".")


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata  # pyright: ignore[reportPrivateUsage]


def _storages(values: Any) -> list[int]:
    leaves = pytree.tree_leaves(values)
    return [_storage(leaf) for leaf in leaves if isinstance(leaf, Tensor) and leaf.layout == torch.strided]
