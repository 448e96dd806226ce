"""A module that no trace follows, run as it is: its layers are its modules, seen by forward hooks.

The module is left as it was: mode, hooks, attributes, buffers, and torch's random state.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from explorer.errors import Cancelled, TraceError, UnknownNameError, UserError, shown
from explorer.graph.trace import mode
from explorer.graph.unchanged import unchanged
from explorer.run import scripted


@dataclass(frozen=True, eq=False)
class PlainNetwork:
    """A module whose graph is not to be had, and why. What it does may depend on the values of an image, so that it is
    given one image at a time."""

    module: nn.Module
    reason: TraceError | None = None

    def find_layer(self, name: str) -> str:
        """The path of a module; raises UnknownNameError that names the nearest ones."""
        paths = [path for path, _ in self.module.named_modules(remove_duplicate=False) if path]
        if name.partition("#")[0] in paths:
            return name
        near = get_close_matches(name, paths, n=3, cutoff=0.3) or paths[-3:] or ["none: it has no modules"]
        raise UnknownNameError(
            f"layer={shown(name)} is not a module of this network, which cannot be traced; the nearest are "
            f"{', '.join(path[:60] for path in near)}."
        )

    def run(self, image: Tensor, layer: str | None = None, cancel: Callable[[], bool] | None = None) -> tuple[Any, Any]:
        """What the module returns for one image [1, C, H, W], and what the module of that path does (its first call,
        the second by `#2`). Raises TraceError where it fails, UserError where the layer is not run, Cancelled."""
        calls: list[Any] = []
        with kept(self.module), torch.no_grad():
            if layer is not None and isinstance(self.module, torch.jit.ScriptModule):
                calls.append(self._attempt(lambda: scripted.output_of(self.module, layer, image)))
                returned = self._attempt(lambda: self.module(image.clone()))
            else:
                with self._hooked(layer, calls, cancel):
                    returned = self._attempt(lambda: self.module(image.clone()))
        if layer is None:
            return returned, None
        number = int(layer.partition("#")[2] or 1)
        if not 0 < number <= len(calls):
            raise UserError(f"layer={layer!r} was run {len(calls)} times for this image.")
        return returned, calls[number - 1]

    def _attempt(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except (Cancelled, UserError):
            raise
        except Exception as error:
            if self.reason is not None:  # a trace says better where it failed
                raise self.reason from error
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
            raise TraceError(f"{type(self.module).__name__} fails when it is run: {reason}") from error

    @contextlib.contextmanager
    def _hooked(self, layer: str | None, calls: list[Any], cancel: Callable[[], bool] | None) -> Iterator[None]:
        """Note what a module returns, and ask before every module whether to go on."""

        def ask(*_: Any) -> None:
            if cancel is not None and cancel():
                raise Cancelled

        def note(_module: nn.Module, _args: Any, output: Any) -> None:
            calls.append(pytree.tree_map_only(Tensor, lambda t: t.detach().clone(), output))

        ask()
        parts = [part for part in self.module.modules() if not isinstance(part, torch.jit.ScriptModule)]
        handles = [part.register_forward_pre_hook(ask) for part in parts]
        if layer is not None:
            handles.append(self.module.get_submodule(layer.partition("#")[0]).register_forward_hook(note))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


@contextlib.contextmanager
def kept(module: nn.Module) -> Iterator[None]:
    """Evaluation mode; after it what the forward bound or stored, every buffer's values, and the random state are put
    back: a forward that cannot be traced may change any of them."""
    buffers = [(buffer, buffer.detach().clone()) for buffer in module.buffers()]
    cuda = {p.device for p in module.parameters() if p.device.type == "cuda"}
    with torch.random.fork_rng(list(cuda)), mode(module, False), unchanged(module):
        try:
            yield
        finally:
            with torch.no_grad():
                for buffer, before in buffers:
                    buffer.copy_(before)
