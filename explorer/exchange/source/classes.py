"""The classes of a file: modules made alike share one, and the numbers in which they differ are its parameters."""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from explorer.errors import UserError
from explorer.exchange.source.calls import ModuleCall, call_tree, is_below
from explorer.exchange.source.expressions import (
    Making,
    Name,
    constructor,
    is_leaf,
    is_number,
    literal,
    numbers,
    with_numbers,
)
from explorer.exchange.source.forward import Forward, GapNumber, filled
from explorer.graph.trace import TracedProgram

MOST_KEPT = 4096  # values of a tensor that is no weight, up to which it is written out


@dataclass(eq=False)
class Made:
    """One module of the network that needs a class: what its parts are made by, and its forward."""

    path: str
    base: str
    parts: list[tuple[str, Any]]
    signature: tuple[str, ...]
    body: tuple[str, ...]
    figures: tuple[GapNumber, ...]


@dataclass(eq=False)
class Class:
    """A class of the file: its name, its parameters, what each part is made by in terms of them, and its forward."""

    name: str
    parameters: tuple[str, ...]
    parts: list[tuple[str, Any]]
    signature: tuple[str, ...]
    body: tuple[str, ...]


class Classes:
    """All classes of a traced network, in the order in which a file defines them; `root` makes the network."""

    def __init__(self, traced: TracedProgram) -> None:
        self.module, self.program = traced.module, traced
        self.parts = dict(self.module.named_modules())
        self.paths = {id(part): path for path, part in self.parts.items()}
        self.aliases: dict[int, list[str]] = {}
        for path, part in self.module.named_modules(remove_duplicate=False):
            self.aliases.setdefault(id(part), []).append(path)
        self.calls: dict[str, list[ModuleCall]] = {}
        tree = call_tree(traced.program)
        self._collect(tree)
        self.found: list[Class] = []
        self._expressions: dict[str, Any] = {}
        self._sequences = {path for path in self.calls if self._is_sequence(path)}
        self.root = self._grown()

    def _collect(self, call: ModuleCall) -> None:
        self.calls.setdefault(call.path, []).append(call)
        for each in call.items:
            if isinstance(each, ModuleCall):
                self._collect(each)

    # -- which calls are written as calls -----------------------------------------------------------------------------

    def is_called(self, call: ModuleCall) -> bool:
        """Whether a call is written as one: its module is there, and does the same whenever it is called."""
        known = call.path in self.parts and bool(call.outputs)
        return known and (len(self.calls[call.path]) == 1 or self._is_alike(call.path))

    def _is_alike(self, path: str) -> bool:
        bodies = {repr(self._body(call, path)) for call in self.calls[path]}
        return len(bodies) == 1

    def _is_sequence(self, path: str) -> bool:
        """Whether a module is an nn.Sequential that does to one value what its parts do, one after the other."""
        module, calls = self.parts.get(path), self.calls[path]
        if not isinstance(module, nn.Sequential) or type(module).forward is not nn.Sequential.forward or not path:
            return False
        return all(self._is_chain(call) for call in calls)

    def _is_chain(self, call: ModuleCall) -> bool:
        value = call.inputs
        for each in call.items:
            inside = each.path if isinstance(each, ModuleCall) else str(each.target)
            is_part = inside.rpartition(".")[0] == call.path and (
                isinstance(each, ModuleCall) or each.op == "call_module"
            )
            given = each.inputs if isinstance(each, ModuleCall) else each.all_input_nodes
            made = each.outputs if isinstance(each, ModuleCall) else [each]
            if not is_part or given != value or len(made) != 1 or len(self.calls.get(inside, ())) > 1:
                return False
            value = made
        return value == call.outputs and len(call.items) > 0

    # -- what makes each module ---------------------------------------------------------------------------------------

    def _grown(self) -> Making:
        """Classes from the innermost modules outwards: what makes a module holds what makes its parts."""
        levels: dict[int, list[str]] = {}
        for path in self.parts:
            levels.setdefault(self._height(self.parts[path]), []).append(path)
        for height in sorted(levels):
            needed = [made for path in levels[height] if (made := self._needs_class(path))]
            for group in _grouped(needed):
                self._enter(group)
        return self._expressions[""]

    def _height(self, module: nn.Module) -> int:
        inside = [part for part in module.children() if part is not None]
        return 0 if is_leaf(module) or not inside else 1 + max(map(self._height, inside))

    def _needs_class(self, path: str) -> Made | None:
        """What a module's class would be; None where it is one of torch's, which an expression makes."""
        module = self.parts[path]
        if is_leaf(module):
            self._expressions[path] = constructor(module, path)
            return None
        if path in self._sequences:
            self._expressions[path] = _sequence(self._inside(module, placeholders=True))
            return None
        if self._is_indexed(path):
            self._expressions[path] = _container(module, self._inside(module, placeholders=True))
            return None
        calls = self.calls.get(path, [])
        parts = [*self._tensors(module, path), *self._inside(module, placeholders=False)]
        if not calls and not parts and path:
            return None  # nothing that it holds or does is seen
        body = self._body(calls[0], path) if calls else ((), (), ())
        return Made(path, _class_name(module, path), parts, *body)

    def _body(self, call: ModuleCall, path: str) -> tuple[tuple[str, ...], tuple[str, ...], tuple[GapNumber, ...]]:
        """The names of what a forward takes, its lines, and the numbers in their gaps."""
        *nodes, last = self.program.program.nodes
        if path:
            inputs, outputs = call.inputs, call.outputs
        else:
            inputs = [node for node in nodes if node.op == "placeholder"][:1]
            outputs = last.all_input_nodes
        forward = Forward(call, lambda target: self._relative(path, target), self.is_called, inputs, outputs)
        lines = forward.written()
        if not path:
            lines[-1] = f"return {forward.text(last.args[0])}"
        return forward.signature, tuple(lines), tuple(forward.figures)

    def _relative(self, scope: str, target: str) -> str:
        """The expression of a module or tensor as a module's own code has it."""
        if not is_below(target, scope):
            target = self._alias(scope, target)
        found, at = "self", scope
        for part in target.removeprefix(f"{scope}." if scope else "").split("."):
            if self._is_indexed(at):
                found += f"[{part}]" if part.isdecimal() else f"[{part!r}]"
            else:
                found = f"{found}.{part}" if _is_name(part) else f"getattr({found}, {part!r})"
            at = f"{at}.{part}" if at else part
        return found

    def _alias(self, scope: str, target: str) -> str:
        """Another name of a module, below the one that uses it. Raises UserError where it has none."""
        part = self.parts.get(target)
        below = [path for path in self.aliases.get(id(part), ()) if part is not None and is_below(path, scope)]
        if not below:
            raise UserError(f"{scope} uses {target}, which lies outside it: this cannot be written as Python.")
        return below[0]

    def _is_indexed(self, path: str) -> bool:
        """Whether a module becomes one of torch's containers, whose parts go by number or key."""
        kinds = (nn.ModuleList, nn.Sequential, nn.ModuleDict)
        is_container = type(self.parts.get(path)) in kinds and path not in self.calls
        return bool(path) and (path in self._sequences or is_container) and _are_indices(self.parts[path])

    def _inside(self, module: nn.Module, placeholders: bool) -> list[tuple[str, Any]]:
        found = []
        for name, part in module._modules.items():
            if part is None:
                continue
            made = self._expressions.get(self.paths[id(part)])
            if made is not None:
                found.append((name, made))
            elif placeholders:
                found.append((name, Making("nn.Identity")))
        return found

    def _tensors(self, module: nn.Module, path: str) -> list[tuple[str, Any]]:
        """The parameters and buffers that a module itself holds, and what else of tensors its code reads."""
        found = [(name, _parameter(value)) for name, value in module._parameters.items() if value is not None]
        for name, value in module._buffers.items():
            if value is not None:
                found.append((name, _buffer(name, value, name not in module._non_persistent_buffers_set)))
        constants = self.program.constants if not path else {}
        found += [(name, _buffer(name, value, keep=False)) for name, value in constants.items()]
        known = {*module._parameters, *module._buffers, *constants}
        for node in self.program.program.nodes:
            owner, _, name = str(node.target).rpartition(".")
            if node.op == "get_attr" and owner == path and name not in known:
                known.add(name)
                found.append((name, _buffer(name, getattr(module, name), keep=False)))
        return found

    # -- classes ------------------------------------------------------------------------------------------------------

    def _enter(self, group: list[Made]) -> None:
        """Add the class of modules that are alike; the columns of numbers in which they differ are its parameters."""
        first, own = group[0], {name for name, _ in group[0].parts}
        labels = [label for name, value in first.parts for label in _labels(name, value)]
        labels += [label for label, _ in first.figures]
        rows = [[*(n for _, n in numbers([v for _, v in each.parts])), *(n for _, n in each.figures)] for each in group]
        names: dict[tuple[Any, ...], str] = {}
        columns: list[str | None] = []  # the parameter of each number, None where it is the same in all
        for label, column in zip(labels, zip(*rows, strict=True), strict=True):
            if differs := len({(type(value), value) for value in column}) > 1:
                names.setdefault(column, _parameter_name(label, {*names.values(), *own}))
            columns.append(names[column] if differs else None)
        self._define(first, columns, rows[0], names)
        for number, made in enumerate(group):
            given = tuple((label, values[number]) for values, label in names.items())
            is_alone = len(given) == 1
            self._expressions[made.path] = Making(
                self.found[-1].name, tuple(v for _, v in given) if is_alone else (), () if is_alone else given
            )

    def _define(
        self, first: Made, columns: list[str | None], row: list[Any], names: Mapping[tuple[Any, ...], str]
    ) -> None:
        count = len(row) - len(first.figures)
        made = [value if name is None else Name(name) for value, name in zip(row, columns, strict=True)]
        numbered = iter(made[:count])
        parts = [(name, with_numbers(value, numbered)) for name, value in first.parts]
        read = dict.fromkeys(name for name in columns[count:] if name is not None)
        texts = [literal(value) if name is None else f"self.{name}" for value, name in zip(row, columns, strict=True)]
        body = tuple(filled(line, texts[count:]) for line in first.body)
        parameters = tuple(f"{label}: {_type(values)}" for values, label in names.items())
        parts += [(name, Name(name)) for name in read]
        self.found.append(Class(self._free_name(first), parameters, parts, first.signature, body))

    def _free_name(self, made: Made) -> str:
        """The class's own name; for a further one that name and what it has more or less, or a number."""
        taken = {each.name: each for each in self.found}
        if made.base not in taken:
            return made.base
        base, own = taken[made.base], {name for name, _ in made.parts}
        theirs = {name for name, _ in base.parts}
        more, less = own - theirs, theirs - own
        wanted = [made.base]
        if len(more) == 1 and not less:
            wanted.append(f"{made.base}With{_camel(*more)}")
        if len(less) == 1 and not more:
            wanted.append(f"{made.base}Without{_camel(*less)}")
        between = "_" if made.base[-1:].isdecimal() else ""
        wanted += [f"{made.base}{between}{number}" for number in range(2, len(taken) + 3)]
        return next(name for name in wanted if name not in taken)


def _grouped(needed: list[Made]) -> list[list[Made]]:
    """Modules that are alike but for numbers, together."""
    found: dict[Hashable, list[Made]] = {}
    for made in needed:
        form = tuple((name, _form(value)) for name, value in made.parts)
        found.setdefault((made.base, form, made.signature, made.body), []).append(made)
    return list(found.values())


def _form(value: Any) -> Hashable:
    """An expression without its numbers."""
    if is_number(value):
        return 0
    if isinstance(value, Making):
        return value.name, tuple(map(_form, value.args)), tuple((name, _form(each)) for name, each in value.named)
    if isinstance(value, dict):
        return tuple((key, _form(each)) for key, each in value.items())
    if isinstance(value, tuple | list):
        return tuple(map(_form, value))
    return value


_POSITIONAL = {
    "Conv2d": ("in_channels", "out_channels", "kernel_size"), "Linear": ("in_features", "out_features"),
    "BatchNorm2d": ("num_features",), "LayerNorm": ("normalized_shape",), "GroupNorm": ("num_groups", "num_channels"),
    "MaxPool2d": ("kernel_size",), "AvgPool2d": ("kernel_size",),
}  # fmt: skip


def _labels(owner: str, value: Any) -> Iterator[tuple[str, str]]:
    """For each number in an expression, what it belongs to, and what it is there."""
    if is_number(value):
        yield owner, "size"
    elif isinstance(value, Making):
        known = _POSITIONAL.get(value.name.removeprefix("nn."), ())
        for place, each in enumerate(value.args):
            for inner, label in _labels(owner, each):
                yield inner, known[place] if is_number(each) and place < len(known) else label
        for name, each in value.named:
            for inner, label in _labels(owner, each):
                yield inner, name if is_number(each) else label
    elif isinstance(value, tuple | list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _labels(owner, each)


def _parameter_name(label: tuple[str, str], taken: Collection[str]) -> str:
    owner, what = (part.strip("_") for part in label)
    wanted = [what] if what in ("in_channels", "in_features", "stride") else []
    wanted += [f"{owner}_{what}"] if owner and not owner.isdecimal() else [what]
    wanted += [f"{wanted[-1]}_{number}" for number in range(2, len(taken) + 3)]
    return next(name for each in wanted if (name := re.sub(r"\W", "_", each)) not in taken)


def _sequence(parts: list[tuple[str, Any]]) -> Making:
    if [name for name, _ in parts] == [str(number) for number in range(len(parts))]:
        return Making("nn.Sequential", tuple(value for _, value in parts))
    return Making("nn.Sequential", (Making("OrderedDict", (dict(parts),)),))


def _container(module: nn.Module, parts: list[tuple[str, Any]]) -> Making:
    if isinstance(module, nn.Sequential):
        return _sequence(parts)
    if isinstance(module, nn.ModuleDict):
        return Making("nn.ModuleDict", (dict(parts),))
    return Making("nn.ModuleList", ([value for _, value in parts],))


def _parameter(value: Tensor) -> Making:
    """A parameter that a module holds itself: small random values until weights are loaded."""
    start = Making("nn.init.trunc_normal_", (Making("torch.empty", _sides(value)),), (("std", 0.02),))
    return Making("nn.Parameter", (start,))


def _buffer(name: str, value: Any, keep: bool) -> Making:
    """A buffer by its values where these are no part of the weights, else by its shape."""
    if not isinstance(value, Tensor):
        raise UserError(
            f"{name} is a {type(value).__name__} that the network reads, which cannot be written as Python."
        )
    if keep:
        made = Making("torch.zeros", _sides(value), (("dtype", Name(str(value.dtype))),))
    elif value.is_meta or value.numel() > MOST_KEPT:
        raise UserError(
            f"{name} is a tensor of {value.numel():,} values that are no weights; they cannot be written out."
        )
    else:
        made = Making("torch.tensor", (Name(repr(value.tolist())),), (("dtype", Name(str(value.dtype))),))
    return Making("self.register_buffer", (Name(repr(name)), made), (("persistent", keep),))


def _sides(value: Tensor) -> tuple[Any, ...]:
    """The shape as arguments; that of a single value has no sides, and has to be said."""
    return tuple(value.shape) or ((),)


def _are_indices(module: nn.Module) -> bool:
    """Whether the parts of a container can be had by number; a dict's go by key."""
    return isinstance(module, nn.ModuleDict) or list(module._modules) == [str(n) for n in range(len(module._modules))]


def _type(values: tuple[Any, ...]) -> str:
    kinds = {type(value).__name__ for value in values}
    return kinds.pop() if kinds in ({"int"}, {"float"}) else "int | tuple[int, ...]" if "tuple" in kinds else "float"


def _class_name(module: nn.Module, path: str) -> str:
    name = type(module).__name__
    if name in ("Sequential", "Module", "ModuleList", "ModuleDict") or not _is_name(name):
        name = _camel(path.rpartition(".")[2] or "network")
    return name if _is_name(name) else "Part"


def _camel(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"\W|_", name))


def _is_name(text: str) -> bool:
    return text.isidentifier() and not keyword.iskeyword(text)
