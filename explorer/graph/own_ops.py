"""Operations that a person tells of: what the tables do not know, and no rule could find out."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import isclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch._ops import OpOverload, OpOverloadPacket
from torch.utils import _pytree as pytree

from explorer.errors import UserError, shown
from explorer.graph.layers import Window
from explorer.types import Shape

Reach = Literal["pointwise", "everything"] | Window | Callable[..., Window]
Macs = int | Callable[[tuple[Shape, ...], Shape], int]
SizeRule = Callable[..., Shape]


@dataclass(frozen=True)
class OwnOp:
    """What is told of an operation: its kind in the tables, and what only it itself can say."""

    kind: str
    window: Window | Callable[..., Window] | None
    macs: Macs
    output_shape: SizeRule | None

    def facts(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], module: nn.Module | None, made: Tensor
    ) -> dict[str, Any]:
        """Window and multiply-accumulates of a call."""
        window = self.window
        if callable(window):
            window = window(module) if module is not None else window(*args, **kwargs)
        macs = self.macs(_shapes((args, kwargs)), tuple(made.shape)) if callable(self.macs) else self.macs
        return {"window": window, "products": macs}

    def on_meta(self, given: Any) -> Tensor | None:
        """The output for tensors without values, where its shape is told; else the operation's own code has to run."""
        found = [leaf for leaf in pytree.tree_leaves(given) if isinstance(leaf, Tensor)]
        if self.output_shape is not None:
            shape = self.output_shape(*_shapes(given))
        elif self.kind in ("own_pointwise", "own_activation"):
            shape = cast("Any", torch).broadcast_shapes(*_shapes(given))
        else:
            return None
        return torch.empty(shape, dtype=found[0].dtype, device="meta")


def _shapes(given: Any) -> tuple[Shape, ...]:
    return tuple(tuple(leaf.shape) for leaf in pytree.tree_leaves(given) if isinstance(leaf, Tensor))


_OWN: dict[Any, OwnOp] = {}


def register_op(
    target: Any,
    reach: Reach = "pointwise",
    *,
    rectifies: bool = False,
    macs: Macs = 0,
    output_shape: SizeRule | None = None,
) -> Callable[[], None]:
    """Tell what an operation of one's own reads and costs, so that fields, costs and the lens hold of it.

    target: a class of nn.Module, which is one layer from now on; a function that modules call by its name; or an
    operator (`torch.ops.mine.swirl`, what `torch.library.custom_op` gives). reach: what one position of the output
    reads of each tensor: "pointwise" (that position, in all channels), "everything", or a Window, or a function that
    is called with the module (or the arguments of the call) and gives one. rectifies: of a pointwise one, that it is
    near 0 below and near the identity above, so that the deconvnet treats it as ReLU. macs: at batch 1, a number or
    function of (shapes that go in, shape that comes out). output_shape: function of the shapes that go in, for code
    that runs on values alone; a pointwise one needs none. Returns a function that takes all of it back.
    Raises UserError where what is told is none of these.
    """
    own = OwnOp(_kind(reach, rectifies), None if isinstance(reach, str) else reach, macs, output_shape)
    names = _names(target)
    _OWN.update(dict.fromkeys(names, own))

    def take_back() -> None:
        for name in names:
            if _OWN.get(name) is own:
                del _OWN[name]

    return take_back


def of_target(target: Any) -> OwnOp | None:
    """What is told of a function or operator."""
    return _OWN.get(target) if _OWN and callable(target) else None


def of_class(cls: type[nn.Module]) -> OwnOp | None:
    """What is told of a class of modules, or of the nearest that it derives from."""
    return next((_OWN[base] for base in cls.__mro__ if base in _OWN), None) if _OWN else None


def functions() -> tuple[types.FunctionType, ...]:
    """The plain functions among them, which a tracer has to be told of."""
    return tuple(target for target in _OWN if isinstance(target, types.FunctionType))


def _kind(reach: Any, rectifies: bool) -> str:
    if rectifies and reach != "pointwise":
        raise UserError("rectifies=True is for reach='pointwise' alone.")
    if reach in ("pointwise", "everything"):
        return "own_activation" if rectifies else f"own_{reach}"
    if isinstance(reach, Window) or (callable(reach) and not isinstance(reach, str)):
        return "own_window"
    raise UserError(f"reach={shown(reach)} is not 'pointwise', 'everything', a Window or a function that gives one.")


def _names(target: Any) -> tuple[Any, ...]:
    """All that stands for the operation in a traced program."""
    target = getattr(target, "_opoverload", target)
    if isinstance(target, OpOverload):
        target = cast("Any", target).overloadpacket
    if isinstance(target, OpOverloadPacket):
        packet = cast("Any", target)
        return packet, *(getattr(packet, name) for name in packet.overloads())
    if isclass(target) and issubclass(target, nn.Module):
        return (target,)
    if isinstance(target, types.FunctionType):
        return (target,)
    raise UserError(f"{shown(target)} is not a class of nn.Module, a function or an operator.")
