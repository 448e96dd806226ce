"""A program as it is built from a file, operation by operation, and the module that holds the file's tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from explorer.errors import UserError, shown
from explorer.exchange.stored import StoredTensor
from explorer.graph.reasons import reason
from explorer.graph.replayed import Replayed
from explorer.types import Shape

DEFAULT_SIDE = 224  # px, of an input whose size a file leaves open
_DEEPEST = 30  # modules around a weight


class ProgramBuilder:
    """The program so far. stack: the modules around the operations that are added, by path, as torch.fx keeps them.

    file: its name. network: the class that it says it came from. batch: how many images it takes, None for any.
    """

    def __init__(self, file: str, network: str, batch: int | None, device: str) -> None:
        if batch not in (None, 1):
            raise UserError(f"{file} takes {batch} pictures at a time and no other number; export it for one or any.")
        kind = network if network.isidentifier() else "Network"
        self.file, self.device, self.batch = file, device, batch
        self.graph = fx.Graph()
        self.root = type(kind, (Replayed,), {})(self.graph, batch)
        self.stack: dict[str, tuple[str, str]] = {}
        self._held: dict[StoredTensor, fx.Node] = {}  # by identity: constants may share a name

    def misfit(self, why: str) -> UserError:
        """The sentence that refuses the file because the current operation does not fit its input."""
        raise NotImplementedError

    def image(self, size: Shape, dtype: torch.dtype = torch.float32) -> fx.Node:
        """The input, a batch of images (channels, height, width)."""
        node = self.graph.placeholder("x")
        node.meta["val"] = torch.empty(self.batch or 2, *size, dtype=dtype, device="meta")
        return node

    def emit(self, target: Callable[..., Any] | str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> fx.Node:
        """Add an operation, a function or a method by name, and run it on meta."""
        kind = "call_method" if isinstance(target, str) else "call_function"
        node = self.graph.create_node(kind, target, tuple(args), dict(kwargs))  # pyright: ignore[reportArgumentType]
        node.meta["nn_module_stack"] = self.stack
        given, named = fx.map_arg((tuple(args), dict(kwargs)), lambda each: each.meta["val"])
        on_meta = {"device": torch.device("meta")} if "device" in named else {}
        try:
            with torch.device("meta"), torch.no_grad():
                call = getattr(Tensor, target) if isinstance(target, str) else target
                node.meta["val"] = call(*given, **(named | on_meta))
        except Exception as error:
            raise self.misfit(reason(error)) from None
        return node

    def finished(self, outputs: Sequence[fx.Node]) -> Replayed:
        """The module, once all operations are added."""
        self.graph.output(outputs[0] if len(outputs) == 1 else tuple(outputs))
        self.graph.eliminate_dead_code()
        return self.root.eval()

    # -- tensors --------------------------------------------------------------------------------------------------

    def attribute(self, stored: StoredTensor, is_trained: bool = True) -> fx.Node:
        """A tensor of the file, kept in the module; one that is read again is kept once."""
        if stored not in self._held:
            self._held[stored] = self.hold(stored.name, self._loaded(stored), is_trained and stored.is_weight)
        return self._held[stored]

    def _loaded(self, stored: StoredTensor) -> Tensor:
        if self.device == "meta":
            return torch.empty(stored.shape, dtype=stored.dtype, device="meta")
        if stored.values is None:
            raise UserError(
                f"{self.file} keeps {shown(stored.name)} in another file, which is not read: its structure is all that "
                "can be seen. Save it in one, with onnx.save(onnx.load(FILE), NEW)."
            )
        return stored.load().to(self.device)

    def hold(self, wanted: str, tensor: Tensor, is_trained: bool = True) -> fx.Node:
        """Keep a tensor in the module under its own name, or where that cannot be under another."""
        owner, path, name = self._place(wanted)
        if tensor.is_floating_point() and is_trained:
            owner.register_parameter(name, nn.Parameter(tensor))
        else:
            owner.register_buffer(name, tensor)
        node = self.graph.get_attr(f"{path}.{name}" if path else name)
        node.meta["val"] = torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")
        return node

    def _place(self, wanted: str) -> tuple[nn.Module, str, str]:
        """(module, its path, name in it) of a tensor, with the modules on the way made."""
        *path, name = wanted.split(".")
        if all(part and part.isprintable() for part in (*path, name)) and len(path) <= _DEEPEST:
            owner: Any = self.root
            for part in path:
                inside = owner._modules.get(part)
                if inside is None:
                    if hasattr(owner, part):
                        break
                    inside = nn.Module()
                    owner.add_module(part, inside)
                owner = inside
            else:
                if not hasattr(owner, name):
                    return owner, ".".join(path), name
        return self.root, "", f"tensor_{len(list(self.root.parameters())) + len(list(self.root.buffers()))}"
