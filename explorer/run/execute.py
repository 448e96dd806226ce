"""The executor: runs a traced program on real tensors, captures any layer, replaces any operation, resumes anywhere.

The module is left as it was: mode, hooks, buffers, requires_grad and .grad, and torch's random state, also after an
exception or a cancel.
"""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from explorer.errors import Cancelled, UserError
from explorer.graph import hooks, ops
from explorer.graph.layers import Layer
from explorer.graph.names import find_layer
from explorer.graph.trace import TracedProgram, mode
from explorer.run.schedule import last_uses, schedule_of


@dataclass(frozen=True, eq=False)
class OpCall:
    """One layer about to run, as a rule sees it: `default()` is what the network would do.

    module is None for a functional layer; args and kwargs are those of the call (for a method, args[0] is the tensor).
    """

    layer: Layer
    module: nn.Module | None
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    node: fx.Node
    perform: Callable[[tuple[Any, ...], dict[str, Any]], Any]

    @cached_property
    def arguments(self) -> ops.Arguments:
        """The arguments by name, the same for the module and the functional form ("input", "kernel_size", …)."""
        if self.module is not None:
            return {"input": self.args[0], **ops.module_arguments(self.module)}
        return ops.call_arguments(self.layer.kind, ops.function_name(self.node.target), self.args, self.kwargs)

    def default(self, *args: Any) -> Any:
        """The layer's own output; `args` replace its first arguments."""
        return self.perform((*args, *self.args[len(args) :]), self.kwargs)


Rule = Callable[[OpCall], Any]


@dataclass(frozen=True, eq=False)
class Execution:
    """output: what the module returns, in its structure (that of the layer `until`, if given); captured: by the name
    given, a tensor, or a tuple of tensors for a layer with several outputs."""

    output: Any
    captured: dict[str, Any]


def run(
    program: TracedProgram,
    image: Tensor | None,
    *,
    capture: Collection[str] = (),
    until: str | None = None,
    rules: Mapping[str, Rule] | None = None,
    start: Mapping[str, Any] | None = None,
    cancel: Callable[[], bool] | None = None,
    grad: bool = False,
) -> Execution:
    """Run the program on images [N, C, H, W]; only the operations that output and captured layers need are run.

    Layers go by id or, as `find_layer` has it, by the path of a module whose output they are.
    capture: layers whose outputs are wanted, as copies that later in-place operations do not reach.
    until: the layer after which to stop. rules: layer id, or kind of layer, → what to do instead (an id goes
    before a kind). start: layer id → its output, so that what comes before is run only where something else needs it;
    `image` may then be None (not for a layer that writes into its input where the network reads on from that input).
    To differentiate by an inner layer, start from a leaf tensor. cancel: asked before each
    layer. grad: record for autograd. Raises Cancelled, UnknownNameError (a layer), UserError (an image of a size that
    this network cannot take); other errors of torch and of rules pass through.
    """
    ids = {name: find_layer(program.graph, name).id for name in (*capture, *(start or ()), *filter(None, [until]))}
    if until is None and (failure := program.graph.failure):
        raise UserError(f"the network cannot run: it fails at {failure.path or 'its input'}: {failure.reason}")
    _check_size(program, image)
    if program.batch is not None and image is not None and len(image) > program.batch:
        return _one_by_one(program, image, capture, until, rules, start, cancel, grad)
    given = {ids[name]: value for name, value in (start or {}).items()}
    job = _Run(program, image, {ids[name] for name in capture}, dict(rules or {}), given, cancel)
    device = next((t.device for t in pytree.tree_leaves((image, start)) if isinstance(t, Tensor)), None)
    with _unchanged(program, device), torch.set_grad_enabled(grad):
        done = job.execute(program.nodes[ids[until]] if until else _output(program))
    return Execution(done.output, {name: done.captured[ids[name]] for name in capture})


def _one_by_one(program: TracedProgram, images: Tensor, *others: Any) -> Execution:
    """A program that holds for one image alone, on several."""
    capture, until, rules, start, cancel, grad = others

    def of_one(number: int) -> Execution:
        given = pytree.tree_map_only(Tensor, lambda tensor: tensor[number : number + 1], dict(start or {}))
        return run(
            program, images[number : number + 1],
            capture=capture, until=until, rules=rules, start=given, cancel=cancel, grad=grad,
        )  # fmt: skip

    found = [of_one(number) for number in range(len(images))]
    return Execution(_together([each.output for each in found]), _together([each.captured for each in found]))


def _together(values: list[Any]) -> Any:
    """The same structure with the tensors of all images joined along the first dimension."""
    leaves, spec = zip(*map(pytree.tree_flatten, values), strict=True)
    joined = [torch.cat(each) if isinstance(each[0], Tensor) else each[0] for each in zip(*leaves, strict=True)]
    return pytree.tree_unflatten(joined, spec[0])


def first_tensor(output: Any) -> Tensor:
    """The first tensor of an output: the main one of networks that return several, as the logits of GoogLeNet."""
    return next(leaf for leaf in pytree.tree_leaves(output) if isinstance(leaf, Tensor))


class _Run:
    """One execution: the values alive, by operation."""

    def __init__(
        self,
        program: TracedProgram,
        image: Tensor | None,
        capture: set[str],
        rules: dict[str, Rule],
        start: dict[str, Any],
        cancel: Callable[[], bool] | None,
    ) -> None:
        self.program, self.image, self.capture, self.rules = program, image, capture, rules
        self.cancel = cancel or (lambda: False)
        self.given = {program.nodes[name]: value for name, value in start.items()}
        self.schedule = schedule_of(program)
        self.layers = self.schedule.layers
        self.values: dict[fx.Node, Any] = {}
        self.captured: dict[str, Any] = {}

    def execute(self, last: fx.Node) -> Execution:
        wanted = {last, *(self.program.nodes[name] for name in self.capture)}
        order = self._order(wanted)
        done = last_uses(order, set(self.given), keep=last)
        for node in order:
            self._step(node)
            for dead in done.get(node, ()):
                del self.values[dead]
        output = self.values.pop(last)
        return Execution(self.program.unflatten(output) if last.op == "output" else output, self.captured)

    def _order(self, wanted: set[fx.Node]) -> list[fx.Node]:
        """The operations that the wanted ones need, in the program's order; nothing before a given one."""
        needs = self.schedule.dependencies
        found, queue = set[fx.Node](), list(wanted)
        while queue:
            node = queue.pop()
            if node not in found:
                found.add(node)
                queue.extend([] if node in self.given else needs[node])
        return [node for node in self.program.program.nodes if node in found]

    def _step(self, node: fx.Node) -> None:
        layer = self.layers.get(node)
        if layer is not None and self.cancel():
            raise Cancelled
        value = _copy(self.given[node]) if node in self.given else self._value(node, layer)
        self.values[node] = value
        if layer is not None and layer.id in self.capture:
            self.captured[layer.id] = _copy(value)

    def _value(self, node: fx.Node, layer: Layer | None) -> Any:
        try:
            args, kwargs = fx.map_arg((node.args, dict(node.kwargs)), self.values.__getitem__)
            return self._perform(node, layer, args, kwargs)
        except RuntimeError as error:
            expected = _input_size(self.program)
            if self.image is None or tuple(self.image.shape[1:]) == expected:
                raise
            where = layer.id if layer else node.name
            raise UserError(f"{_size_message(self.image, expected)}, and cannot run on it: {where}: {error}") from error

    def _perform(self, node: fx.Node, layer: Layer | None, args: Any, kwargs: dict[str, Any]) -> Any:
        """What a node yields, by its rule if it has one."""

        def perform(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            return self._default(node, args, kwargs)

        rule = layer and (self.rules.get(layer.id) or self.rules.get(layer.kind))
        if layer is None or rule is None:
            return perform(args, kwargs)
        module = _attribute(self.program, node) if node.op == "call_module" else None
        return rule(OpCall(layer, module, args, kwargs, node, perform))

    def _default(self, node: fx.Node, args: Any, kwargs: dict[str, Any]) -> Any:
        match node.op:
            case "placeholder":
                return self._argument(node, args)
            case "get_attr":
                value = _attribute(self.program, node)
                return value if isinstance(value, nn.Parameter) else _copy(value)
            case "call_module":
                return _call(node, _attribute(self.program, node), args, kwargs)
            case "call_method":
                return getattr(args[0], str(node.target))(*args[1:], **kwargs)
            case "output":
                return _plain(args[0])
        assert callable(node.target)
        return node.target(*args, **kwargs)

    def _argument(self, node: fx.Node, defaults: tuple[Any, ...]) -> Any:
        """The image for the first argument of forward, the default for the others."""
        if node not in self.layers:
            return defaults[0] if defaults else None
        if self.image is None:
            raise ValueError("the layers in `start` do not cover all paths from the input: an image is needed")
        return _copy(self.image)


def _attribute(program: TracedProgram, node: fx.Node) -> Any:
    name = str(node.target)
    return program.constants[name] if name in program.constants else operator.attrgetter(name)(program.module)


def _call(node: fx.Node, module: nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
    """Call a leaf module, without its hooks: what they do is in the program. In training mode on copies of its buffers,
    as batch norms update their statistics."""
    buffers = {name: buffer.clone() for name, buffer in module.named_buffers()} if module.training else {}
    return hooks.call(module, node, args, kwargs, buffers)


def _copy(value: Any) -> Any:
    return pytree.tree_map_only(Tensor, Tensor.clone, value)


def _plain(value: Any) -> Any:
    """Dicts and lists as the module's forward makes them: torch.fx keeps immutable kinds of its own."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return tuple(map(_plain, value)) if type(value) is tuple else value


def _output(program: TracedProgram) -> fx.Node:
    return next(iter(reversed(program.program.nodes)))


def _input_size(program: TracedProgram) -> tuple[int, ...]:
    return program.graph.layers[0].output_shape[1:]


def _check_size(program: TracedProgram, image: Tensor | None) -> None:
    """A program of torch.export holds for one image size, others say themselves what they cannot take."""
    if image is None:
        return
    expected = _input_size(program)
    if image.dim() != 4:
        raise UserError(f"image of shape {tuple(image.shape)} is not of the form [N, C, H, W].")
    if _is_exported(program) and tuple(image.shape[1:]) != expected:
        raise UserError(f"{_size_message(image, expected)}, the only size that this program takes.")


def _size_message(image: Tensor, expected: tuple[int, ...]) -> str:
    given, traced = ("x".join(map(str, size)) for size in (image.shape[1:], expected))
    return f"image of size {given}: the network was traced for {traced}"


def _is_exported(program: TracedProgram) -> bool:
    return program.out_spec is not None


@contextlib.contextmanager
def _unchanged(program: TracedProgram, device: torch.device | None) -> Iterator[None]:
    """The mode that the program was traced for and, in training, a random state of its own; both are put back."""
    cuda = [device] if device is not None and device.type == "cuda" else []
    # An exported program has its mode in its operations, and refuses to have it set.
    modes = contextlib.nullcontext() if _is_exported(program) else mode(program.module, program.training)
    # In evaluation nothing is drawn, and the random state belongs to all threads: it is left alone.
    random = torch.random.fork_rng(cuda) if program.training else contextlib.nullcontext()
    with random, modes:
        yield
