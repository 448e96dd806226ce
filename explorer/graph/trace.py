"""nn.Module → traced program and layer graph: torch.fx first, torch.export where control flow stops it.

Shapes come from running the program on the meta device, so that no weight and no activation is ever allocated.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import torch
from torch import fx, nn
from torch.utils import _pytree as pytree

from explorer.errors import TraceError
from explorer.graph import doors
from explorer.graph.capture import Captured, TooManySteps, symbolic
from explorer.graph.export import EXAMPLES, exported
from explorer.graph.layers import Failure, LayerGraph
from explorer.graph.reasons import reason
from explorer.graph.recorder import GraphRecorder
from explorer.graph.unchanged import parts_of, unchanged


@dataclass(frozen=True, eq=False)
class TracedProgram:
    """A network as a runnable list of operations, and the layer graph that describes them.

    module holds the weights (never copied); nodes maps the layers' ids to the operations in `program`; `unflatten`
    restores the structure of the output where the tracer flattened it; `batch` is the only number of images that the
    program runs on, None where it runs on any.
    """

    module: nn.Module
    program: fx.Graph
    graph: LayerGraph
    nodes: dict[str, fx.Node]
    training: bool = False
    constants: dict[str, Any] = field(default_factory=dict[str, Any])
    out_spec: pytree.TreeSpec | None = None
    batch: int | None = None

    def unflatten(self, output: Any) -> Any:
        """The output in the structure that the module's own forward returns."""
        return output if self.out_spec is None else pytree.tree_unflatten(list(output), self.out_spec)


@contextlib.contextmanager
def mode(module: nn.Module, training: bool) -> Generator[None]:
    """Put the module in training or eval mode; each submodule gets its own mode back, also after an exception.

    A program of torch.export keeps its mode in its operations, and is left in it.
    """
    before = [(part, part.training) for part in parts_of(module)]
    others = [part for part, was in before if was != training]
    try:
        if others and all("train" not in vars(part) and _only_switches(type(part)) for part, _ in before):
            for part in others:
                vars(part)["training"] = training  # an assignment would search the parameters first
        elif others:
            with contextlib.suppress(NotImplementedError):
                module.train(training)
        yield
    finally:
        for part, was in before:
            if part.training == was:
                continue
            if _only_switches(type(part)):
                vars(part)["training"] = was
            else:
                part.training = was


@lru_cache(maxsize=4096)
def _only_switches(cls: type[nn.Module]) -> bool:
    """Whether `train` does no more than to set `training`: one that freezes its statistics has a `train` of its own."""
    own = cls.train is nn.Module.train and cls.__setattr__ is nn.Module.__setattr__
    return own and not hasattr(cls, "training")


def trace(
    module: nn.Module,
    input_size: tuple[int, int, int] = (3, 224, 224),
    *,
    training: bool = False,
    partial: bool = False,
) -> TracedProgram:
    """Trace a module for inputs [N, C, H, W] of the given (C, H, W); the module is left as it was.

    Of DataParallel and torch.compile, what is inside is traced. With `partial`, a network that cannot run gives the
    graph up to the failing layer and `graph.failure`. Otherwise raises TraceError that names the layer and torch's
    reason, or what is supported; UserError for an input_size that is none. Threads trace one after the other.
    """
    size = doors.checked_size(input_size)
    module = doors.checked(module)
    with _TRACING, mode(module, training), unchanged(module) as restore, torch.no_grad():
        captured = symbolic(module)
        restore()  # what is recorded is the module as it was, not as its forward left it
        program = _recorded(captured, size, training)
        # What torch.fx cannot follow, torch.export may; a layer that does not fit fails there too.
        if captured.failure or (program.graph.failure and not partial):
            restore()
            program = _exported(captured, program, size)
    if (failure := program.graph.failure) and not partial:
        raise TraceError(f"{type(module).__name__} fails at {failure.path or 'its own code'}: {failure.reason}")
    return program


_TRACING = threading.RLock()  # the functions of `math` are replaced meanwhile, for all threads


def _exported(captured: Captured, stopped: TracedProgram, size: tuple[int, int, int]) -> TracedProgram:
    """The program by torch.export of what torch.fx could not follow; or the one that stopped, with the best reason."""
    failure = stopped.graph.failure
    assert failure is not None
    if captured.endless:
        return stopped
    said = ""
    for batch in EXAMPLES:
        try:
            found = _recorded(exported(captured.root, size, batch), size, stopped.training)
        except (Exception, TooManySteps) as error:
            said = reason(error)
        else:
            if found.graph.failure is None:
                return found
            said = found.graph.failure.reason
    takes_a_dict = doors.reads_a_dict(captured.program)
    if captured.failure is None and not takes_a_dict:
        return stopped  # a layer that does not fit, which torch.fx names
    return replace(stopped, graph=replace(stopped.graph, failure=Failure(failure.path, takes_a_dict or said)))


def _recorded(captured: Captured, input_size: tuple[int, int, int], training: bool) -> TracedProgram:
    recorder = GraphRecorder(captured.root, captured.program, captured.constants)
    failure = recorder.record(input_size) or captured.failure
    return TracedProgram(
        captured.root, captured.program, recorder.layer_graph(failure), recorder.nodes, training,
        captured.constants, captured.out_spec, captured.batch,
    )  # fmt: skip
