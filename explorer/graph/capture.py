"""nn.Module → operations by torch.fx, which runs the module's own code once on stand-ins for tensors."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from explorer.graph import doors, hooks, intercept, own_ops
from explorer.graph.layers import Failure
from explorer.graph.reasons import reason
from explorer.graph.replayed import Replayed

MOST_STEPS = 100_000  # operations of one network: a forward that makes more is taken for one that does not end
BEGINNING = 1_000  # operations of such a forward that are kept, to show how it goes round


@dataclass
class Captured:
    """The operations of a network, and what they need beside its weights.

    batch: the only number of images that they hold for, None for any. endless: the forward was stopped, `program` is
    how it begins, and nothing else can trace it.
    """

    root: nn.Module
    program: fx.Graph
    constants: dict[str, Any] = field(default_factory=dict[str, Any])
    out_spec: pytree.TreeSpec | None = None
    failure: Failure | None = None
    batch: int | None = None
    endless: bool = False


class TooManySteps(BaseException):
    """Raised inside a forward that does not end; not an Exception, which that forward could catch and go on."""


class _Tracer(fx.Tracer):
    """torch.fx's tracer that remembers in which module it stopped.

    It makes the same program several times faster: the modules around an operation are kept in one dict that all
    operations there share (torch.fx copies it for each, and keeps a second record that nobody reads), parameters are
    looked up by identity, the usual arguments do not pass the long list of unusual ones, and the modules of this
    network alone are changed while it runs. What other threads ask of them meanwhile, passes through.
    """

    proxy_buffer_attributes = True  # else `self.num_batches_tracked.add_(1)` happens while tracing
    stopped_in: str | None = None

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()
        self._stack: dict[str, tuple[str, type]] = {}  # the modules around the current operation, outermost first
        self._steps = 0
        self._read_before: dict[str, fx.Proxy] = {}  # by the names of the tensors
        self.dead: list[fx.Node] = []  # operations of hooks that only look on

    def follow(self, root: nn.Module, concrete_args: dict[str, Any] | None) -> None:
        """Run the forward of `root` on stand-ins; the operations are in `graph`, also where it stops."""
        self.root, self.graph = root, fx.Graph(tracer_cls=type(self))
        named = cast("Iterator[tuple[str, nn.Module]]", root.named_modules())
        self.submodule_paths = paths = {part: path for path, part in named}
        self.tensor_attrs = dict(_plain_tensors(paths))
        forward, given = self.create_args_for_root(type(root).forward, True, concrete_args)
        with (
            intercept.following() as self._functions,
            intercept.intercepted(paths, self._called, self._read),
        ):
            self._functions.search(type(root).forward)
            self.create_node("output", "output", (self.create_arg(forward(*given)),), {})

    def _called(self, m: nn.Module, *args: Any, **kwargs: Any) -> Any:
        return self.call_module(m, partial(intercept.run_itself, m), args, kwargs)

    def _read(self, name: str, tensor: Any) -> Any:
        return self.getattr(name, tensor, self._read_before)

    @cached_property
    def _tensor_names(self) -> dict[int, str]:
        return {id(t): name for name, t in (*self.root.named_buffers(), *self.root.named_parameters())}

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        whole = isinstance(m, torch.jit.ScriptModule) or getattr(m, "is_leaf_of_traces", False) is True
        whole = whole or own_ops.of_class(type(m)) is not None
        return whole or super().is_leaf_module(m, module_qualified_name)

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        if threading.get_ident() != self._thread:
            return forward(*args, **kwargs)
        if (inner := doors.unwrapped(m)) is not m:
            return self.call_module(inner, inner.forward, args, kwargs)
        path, outer = self.path_of_module(m), self._stack
        self._stack = {**outer, path: (path, type(m))}
        try:
            is_leaf = self.is_leaf_module(m, path)
            if not is_leaf:
                self._functions.search(m.forward)
            if hooks.has_hooks(m):
                return self._hooked(m, path, is_leaf, args, kwargs)
            return self.create_proxy("call_module", path, args, kwargs) if is_leaf else forward(*args, **kwargs)
        except BaseException:
            self.stopped_in = self.stopped_in or path
            raise
        finally:
            self._stack = outer

    def _hooked(self, m: nn.Module, path: str, is_leaf: bool, args: Any, kwargs: Any) -> Any:
        follow = hooks.FollowedHooks(m, self.graph, self.dead)
        args, kwargs = follow.before(args, kwargs)
        if is_leaf:
            output = self.create_proxy("call_module", path, args, kwargs)
            output.node.meta[hooks.COMPUTES] = tuple(follow.computes)
        else:
            output = m.forward(*args, **kwargs)
        return follow.after(args, kwargs, output)

    def create_args_for_root(self, root_fn: Any, is_module: bool, concrete_args: Any = None) -> Any:
        """torch.fx calls the forward of the network itself without its hooks."""
        forward, given = super().create_args_for_root(root_fn, is_module, concrete_args)
        return (_with_hooks_of(self, forward) if hooks.has_hooks(self.root) else forward), given

    def create_node(
        self, kind: str, target: Any, args: Any, kwargs: Any, name: str | None = None, type_expr: Any = None
    ) -> fx.Node:
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise TooManySteps(f"its forward makes more than {MOST_STEPS} operations")
        node = self.graph.create_node(kind, target, None, None, name, type_expr)
        node.args = args  # given to create_node, they would be searched for symbolic numbers
        if kwargs:
            node.kwargs = kwargs
        if self._stack:
            node.meta["nn_module_stack"] = self._stack
        return node

    def create_arg(self, a: Any) -> Any:
        if type(a) is fx.Proxy:
            return a.node
        if type(a) in (tuple, list):
            return type(a)([self.create_arg(item) for item in a])
        return {} if type(a) is dict and not a else super().create_arg(a)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        del attr  # the tensor tells more than the name under which it was found
        name = self._tensor_names.get(id(attr_val)) if isinstance(attr_val, Tensor) else None
        if name is None or threading.get_ident() != self._thread:
            return attr_val
        if name not in parameter_proxy_cache:
            parameter_proxy_cache[name] = self.create_proxy("get_attr", name, (), {})
        return parameter_proxy_cache[name]


def _plain_tensors(paths: Mapping[nn.Module, str]) -> Iterator[tuple[Any, str]]:
    """The tensors that modules keep as plain attributes, and objects of C++, with their qualified names."""
    for part, path in paths.items():
        for name, value in vars(part).items():
            if isinstance(value, _KEPT_AS_THEY_ARE):
                yield value, f"{path}.{name}" if path else name


_KEPT_AS_THEY_ARE = (Tensor, torch.ScriptObject)


def _with_hooks_of(tracer: _Tracer, forward: Callable[..., Any]) -> Callable[..., Any]:
    def hooked(root: nn.Module, *args: Any) -> Any:
        follow = hooks.FollowedHooks(root, tracer.graph, tracer.dead)
        args, kwargs = follow.before(args, {})
        return follow.after(args, kwargs, forward(root, *args, **kwargs))

    return hooked


def symbolic(module: nn.Module) -> Captured:
    """Trace with torch.fx, up to where it stops if it does. Tensor constants that it would leave on the module are kept
    beside the program instead."""
    if isinstance(module, Replayed):
        return Captured(module, module.program, batch=module.batch)
    tracer = _Tracer()
    found = Captured(module, fx.Graph())
    before = set(vars(module))
    try:
        tracer.follow(module, doors.defaults(module))
    except (Exception, TooManySteps) as error:
        found.failure = Failure(tracer.stopped_in or "", reason(error))
        found.endless = isinstance(error, TooManySteps)
    finally:
        found.constants = {name: vars(module)[name] for name in set(vars(module)) - before if _is_constant(name)}
        for name in found.constants:
            delattr(module, name)
    found.program = tracer.graph
    hooks.drop_dead(tracer.graph, tracer.dead)
    if found.endless:
        _keep_beginning(tracer.graph)
    _drop_specialised_arguments(tracer.graph)
    return found


def _keep_beginning(graph: fx.Graph) -> None:
    for node in reversed(list(graph.nodes)[BEGINNING:]):
        graph.erase_node(node)


def _is_constant(name: str) -> bool:
    return re.fullmatch(r"_tensor_constant\d+", name) is not None


def _drop_specialised_arguments(graph: fx.Graph) -> None:
    for node in reversed(list(graph.nodes)):
        if getattr(node.target, "__name__", "") == "_assert_is_none":
            graph.erase_node(node)
    for node in list(graph.nodes)[1:]:
        if node.op == "placeholder" and not node.users:
            graph.erase_node(node)
