"""nn.Module → traced program and layer graph: torch.fx first, torch.export where control flow stops it.

Shapes come from running the program on the meta device, so that no weight and no activation is ever allocated.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import re
import threading
from collections.abc import Generator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from explorer.errors import TraceError
from explorer.graph.layers import Failure, LayerGraph
from explorer.graph.recorder import GraphRecorder
from explorer.graph.shapes import image_dtype


@dataclass(frozen=True, eq=False)
class TracedProgram:
    """A network as a runnable list of operations, and the layer graph that describes them.

    module holds the weights (never copied); nodes maps the layers' ids to the operations in `program`; `unflatten`
    restores the structure of the output where the tracer flattened it.
    """

    module: nn.Module
    program: fx.Graph
    graph: LayerGraph
    nodes: dict[str, fx.Node]
    training: bool = False
    constants: dict[str, Any] = field(default_factory=dict[str, Any])
    out_spec: pytree.TreeSpec | None = None

    def unflatten(self, output: Any) -> Any:
        """The output in the structure that the module's own forward returns."""
        return output if self.out_spec is None else pytree.tree_unflatten(list(output), self.out_spec)


@contextlib.contextmanager
def mode(module: nn.Module, training: bool) -> Generator[None]:
    """Put the module in training or eval mode; each submodule gets its own mode back, also after an exception."""
    before = [(part, part.training) for part in module.modules()]
    try:
        if any(was != training for _, was in before):
            module.train(training)
        yield
    finally:
        for part, was in before:
            if part.training != was:
                part.training = was


def trace(
    module: nn.Module,
    input_size: tuple[int, int, int] = (3, 224, 224),
    *,
    training: bool = False,
    partial: bool = False,
) -> TracedProgram:
    """Trace a module for inputs [N, C, H, W] of the given (C, H, W); the module is left as it was.

    With `partial`, a network that cannot run gives the graph up to the failing layer and `graph.failure`. Otherwise
    raises TraceError that names the layer and torch's reason. Threads trace one after the other.
    """
    with _TRACING, mode(module, training), torch.no_grad():
        captured = _symbolic(module)
        program = _recorded(captured, input_size, training)
        # What torch.fx cannot follow, torch.export may; a layer that does not fit fails there too.
        if captured.failure or (program.graph.failure and not partial):
            exported = _exported(module, input_size)
            program = _recorded(exported, input_size, training) if exported else program
    if (failure := program.graph.failure) and not partial:
        raise TraceError(f"{type(module).__name__} fails at {failure.path or 'its own code'}: {failure.reason}")
    return program


_TRACING = threading.RLock()  # torch.fx puts its own functions into nn.Module, for all threads, until it is done


@dataclass
class _Captured:
    root: nn.Module
    program: fx.Graph
    constants: dict[str, Any] = field(default_factory=dict[str, Any])
    out_spec: pytree.TreeSpec | None = None
    failure: Failure | None = None


def _recorded(captured: _Captured, input_size: tuple[int, int, int], training: bool) -> TracedProgram:
    recorder = GraphRecorder(captured.root, captured.program, captured.constants)
    failure = recorder.record(input_size) or captured.failure
    return TracedProgram(
        captured.root, captured.program, recorder.layer_graph(failure), recorder.nodes, training,
        captured.constants, captured.out_spec,
    )  # fmt: skip


class _Tracer(fx.Tracer):
    """torch.fx's tracer that remembers in which module it stopped.

    It makes the same program several times faster: the modules around an operation are kept in one dict that all
    operations there share (torch.fx copies it for each, and keeps a second record that nobody reads), parameters are
    looked up by identity, and the usual arguments do not pass the long list of unusual ones. What other threads ask of
    their modules meanwhile, passes through.
    """

    proxy_buffer_attributes = True  # else `self.num_batches_tracked.add_(1)` happens while tracing
    stopped_in: str | None = None

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()
        self._stack: dict[str, tuple[str, type]] = {}  # the modules around the current operation, outermost first

    @cached_property
    def _tensor_names(self) -> dict[int, str]:
        return {id(t): name for name, t in (*self.root.named_buffers(), *self.root.named_parameters())}

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return getattr(m, "is_leaf_of_traces", False) is True or super().is_leaf_module(m, module_qualified_name)

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        if threading.get_ident() != self._thread:
            return forward(*args, **kwargs)
        path, outer = self.path_of_module(m), self._stack
        self._stack = {**outer, path: (path, type(m))}
        try:
            if self.is_leaf_module(m, path):
                return self.create_proxy("call_module", path, args, kwargs)
            return forward(*args, **kwargs)
        except Exception:
            self.stopped_in = self.stopped_in or path
            raise
        finally:
            self._stack = outer

    def create_node(
        self, kind: str, target: Any, args: Any, kwargs: Any, name: str | None = None, type_expr: Any = None
    ) -> fx.Node:
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


def _symbolic(module: nn.Module) -> _Captured:
    """Trace with torch.fx, up to where it stops if it does. Tensor constants that it would leave on the module are kept
    beside the program instead."""
    tracer = _Tracer()
    failure = None
    before = set(vars(module))
    try:
        tracer.trace(module, concrete_args=_defaults(module))
    except Exception as error:
        failure = Failure(tracer.stopped_in or "", _first_line(error))
    finally:
        constants = {name: vars(module)[name] for name in set(vars(module)) - before if _is_constant(name)}
        for name in constants:
            delattr(module, name)
    _drop_specialised_arguments(tracer.graph)
    return _Captured(module, tracer.graph, constants, failure=failure)


def _is_constant(name: str) -> bool:
    return re.fullmatch(r"_tensor_constant\d+", name) is not None


def _defaults(module: nn.Module) -> dict[str, Any]:
    """Every argument of forward but the first keeps its default, so that `if mask is not None` is decided."""
    parameters = list(inspect.signature(module.forward).parameters.values())[1:]
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def _drop_specialised_arguments(graph: fx.Graph) -> None:
    for node in reversed(list(graph.nodes)):
        if getattr(node.target, "__name__", "") == "_assert_is_none":
            graph.erase_node(node)
    for node in list(graph.nodes)[1:]:
        if node.op == "placeholder" and not node.users:
            graph.erase_node(node)


def _exported(module: nn.Module, input_size: tuple[int, int, int]) -> _Captured | None:
    """Trace with torch.export, which follows control flow on shapes, for this input size and any batch; None if it
    cannot."""
    parameter = next(iter(module.parameters()), None)
    device = parameter.device if parameter is not None else torch.device("cpu")
    example = torch.zeros(2, *input_size, dtype=image_dtype(module), device=device)
    try:
        shapes = ({0: torch.export.Dim.AUTO},)
        with _silence("torch"):
            program = torch.export.export(module, (example,), dynamic_shapes=shapes, strict=False)
    except Exception:
        return None
    root = program.module(check_guards=False)
    assert isinstance(root, fx.GraphModule)
    return _Captured(root, root.graph, out_spec=program.call_spec.out_spec)


@contextlib.contextmanager
def _silence(name: str) -> Generator[None]:
    """Keep torch.export from logging what we report in one sentence."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
