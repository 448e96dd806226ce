"""Which operations of a traced program write into a tensor that they are given."""

from __future__ import annotations

from typing import Any

from torch import fx, nn
from torch._ops import OpOverload

_AUGMENTED = tuple(f"i{name}" for name in ("add", "sub", "mul", "truediv", "floordiv", "pow", "mod", "matmul"))
_WRITING = frozenset(("setitem", *_AUGMENTED))
_KNOWN = ("torch", "_operator", "math", "builtins")  # packages whose functions write only where their names say so


def changes_operand(node: fx.Node) -> bool:
    """Whether a function or method changes what it is given, by its name and arguments."""
    name = _name(node.target)
    named_so = (name.endswith("_") and not name.endswith("__")) or name in _WRITING
    return named_so or bool(node.kwargs.get("inplace")) or node.kwargs.get("out") is not None


def may_write(module: nn.Module, program: fx.Graph) -> bool:
    """Whether any operation of a module's program writes into what it is given, or may, as nobody knows it."""
    return any(_may_write(module, node) for node in program.nodes)


def _may_write(module: nn.Module, node: fx.Node) -> bool:
    match node.op:
        case "call_module":
            called = module.get_submodule(str(node.target))
            return bool(getattr(called, "inplace", False)) or not type(called).__module__.startswith("torch.nn.")
        case "call_method":
            return changes_operand(node)
        case "call_function":
            # `inplace` may be given by place: F.relu(x, True).
            return changes_operand(node) or not _is_known(node.target) or any(arg is True for arg in node.args)
        case _:
            return False


def _is_known(target: Any) -> bool:
    """Whether a function is torch's or Python's own."""
    where = getattr(target, "__module__", None) or type(target).__module__
    return where.partition(".")[0] in _KNOWN


def _name(target: Any) -> str:
    """The name of what an operation calls, with the underscore that says that it writes."""
    if isinstance(target, OpOverload):
        return target.name().rpartition("::")[2].partition(".")[0]
    return target if isinstance(target, str) else getattr(target, "__name__", "")
