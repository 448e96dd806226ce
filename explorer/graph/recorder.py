"""From the operations of a traced program to the layers of a graph: runs each on meta and notes what it was."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from operator import attrgetter
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import _pytree as pytree
from torch.utils.flop_counter import FlopCounterMode

from explorer.graph import hooks, macs, ops, own_ops, shapes
from explorer.graph.layers import Buffer, Failure, Layer, LayerGraph
from explorer.graph.reasons import reason
from explorer.graph.roles import Roles
from explorer.types import Shape, is_sequence


class GraphRecorder:
    """Runs a program on the meta device and records one Layer per operation that depends on the input.

    Operations on weights alone (a reshaped scale, a standardised kernel) are not layers: their parameters count for
    the layer that uses them. Operations on sizes are not layers either.
    """

    def __init__(self, root: nn.Module, program: fx.Graph, constants: dict[str, Tensor]) -> None:
        self.module = root
        self.program = program
        self.constants = constants
        self.nodes: dict[str, fx.Node] = {}
        self.layers: list[Layer] = []
        self.outputs: tuple[str, ...] = ()
        self._modules = dict(cast("Iterator[tuple[str, nn.Module]]", root.named_modules(remove_duplicate=False)))
        self._parameter_names = _ParameterNames(root)
        self._values: dict[fx.Node, Any] = {}  # all of them stay alive, so that a storage's address names it
        self._sources: dict[fx.Node, list[str]] = {}  # node → ids of the layers whose tensors it carries
        self._writes: dict[fx.Node, list[str]] = {}  # node → ids of the layers that wrote into a part of its tensor
        self._weights: dict[fx.Node, list[str]] = {}  # node that depends on weights alone → their names
        self._ids: Counter[str] = Counter()
        self._weight_products: dict[fx.Node, Layer] = {}
        self._weight_ids: Counter[str] = Counter()
        self._shapes: dict[str, Shape] = {}
        self._products = 0  # multiply-accumulates inside the current operation, where they are counted
        self._alone = _single_operations(program)
        self._storages: dict[int, int] = {}
        self._roles = Roles(self._sources, self._values, partial(_attribute, root, constants))

    def record(self, input_size: tuple[int, int, int]) -> Failure | None:
        """Run on meta with one image [1, C, H, W]; returns where and why it stopped, if it did."""
        given = iter([torch.empty(1, *input_size, dtype=shapes.image_dtype(self.module), device="meta")])
        for n in self.program.nodes:
            try:
                self._values[n] = self._run(n, given)
            except Exception as error:
                return Failure(_path(n), reason(error) + self._given(n))
        return None

    def layer_graph(self, failure: Failure | None = None) -> LayerGraph:
        """The layers recorded so far."""
        used = {name: self._parameter_names.sizes[name] for layer in self.layers for name in layer.parameters}
        scopes = _scopes(self.module, (*self.nodes.values(), *self._weight_products))
        products = tuple(self._weight_products.values())
        return LayerGraph(tuple(self.layers), self.outputs, scopes, used, failure, products)

    # -- running ----------------------------------------------------------------------------------------------------

    def _run(self, n: fx.Node, given: Iterator[Tensor]) -> Any:
        args, kwargs = fx.map_arg((n.args, n.kwargs), self._values.__getitem__)
        if n.op == "placeholder":
            result = next(given, args[0] if args else None)
        elif n.op == "get_attr":
            result = self._attribute(n)
            self._weights[n] = self._names_of(n)
            return _on_meta(result) if isinstance(result, Tensor) else result
        elif n.op == "output":
            self.outputs = tuple(dict.fromkeys(self._inputs(n)))
            return args[0]
        else:
            result = self._result(n, args, kwargs)
        self._note(n, args, kwargs, result)
        return result

    def _result(self, n: fx.Node, args: Any, kwargs: Any) -> Any:
        """Run one operation; of one that no table knows, and of those of many products, the products are counted."""
        if self._kind(n) not in macs.MEASURED:
            return self._perform(n, args, kwargs)
        with FlopCounterMode(display=False) as counter:
            result = self._perform(n, args, kwargs)
        self._products = counter.get_total_flops() // 2
        return result

    def _kind(self, n: fx.Node) -> str:
        if n.op == "call_module":
            return ops.kind_of_module(self._module(n))
        return ops.kind_of_attribute(str(n.args[1])) if n.target is getattr else ops.kind_of_function(n.target)

    def _perform(self, n: fx.Node, args: Any, kwargs: Any) -> Any:
        """The output of a module, function or method: by rule where one is certain, else by running it on meta."""
        if (own := self._own(n)) and (told := own.on_meta((args, kwargs))) is not None:
            return told
        if n.op == "call_module":
            module = self._module(n)
            if not kwargs and (known := shapes.of_module(module, args)) is not None:
                return known
            if isinstance(module, torch.jit.ScriptModule):
                return _run_scripted(module, args, kwargs)
            with torch.device("meta"):
                return hooks.call(module, n, args, kwargs, _meta_state(module))
        if n.op == "call_method":
            return _method(str(n.target), *args, **kwargs)
        assert callable(n.target)
        kwargs = _made_on_meta(kwargs)
        if (known := shapes.of_function(n.target, args, kwargs)) is not None:
            return known
        with torch.device("meta"):
            return n.target(*args, **kwargs)

    def _own(self, n: fx.Node) -> own_ops.OwnOp | None:
        """What a person told of the operation."""
        return own_ops.of_class(type(self._module(n))) if n.op == "call_module" else own_ops.of_target(n.target)

    def _module(self, n: fx.Node) -> nn.Module:
        return self._modules[str(n.target)]

    def _attribute(self, n: fx.Node) -> Any:
        return _attribute(self.module, self.constants, n)

    def _given(self, n: fx.Node) -> str:
        """The shapes that an operation reads, in words."""
        read = _tensors(fx.map_arg(n.args, self._values.__getitem__))
        sizes = ["x".join(map(str, t.shape[1:])) for t in read]
        return f" (for an input of {', '.join(sizes)})" if sizes else ""

    # -- layers -----------------------------------------------------------------------------------------------------

    def _note(self, n: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
        tensors = _tensors(result)
        inputs = self._inputs(n)
        if n.op != "placeholder" and not inputs:
            self._weights[n] = self._parameters(n)
            kind = self._kind(n)
            if tensors and (kind in macs.PRODUCTS or (kind in macs.MEASURED and self._products)):
                self._weight_products[n] = self._layer(n, args, kwargs, inputs, tensors)
            return
        if not tensors:
            return
        if isinstance(n.target, type) and issubclass(n.target, tuple):
            self._sources[n] = inputs  # a named tuple of outputs is no operation
            return
        layer = self._layer(n, args, kwargs, inputs, tensors)
        self.layers.append(layer)
        self._shapes[layer.id] = layer.output_shape
        self.nodes[layer.id] = n
        self._sources[n] = [layer.id]
        if _writes_into_its_operand(n):
            self._pass_on(n, result, layer.id)

    def _pass_on(self, n: fx.Node, result: Tensor, layer: str) -> None:
        """Let all that read the tensor which an operation wrote into, read that operation: those that hold the tensor
        itself instead of what it was, views of it and what it is a view of beside that."""
        target = n.args[0]
        if isinstance(target, fx.Node) and len(target.users) == 1 and target.op == "call_module":
            return  # nobody else has the tensor
        address = _address(result.untyped_storage())
        for other, value in self._values.items():
            if value is result:
                self._sources[other] = [layer]
            elif isinstance(value, Tensor) and _address(value.untyped_storage()) == address:
                self._writes.setdefault(other, []).append(layer)

    def _layer(
        self, n: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any], inputs: list[str], tensors: list[Tensor]
    ) -> Layer:
        path, scope = self._placed(n)
        kind, op, arguments = self._described(n, args, kwargs)
        if own := self._own(n):
            arguments |= own.facts(args, kwargs, self._module(n) if n.op == "call_module" else None, tensors[0])
        names = tuple(dict.fromkeys(self._parameters(n)))
        attributes = ops.plain_attributes(arguments) | macs.counted(kind, arguments) | ops.kernel_size(kind, arguments)
        attributes |= self._roles.of(n, kind, inputs)
        if self._writes and (written := self._written(n)):
            attributes["written"] = len(written)
        if kind in macs.MEASURED and self._products:
            attributes["products"] = self._products
        wanted = path if path is not None else _join(scope, op if kind == "unknown" or own else kind)
        return Layer(
            id=_unique(wanted, self._ids if inputs or n.op == "placeholder" else self._weight_ids),
            kind=kind,
            op=op,
            scope=scope,
            inputs=tuple(inputs),
            input_shapes=tuple([self._shapes[name] for name in inputs]),
            outputs=tuple([tuple(t.shape) for t in tensors]),
            buffers=tuple([self._buffer(t) for t in tensors]),
            window=ops.window(kind, arguments),
            parameters=names,
            param_count=sum([self._parameter_names.sizes[name] for name in names]),
            attributes=attributes,
        )

    def _described(self, n: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, str, ops.Arguments]:
        """Kind, name as the code has it, and named arguments of an operation."""
        if n.op == "placeholder":
            return "input", "input", {}
        if n.op == "call_module":
            module = self._module(n)
            kind, name = ops.kind_of_module(module), type(module).__name__
            found = ops.module_arguments(module)
            if kind == "attention":
                found |= ops.call_arguments(kind, name, args, kwargs) | {"module": module}
            return kind, name, found
        kind, name = self._kind(n), ops.function_name(n.target)
        found = ops.call_arguments(kind, name, args, kwargs)
        if kind == "select":
            found["index"] = self._roles.index(n, found.get("index"))
        return kind, name, found

    def _placed(self, n: fx.Node) -> tuple[str | None, str]:
        """(own path, scope): an operation that is all that its module does goes by the module's path."""
        if n.op == "placeholder":
            return "input", ""
        path = _path(n)
        if n.op == "call_module" or path in self._alone:
            return path, path.rpartition(".")[0]
        return None, path

    def _inputs(self, n: fx.Node) -> list[str]:
        found = [name for source in self._operands(n) for name in self._sources.get(source, ())]
        return found + self._written(n) if self._writes else found

    def _written(self, n: fx.Node) -> list[str]:
        """The layers that wrote into parts of what an operation reads, each once."""
        return list(dict.fromkeys(name for source in n.all_input_nodes for name in self._writes.get(source, ())))

    def _operands(self, n: fx.Node) -> list[fx.Node]:
        """The operations whose results this one reads, each once; what it joins end to end as often as it does."""
        joined = n.args[0] if n.op == "call_function" and n.args else None
        if isinstance(joined, tuple | list) and self._kind(n) == "concat":
            return [source for source in joined if isinstance(source, fx.Node)]
        return n.all_input_nodes

    def _names_of(self, n: fx.Node) -> list[str]:
        value = self._attribute(n)
        name = self._parameter_names.get(value) if isinstance(value, Tensor) else None
        return [name] if name else []

    def _parameters(self, n: fx.Node) -> list[str]:
        """The names of the parameters that an operation reads: as arguments, then as a module's own."""
        passed = [name for source in n.all_input_nodes for name in self._weights.get(source, ())]
        if n.op != "call_module":
            return passed
        module = self._module(n)
        if isinstance(module, torch.jit.ScriptModule):  # makes new tensors whenever it is asked
            return passed + [name for name, _ in module.named_parameters(str(n.target))]
        state = vars(module)
        own: Iterable[Tensor | None] = module.parameters() if state["_modules"] else state["_parameters"].values()
        return passed + [name for p in own if p is not None and (name := self._parameter_names.get(p))]

    def _buffer(self, tensor: Tensor) -> Buffer:
        storage = tensor.untyped_storage()
        key = self._storages.setdefault(_address(storage), len(self._storages))
        return Buffer(key, storage.nbytes())


def _attribute(root: nn.Module, constants: dict[str, Tensor], n: fx.Node) -> Any:
    """What a network keeps under the name that an operation reads."""
    name = str(n.target)
    return constants[name] if name in constants else operator.attrgetter(name)(root)


def _unique(wanted: str, ids: Counter[str]) -> str:
    ids[wanted] += 1
    return wanted if ids[wanted] == 1 else f"{wanted}#{ids[wanted]}"


def _writes_into_its_operand(n: fx.Node) -> bool:
    """Whether an operation changes its first operand in place, as `add_`, `copy_` and `+=` do."""
    target: Any = n.target
    if n.op == "call_method":
        return target.endswith("_") and not target.endswith("__")
    if isinstance(target, OpOverload):
        return target.name().partition(".")[0].endswith("_")
    return target in _IN_PLACE


_IN_PLACE: frozenset[Any] = frozenset(getattr(operator, name) for name in ("iadd", "isub", "imul", "itruediv", "ipow"))


_address = attrgetter("_cdata")  # of a storage; on meta, data_ptr() is 0 for all of them


class _ParameterNames:
    """The first qualified name of every parameter (tied ones have one name) and its number of elements."""

    def __init__(self, root: nn.Module) -> None:
        named = dict(root.named_parameters())
        self._names = {id(p): name for name, p in named.items()}
        self.sizes = {name: p.numel() for name, p in named.items()}

    def get(self, tensor: Tensor) -> str | None:
        return self._names.get(id(tensor))


def _run_scripted(module: nn.Module, args: Any, kwargs: Any) -> Any:
    """A scripted module cannot have its weights replaced: what has only a size stands in for its input too."""
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    with FakeTensorMode(allow_non_fake_inputs=True):
        given = pytree.tree_map_only(Tensor, lambda t: torch.empty_like(t, device=device), (args, kwargs))
        found = module(*given[0], **given[1])
    return pytree.tree_map_only(Tensor, lambda t: torch.empty(t.shape, dtype=t.dtype, device="meta"), found)


def _method(name: str, tensor: Any, *args: Any, **kwargs: Any) -> Any:
    """A method of a tensor on meta, which stays there whatever device it is sent to."""
    if isinstance(tensor, Tensor) and name in ("cpu", "cuda"):
        return tensor
    if name == "to":
        args = tuple(_META if _is_device(value) else value for value in args)
    return getattr(tensor, name)(*args, **_made_on_meta(kwargs))


def _made_on_meta(kwargs: dict[str, Any]) -> dict[str, Any]:
    return kwargs | {"device": _META} if kwargs.get("device") is not None else kwargs


def _is_device(value: Any) -> bool:
    """Whether an argument of `to` is a device; a string can be nothing else."""
    return isinstance(value, torch.device | str)


_META = torch.device("meta")


def _meta_state(module: nn.Module) -> dict[str, Tensor]:
    """What stands in for a leaf module's weights and buffers; nothing where they are on meta already."""
    state = dict((*module.named_parameters(), *module.named_buffers()))
    return {} if all(t.is_meta for t in state.values()) else {name: _on_meta(t) for name, t in state.items()}


def _on_meta(tensor: Tensor) -> Tensor:
    return tensor if tensor.is_meta else torch.empty_like(tensor, device="meta")


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if not is_sequence(value):
        return []
    tensors = [item for item in value if isinstance(item, Tensor)]
    if len(tensors) == len(value):
        return tensors
    # nn.MultiheadAttention without its weights gives (maps, None)
    return tensors[:1] if isinstance(value, tuple) and isinstance(value[0], Tensor) else []


def _stack(n: fx.Node) -> list[tuple[str, Any]]:
    """The modules that enclose an operation, outermost first, as (path, class); without the network itself."""
    stack: dict[str, tuple[str, Any]] = n.meta.get("nn_module_stack") or {}
    return [entry for entry in stack.values() if entry[0]]


def _path(n: fx.Node) -> str:
    """The qualified path of the innermost module in which the operation happens."""
    if n.op == "call_module":
        return str(n.target)
    stack = _stack(n)
    return stack[-1][0] if stack else ""


def _single_operations(program: fx.Graph) -> set[str]:
    """Paths of the modules in which just one operation happens (sizes and attributes aside), called once or more: each
    call is counted by itself, where it has a key of its own among the modules, as in a program of torch.export."""
    functions = [n for n in program.nodes if n.op in ("call_function", "call_method", "call_module")]
    stacks: list[dict[str, tuple[str, Any]]] = [n.meta.get("nn_module_stack") or {} for n in functions]
    counts = Counter(call for stack in stacks for call in stack)
    several = {path for stack in stacks for call, (path, _) in stack.items() if counts[call] > 1}
    return {_path(n) for n in functions} - several - {""}


def _scopes(root: nn.Module, nodes: Iterable[fx.Node]) -> dict[str, str]:
    """Path → class name of every module that encloses one of the operations, and of the network itself under ""."""
    found = {"": type(root).__name__}
    for n in nodes:
        for path, cls in _stack(n):
            found[path] = cls.rpartition(".")[2] if isinstance(cls, str) else cls.__name__
    return found


def _join(scope: str, name: str) -> str:
    return f"{scope}.{name}" if scope else name
