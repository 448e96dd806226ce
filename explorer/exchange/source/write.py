"""The whole file: its head, its classes, and how to load the weights that were saved beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from textwrap import indent
from typing import Any

from torch import nn

from explorer.errors import UserError
from explorer.exchange.source.classes import Class, Classes
from explorer.exchange.source.expressions import Making, written
from explorer.exchange.source.functions import copied_functions, source_of
from explorer.graph import hooks
from explorer.graph.trace import trace
from explorer.types import InputSize

_HEAD = '''"""{title}: {parameters:,} parameters, for images [N, {size}]; written by CNN Architecture Explorer.

It is what the network computes at inference; what happens in training alone, as stochastic depth, is left out.
`python {file} WEIGHTS.safetensors` loads weights that were saved with it, and runs the network once.
"""

from __future__ import annotations

import sys
{imports}
'''
_FOOT = '''

def load(weights: str | None = None) -> {root}:
    """The network in evaluation: with the weights of a safetensors file, or as torch initialises it."""
    network = {call}
    if weights is not None:
        from safetensors.torch import load_file

        network.load_state_dict(load_file(weights))
    return network.eval()


if __name__ == "__main__":
    with torch.no_grad():
        print(load(*sys.argv[1:2])(torch.zeros(1, *INPUT_SIZE)))
'''


def python_source(module: nn.Module, input_size: InputSize, constants: Mapping[str, Any], file: str) -> str:
    """The network of one module as Python that needs torch alone; the names of its state dict are the module's.

    constants: what else the file states, by name. Raises TraceError, UserError that names what cannot be written.
    """
    traced = trace(module, input_size)
    if traced.out_spec is not None:
        raise UserError(
            f"{type(module).__name__} decides by sizes what it does; only what torch.fx follows is written."
        )
    if weighed := [node for node in traced.program.nodes if hooks.computing(node)]:
        raise UserError(
            f"{weighed[0].target} has weights that a hook computes; remove it first (as by remove_weight_norm)."
        )
    classes = Classes(traced)
    root = classes.root
    assert isinstance(root, Making)
    copied = copied_functions(traced.program)
    if twice := copied.keys() & {each.name for each in classes.found}:
        raise UserError(f"{min(twice)} is a function and a class of the network; both cannot be written as Python.")
    body = "\n\n\n".join([*map(source_of, copied.values()), *map(_class, classes.found)])
    stated = "\n".join(f"{name} = {_stated(value)}" for name, value in {"INPUT_SIZE": input_size, **constants}.items())
    text = f"{stated}\n\n\n{body}\n{_FOOT.format(root=root.name, call=written(root))}"
    parameters = sum(each.numel() for each in module.parameters())
    head = _HEAD.format(
        title=root.name, parameters=parameters, size=", ".join(map(str, input_size)), file=file, imports=_imports(text)
    )
    return f"{head}\n{text}"


def _stated(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True) if isinstance(value, str | list) else repr(value)


def _imports(text: str) -> str:
    standard = [f"import {name}" for name in ("math", "operator") if f"{name}." in text]
    ordered = ["from collections import OrderedDict"] if "OrderedDict(" in text else []
    functional = ["from torch.nn import functional as F"] if "F." in text else []
    return "\n".join([*standard, *ordered, "", "import torch", "from torch import Tensor, nn", *functional])


def _class(each: Class) -> str:
    lines = [f"class {each.name}(nn.Module):"]
    if each.parts:
        made = ", ".join(["self", *each.parameters])
        lines += [f"    def __init__({made}) -> None:" if len(made) < 80 else _long_signature(each)]
        lines += ["        super().__init__()", *(indent(_part(name, value), " " * 8) for name, value in each.parts)]
        lines += [""] if each.body else []
    if each.body:
        given = ", ".join(["self", *(f"{name}: Tensor" for name in each.signature)])
        returned = "Tensor" if not each.body[-1].count(",") or each.body[-1].endswith(")") else "tuple[Tensor, ...]"
        lines += [f"    def forward({given}) -> {returned}:", *(f"        {line}" for line in each.body)]
    return "\n".join(lines)


def _long_signature(each: Class) -> str:
    return "    def __init__(\n        self,\n" + "".join(f"        {p},\n" for p in each.parameters) + "    ) -> None:"


def _part(name: str, value: Any) -> str:
    if isinstance(value, Making) and value.name == "self.register_buffer":
        return written(value)
    if name.isidentifier():
        return f"self.{name} = {written(value)}"
    return f"self.add_module({name!r}, {written(value)})"
