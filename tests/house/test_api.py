"""What notebooks and scripts rely on: public names with whole signatures, said in their docstrings, kept stable."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable
from dataclasses import fields
from types import ModuleType
from typing import Any

import pytest
from torch import nn

import explorer
import models
from explorer import api
from tests.support.places import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDES = README + (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PUBLIC = [(module, name) for module in (explorer, models) for name in module.__all__]
FUNCTIONS = [
    pytest.param(getattr(module, name), id=f"{module.__name__}.{name}")
    for module, name in PUBLIC
    if callable(getattr(module, name)) and not inspect.isclass(getattr(module, name))  # a cached one is no function
]
TAKES_KNOBS = {"build", "spec", "knob"}  # models': **knobs are named by the Spec at hand
NO_DEFAULT = inspect.Parameter.empty

# The contract: leading parameters in order, with their defaults. What is added later has a default and stands behind.
SIGNATURES: dict[Callable[..., Any], dict[str, Any]] = {
    explorer.analyze: {"module": NO_DEFAULT, "input_size": (3, 224, 224)},
    explorer.feature_maps: {"module": NO_DEFAULT, "image": NO_DEFAULT, "layer": NO_DEFAULT},
    explorer.deconvnet: {
        "module": NO_DEFAULT, "image": NO_DEFAULT, "layer": NO_DEFAULT, "channel": None, "position": None,
    },
    explorer.occlusion_map: {
        "module": NO_DEFAULT, "image": NO_DEFAULT, "target": None, "window": 32, "stride": 16, "fill": "gray",
        "layer": None, "method": "auto", "progress": None, "cancel": None,
    },
    explorer.open: {
        "module": NO_DEFAULT, "pictures": None, "classes": None, "preprocessing": None, "input_size": None,
    },
    models.architectures: {},
    models.presets: {},
    models.spec: {"name": NO_DEFAULT},
}  # fmt: skip
ATTRIBUTES: dict[type, set[str]] = {
    explorer.Analysis: {"params", "macs", "activation_bytes", "peak_bytes", "receptive_field", "local_receptive_field",
                        "graph", "layers"},
    explorer.LayerReport: {"id", "kind", "scope", "output_shape", "params", "macs", "receptive_field"},
    explorer.OcclusionMap: {"probability", "top_class", "activation", "boxes"},
    explorer.ReceptiveField: {"size", "stride", "padding", "is_global", "box"},
}  # fmt: skip


def used(code: str, module: ModuleType) -> set[str]:
    """The names that code takes from a module by its name."""
    return {
        node.attr
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == module.__name__
    }


@pytest.mark.parametrize(("module", "name"), PUBLIC)
def test_every_public_name_says_what_it_is(module: ModuleType, name: str) -> None:
    found = getattr(module, name)
    said = inspect.getdoc(found) or ""
    assert len(said) > 20
    assert not said.startswith(f"{name}("), "a docstring of its own, not a dataclass's signature"
    assert found.__doc__, "not one that is inherited"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_public_functions_show_their_whole_signature_and_say_every_parameter(function: Callable[..., Any]) -> None:
    said = inspect.getdoc(function) or ""
    for parameter in inspect.signature(function).parameters.values():
        open_ended = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        assert not open_ended or function.__name__ in TAKES_KNOBS, f"{parameter} hides what it takes"
        assert parameter.annotation is not parameter.empty, parameter.name
        named = re.search(rf"\b{parameter.name}\b", said, re.IGNORECASE)  # a Spec says what `spec` is
        assert named, f"{parameter.name} is not in the docstring"


@pytest.mark.parametrize("function", SIGNATURES, ids=lambda function: function.__name__)
def test_signatures_stay_as_notebooks_call_them(function: Callable[..., Any]) -> None:
    parameters = list(inspect.signature(function).parameters.values())
    promised = SIGNATURES[function]
    assert {p.name: p.default for p in parameters[: len(promised)]} == promised
    assert all(p.default is not p.empty or p.kind is p.VAR_KEYWORD for p in parameters[len(promised) :])


def test_build_takes_a_preset_or_a_spec_a_device_and_knobs() -> None:
    by_name = models.build("resnet50", num_classes=7, device="meta", depths=(1, 1, 1, 1))
    by_spec = models.build(models.spec("resnet50", num_classes=7, depths=(1, 1, 1, 1)), device="meta")
    assert isinstance(by_name, nn.Module)
    shapes = [{name: value.shape for name, value in model.state_dict().items()} for model in (by_name, by_spec)]
    assert shapes[0] == shapes[1]
    assert shapes[0]["fc.weight"] == (7, 2048)


@pytest.mark.parametrize("kind", ATTRIBUTES, ids=lambda kind: kind.__name__)
def test_results_keep_their_attributes(kind: type) -> None:
    assert ATTRIBUTES[kind] <= {field.name for field in fields(kind)} | set(vars(kind))


def test_the_readme_uses_public_names_alone() -> None:
    (code,) = re.findall(r"```python\n(.+?)```", README, re.DOTALL)
    for module in (explorer, models):
        assert used(code, module)
        assert used(code, module) <= set(module.__all__)
    imported = {
        alias.name for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Import) for alias in node.names
    }
    assert imported == {"explorer", "models", "torch"}
    assert "from " not in code


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_public_function_is_shown_in_a_guide(function: Callable[..., Any]) -> None:
    room = function.__module__.split(".")[0]
    assert re.search(rf"\b{room}\.{function.__name__}\(|`{function.__name__}\(", GUIDES)


def test_the_calls_that_the_readme_names_run() -> None:
    prose = re.sub(r"```.+?```", "", README, flags=re.DOTALL)
    calls = re.findall(r"`((?:models|explorer)\.\w+\([^`]*\))`", prose)
    assert len(calls) > 5
    own = type("MyBlur", (nn.Module,), {})
    names = {"models": models, "explorer": explorer, "spec": models.spec("resnet50"), "MyBlur": own}
    for call in calls:
        eval(call, names)


def test_the_package_holds_what_its_api_does() -> None:
    assert explorer.__all__ == api.__all__
    assert all(getattr(explorer, name) is getattr(api, name) for name in explorer.__all__)
