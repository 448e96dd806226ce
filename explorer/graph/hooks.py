"""Hooks of modules: followed as the operations that they are while tracing, and not run again with the module.

A forward hook that returns something replaces the output, and a pre-hook the input: what they compute are operations of
the network. A pre-hook may also compute a weight (pruning, weight_norm), which the module then needs wherever it runs.
All others only look on: what they compute is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from itertools import islice
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from explorer.graph.in_place import changes_operand

Hook = Callable[..., Any]
COMPUTES = "computes_weights"  # in the meta of a node: the pre-hooks that its module needs


def has_hooks(module: nn.Module) -> bool:
    """Whether anything else than the module's forward happens when it is called."""
    own = vars(module)
    return bool(own.get("_forward_hooks") or own.get("_forward_pre_hooks"))


def computing(node: fx.Node) -> tuple[Hook, ...]:
    """The pre-hooks that compute weights of the module that a traced operation calls."""
    return node.meta.get(COMPUTES, ())


def call(module: nn.Module, node: fx.Node, args: Any, kwargs: Any, state: dict[str, Tensor] | None = None) -> Any:
    """Call a leaf module of a traced program, without the hooks that are operations of the program themselves.

    state: tensors, by name, that stand in for its parameters and buffers.
    """
    if not has_hooks(module):
        return torch.func.functional_call(module, state, args, kwargs) if state else module(*args, **kwargs)
    bare = _Bare(module, computing(node))
    with _same_attributes(module):
        renamed = {f"module.{name}": tensor for name, tensor in (state or {}).items()}
        return torch.func.functional_call(bare, renamed, args, kwargs)


class _Bare(nn.Module):
    """A module without its hooks, but with those that compute its weights."""

    def __init__(self, module: nn.Module, computing: Iterable[Hook]) -> None:
        super().__init__()
        self.module, self.computing = module, computing

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        for hook in self.computing:
            hook(self.module, args)
        return self.module.forward(*args, **kwargs)


@contextmanager
def _same_attributes(module: nn.Module) -> Generator[None]:
    own, before = vars(module), vars(module).copy()
    try:
        yield
    finally:
        own.update(before)
        for name in own.keys() - before.keys():
            del own[name]


class FollowedHooks:
    """The hooks of one module, called on what stands for its input and output while it is traced."""

    def __init__(self, module: nn.Module, graph: fx.Graph, dead: list[fx.Node]) -> None:
        self.module, self.graph = module, graph
        self.dead = dead  # gathers operations of hooks that only look on
        self.computes: list[Hook] = []

    def before(self, args: Any, kwargs: Any) -> tuple[Any, Any]:
        """What the pre-hooks make of the arguments."""
        own = vars(self.module)
        for key, hook in own["_forward_pre_hooks"].items():
            named = key in own["_forward_pre_hooks_with_kwargs"]
            weights = _tensors_of(self.module)
            with self._looking_on() as look:
                found = hook(self.module, args, kwargs) if named else hook(self.module, args)
                if any(_tensors_of(self.module).get(name) is not value for name, value in weights.items()):
                    self.computes.append(hook)
                look.replaces = found is not None
            if found is not None and named:
                args, kwargs = found
            elif found is not None:
                args = cast("Any", found) if isinstance(found, tuple) else (found,)
        return args, kwargs

    def after(self, args: Any, kwargs: Any, output: Any) -> Any:
        """What the hooks make of the output."""
        own = vars(self.module)
        for key, hook in own["_forward_hooks"].items():
            named = key in own["_forward_hooks_with_kwargs"]
            with self._looking_on() as look:
                found = hook(self.module, args, kwargs, output) if named else hook(self.module, args, output)
                look.replaces = found is not None
            output = output if found is None else found
        return output

    @contextmanager
    def _looking_on(self) -> Generator[_Look]:
        look, count = _Look(), len(self.graph.nodes)
        yield look
        new = list(islice(reversed(self.graph.nodes), len(self.graph.nodes) - count))
        if not look.replaces and not any(n.op == "call_module" or changes_operand(n) for n in new):
            self.dead.extend(reversed(new))


class _Look:
    replaces = False


def _tensors_of(module: nn.Module) -> dict[str, Any]:
    """The plain attributes of a module that are tensors: computed weights, where there are any."""
    return {name: value for name, value in vars(module).items() if isinstance(value, Tensor | fx.Proxy)}


def drop_dead(graph: fx.Graph, dead: Iterable[fx.Node]) -> None:
    """Erase the operations of hooks that only look on; what else reads them keeps them."""
    for node in reversed(list(dead)):
        if not node.users and node.op != "get_attr":  # an attribute may still be read under the same name
            graph.erase_node(node)
