"""The calls of modules within a traced program: which operations happen in which call, what goes in and comes out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby

from torch import fx


@dataclass(eq=False)
class ModuleCall:
    """One call of a module: its path, and in order what happens in it, operations and calls of modules inside it."""

    path: str
    items: list[fx.Node | ModuleCall] = field(default_factory=list)

    def nodes(self) -> Iterator[fx.Node]:
        """All operations, also those of calls inside."""
        for each in self.items:
            if isinstance(each, ModuleCall):
                yield from each.nodes()
            else:
                yield each

    @cached_property
    def inputs(self) -> list[fx.Node]:
        """The values that come from outside, in order of use; weights below the module are its own."""
        own, found = set(self.nodes()), dict[fx.Node, None]()
        for node in self.nodes():
            for source in node.all_input_nodes:
                if source not in own and not (source.op == "get_attr" and is_below(str(source.target), self.path)):
                    found[source] = None
        return list(found)

    @cached_property
    def outputs(self) -> list[fx.Node]:
        """The values that are read outside, in the program's order."""
        own = set(self.nodes())
        return [node for node in self.nodes() if any(user not in own for user in node.users)]


def is_below(path: str, module: str) -> bool:
    """Whether a qualified name lies below a module's."""
    return not module or path.startswith(f"{module}.")


def call_tree(program: fx.Graph) -> ModuleCall:
    """The call of the whole network, from the modules that the trace noted around each operation.

    Two calls of a module right after each other look like one, and become one that does both.
    """
    work = [node for node in program.nodes if node.op not in ("placeholder", "output", "get_attr") and _matters(node)]
    return ModuleCall("", _within([(node, _around(node)) for node in work], 0))


def _matters(node: fx.Node) -> bool:
    """Whether a value is read, or the operation writes into another."""
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    writes = name.endswith("_") or name == "setitem" or bool(node.kwargs.get("inplace"))
    return bool(node.users) or writes


def _around(node: fx.Node) -> list[str]:
    """The modules that an operation happens in, outermost first; one that is an operation itself is not in itself."""
    paths = [path for path, _ in (node.meta.get("nn_module_stack") or {}).values() if path]
    return paths[:-1] if node.op == "call_module" else paths


def _within(work: Sequence[tuple[fx.Node, list[str]]], depth: int) -> list[fx.Node | ModuleCall]:
    found: list[fx.Node | ModuleCall] = []
    for path, group in groupby(work, key=lambda each: each[1][depth] if len(each[1]) > depth else ""):
        inside = list(group)
        found += [ModuleCall(path, _within(inside, depth + 1))] if path else [node for node, _ in inside]
    return found
