"""The deconvnet against Captum where Captum is right, and on its blind spots against Captum on a twin network."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from captum.attr import Deconvolution, GuidedBackprop, NeuronDeconvolution
from torch import Tensor, nn
from torch.nn import functional as F

import explorer
from explorer.analysis.deconvnet import project
from explorer.analysis.deconvnet_rules import BackwardMethod, BackwardSettings
from explorer.graph.trace import trace
from tests.support.random_networks import RandomNetwork
from tests.support.torchvisions import torchvisions

CAPTUM = {"deconvnet": Deconvolution, "guided": GuidedBackprop}
PLAIN_GATES: dict[str, Any] = {"mul": "gradient"}  # Captum holds none
RIGHT = [
    "alexnet", "vgg11_bn", "squeezenet1_1", "resnet18", "mnasnet0_5", "resnext50_32x4d", "regnet_y_400mf",
]  # fmt: skip
FUNCTIONAL = ["densenet121", "googlenet"]  # F.relu, which Captum's hooks do not see


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def projected(module: nn.Module, image: Tensor, unit: int, method: BackwardMethod, **rules: Any) -> Tensor:
    """The signal from one output of a module at the image."""
    program = trace(module, (3, image.shape[2], image.shape[3]))
    settings = BackwardSettings(method, {**PLAIN_GATES, **rules})
    return project(program, image, program.graph.outputs[0], unit, settings=settings).signal


def captums(module: nn.Module, image: Tensor, unit: int, method: str) -> Tensor:
    with pytest.warns(UserWarning, match="Setting backward hooks"):
        return CAPTUM[method](module).attribute(image.clone().requires_grad_(), unit)[0].detach()


def assert_alike(found: Tensor, expected: Tensor) -> None:
    assert float(expected.abs().max()) > 0
    assert float((found - expected).abs().max()) <= 1e-5 * float(expected.abs().max())


def differ(found: Tensor, expected: Tensor) -> bool:
    return float((found - expected).abs().max()) > 0.05 * float(expected.abs().max())


# -- where Captum is right --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", CAPTUM)
@pytest.mark.parametrize("name", RIGHT)
def test_it_is_captums_where_every_rectifier_is_a_relu_module(name: str, method: BackwardMethod) -> None:
    module, image = torchvisions(name), torch.randn(1, 3, 64, 64)
    assert_alike(projected(module, image, 3, method), captums(module, image, 3, method))


def test_a_unit_inside_the_network_is_captums_neuron() -> None:
    module, image = torchvisions("alexnet"), torch.randn(1, 3, 64, 64)
    found = project(trace(module, (3, 64, 64)), image, "features.6", 5, (1, 2)).signal
    neuron = NeuronDeconvolution(module, module.get_submodule("features.6"))
    with pytest.warns(UserWarning, match="Setting backward hooks"):
        expected = neuron.attribute(image.clone().requires_grad_(), (5, 1, 2))
    assert_alike(found, expected[0].detach())


@pytest.mark.parametrize("seed", range(12))
def test_the_plain_gradient_is_that_of_autograd_on_any_network(seed: int) -> None:
    module = RandomNetwork(seed).eval()
    image = torch.randn(1, *module.input_size, requires_grad=True)
    with torch.autograd.graph.allow_mutation_on_saved_tensors():
        (expected,) = torch.autograd.grad(module(image.clone())[0, 0, 1, 2], image)
    program = trace(module, module.input_size)
    settings = BackwardSettings("gradient")
    found = project(program, image, program.graph.outputs[0], 0, (1, 2), settings)
    torch.testing.assert_close(found.signal, expected[0], rtol=1e-5, atol=1e-7)


# -- where Captum is wrong --------------------------------------------------------------------------------------------


class ThroughModule(torch.overrides.TorchFunctionMode):
    """Calls of F.relu go through a ReLU module, so that Captum's hooks see them."""

    def __init__(self, relu: nn.ReLU) -> None:
        super().__init__()
        self.relu = relu

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.relu(args[0]) if func is F.relu else func(*args, **(kwargs or {}))


class WithModules(nn.Module):
    """A network whose functional rectifiers are calls of one ReLU module."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.relu = inner, nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        with ThroughModule(self.relu):
            return self.inner(x)


@pytest.mark.parametrize("method", CAPTUM)
@pytest.mark.parametrize("name", FUNCTIONAL)
def test_functional_rectifiers_are_rectifiers(name: str, method: BackwardMethod) -> None:
    module, image = torchvisions(name), torch.randn(1, 3, 64, 64)
    found = projected(module, image, 3, method)
    assert_alike(found, captums(WithModules(module), image, 3, method))
    assert differ(found, captums(module, image, 3, method)), "Captum sees no F.relu"


class Hooked(nn.ReLU):
    """Any function as a module that Captum takes for a ReLU."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, input: Tensor) -> Tensor:
        return self.function(input)


class Chain(nn.Module):
    """Two convolutions with an activation after each, and a skip around the second."""

    def __init__(self, first: Callable[[Tensor], Tensor], second: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)])
        self.head = nn.Linear(8 * 16 * 16, 4)
        self.first, self.second = first, second

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(self.convs[0](x))
        return self.head((self.second(self.convs[1](y)) + y).flatten(1))


def discarded(x: Tensor) -> Tensor:
    """Rectified in place by a call whose result nobody reads."""
    F.relu_(x)
    return x


REUSED, REUSED_IN_PLACE = nn.ReLU(), nn.ReLU(inplace=True)
WAYS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "F.relu": (F.relu, F.relu),
    "torch.relu": (torch.relu, torch.relu),
    "method": (lambda x: x.relu(), lambda x: x.relu()),
    "in place": (F.relu_, lambda x: x.relu_()),
    "inplace=True": (lambda x: F.relu(x, inplace=True), lambda x: F.relu(x, inplace=True)),
    "result unread": (discarded, discarded),
    "reused module": (REUSED, REUSED),
    "reused in place": (REUSED_IN_PLACE, REUSED_IN_PLACE),
    "clamp": (lambda x: x.clamp(min=0), lambda x: torch.clamp(x, 0)),
    "clamp_min": (lambda x: x.clamp_min(0), lambda x: torch.clamp_min(x, 0)),
    "clip": (lambda x: x.clip(0), lambda x: torch.clip(x, min=0.0)),
    "threshold": (lambda x: F.threshold(x, 0, 0), nn.Threshold(0, 0)),
}


@pytest.mark.parametrize("method", CAPTUM)
@pytest.mark.parametrize("way", WAYS)
def test_a_relu_is_a_relu_however_it_is_written(way: str, method: BackwardMethod) -> None:
    module, image = Chain(*WAYS[way]), torch.randn(1, 3, 16, 16)
    twin = copy.deepcopy(module)
    twin.first, twin.second = nn.ReLU(), nn.ReLU()
    assert_alike(projected(module, image, 1, method), captums(twin, image, 1, method))


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu6": F.relu6, "hardswish": F.hardswish, "silu": F.silu, "gelu": F.gelu, "elu": F.elu, "mish": F.mish,
    "leaky_relu": F.leaky_relu, "softplus": F.softplus, "clamp": lambda x: x.clamp(0, 6),
    "hardtanh": lambda x: F.hardtanh(x, 0, 6),
}  # fmt: skip


@pytest.mark.parametrize("method", CAPTUM)
@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_other_rectifiers_follow_the_rule_that_captum_has_for_relu(kind: str, method: BackwardMethod) -> None:
    function = ACTIVATIONS[kind]
    module, image = Chain(function, function), 3 * torch.randn(1, 3, 16, 16)
    twin = copy.deepcopy(module)
    twin.first, twin.second = Hooked(function), Hooked(function)
    found = projected(module, image, 1, method)
    assert_alike(found, captums(twin, image, 1, method))
    assert differ(found, captums(module, image, 1, method)), "Captum leaves it a plain gradient"


CLAMPS: dict[str, Callable[[Tensor], Tensor]] = {
    "both": lambda x: x.clamp(-1, 1), "above": lambda x: x.clamp(None, 2), "below": lambda x: x.clamp(min=-0.5),
    "clamp_max": lambda x: x.clamp_max(0),
}  # fmt: skip


@pytest.mark.parametrize("clamp", CLAMPS.values(), ids=CLAMPS)
def test_a_clamp_that_is_no_relu_keeps_its_derivative(clamp: Callable[[Tensor], Tensor]) -> None:
    module, image = Chain(clamp, clamp), torch.randn(1, 3, 16, 16)
    assert_alike(projected(module, image, 1, "deconvnet"), projected(module, image, 1, "gradient"))


# -- by hand ----------------------------------------------------------------------------------------------------------


def test_it_unpools_by_switches_rectifies_and_filters_with_transposed_kernels() -> None:
    first, second = nn.Conv2d(3, 6, 5, stride=2, padding=1), nn.Conv2d(6, 4, 3, padding=1)
    module = nn.Sequential(first, nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True), second, nn.ReLU())
    image = torch.randn(1, 3, 31, 27)
    with torch.no_grad():
        rectified = first(image).relu()
        pooled, switches = F.max_pool2d(rectified, 3, 2, ceil_mode=True, return_indices=True)
        maps = second(pooled).relu()
        signal = torch.zeros_like(maps)
        row, column = divmod(int(maps[0, 2].argmax()), maps.shape[3])
        signal[0, 2, row, column] = 1
        below = F.conv_transpose2d(signal.clamp(min=0), second.weight, padding=1)
        unpooled = torch.zeros_like(rectified).flatten(2)
        unpooled.scatter_add_(2, switches.flatten(2), below.flatten(2))
        filtered = F.conv_transpose2d(unpooled.view_as(rectified).clamp(min=0), first.weight, stride=2, padding=1)
        expected = F.pad(filtered, (0, 27 - filtered.shape[3], 0, 31 - filtered.shape[2]))
    found = project(trace(module, (3, 31, 27)), image, "4", 2)
    assert found.position == (row, column)
    assert found.activation == pytest.approx(float(maps[0, 2].max()))
    torch.testing.assert_close(found.signal, expected[0], rtol=1e-5, atol=1e-6)


class Joins(nn.Module):
    """An add of two branches, of which one is a concat of two."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 2, 1), nn.Conv2d(3, 2, 1), nn.Conv2d(3, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.a(x), self.b(x).relu()], 1) + self.c(x).relu()


def test_an_add_sends_the_signal_into_each_branch_and_a_concat_cuts_it() -> None:
    module, image = Joins(), torch.randn(1, 3, 6, 6)
    program = trace(module, (3, 6, 6))
    found = project(program, image, "add", 3, (4, 1), steps=True)
    signals = {step.layer: step.signal for step in found.steps}
    seen = torch.zeros(4, 6, 6)
    seen[3, 4, 1] = 1
    for layer, expected in {"add": seen, "concat": seen, "cat": seen, "c": seen, "a": seen[:2], "b": seen[2:]}.items():
        if layer in signals:
            assert torch.equal(signals[layer], expected), layer
    assert {"add", "a", "b", "c"} <= signals.keys()
    expected = module.b.weight[1, :, 0, 0] + module.c.weight[3, :, 0, 0]
    torch.testing.assert_close(found.signal[:, 4, 1], expected.detach())


class ReadTwice(nn.Module):
    """A rectifier whose input is read elsewhere too: Captum rectifies what comes from there as well."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu, self.head = nn.Conv2d(3, 2, 1), nn.ReLU(), nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return self.head(torch.cat([y, self.relu(y)], 1)).mean((2, 3))


def test_what_goes_around_a_rectifier_is_not_rectified() -> None:
    module, image = ReadTwice(), torch.randn(1, 3, 4, 4)
    around, through = module.head.weight[1, :, 0, 0].detach().split(2)
    assert (around < 0).any()
    expected = (around + through.clamp(min=0)) @ module.conv.weight[:, :, 0, 0].detach() / 16
    found = projected(module, image, 1, "deconvnet")
    torch.testing.assert_close(found, expected[:, None, None].expand(3, 4, 4))
    assert differ(found, captums(module, image, 1, "deconvnet"))


def test_the_steps_go_from_the_unit_to_the_image() -> None:
    module, image = torchvisions("alexnet"), torch.randn(1, 3, 64, 64)
    program = trace(module, (3, 64, 64))
    found = project(program, image, "features.7", 9, steps=True)
    layers = [layer.id for layer in program.graph]
    assert [step.layer for step in found.steps] == layers[layers.index("features.7") :: -1]
    unit = found.steps[0].signal
    assert (unit.nonzero() == torch.tensor([[9, *found.position]])).all()
    assert torch.equal(found.steps[-1].signal, found.signal)
    for step, after in zip(found.steps[1:], found.steps, strict=False):
        if program.graph[after.layer].kind == "relu":
            assert torch.equal(step.signal, after.signal.clamp(min=0))


def test_in_place_layers_have_a_step_of_their_own() -> None:
    module, image = Chain(F.relu_, discarded), torch.randn(1, 3, 16, 16)
    steps = project(trace(module, (3, 16, 16)), image, "head", 0, steps=True).steps
    signals = {step.layer: step.signal for step in steps}
    assert torch.equal(signals["convs.1"], signals["relu#2"].clamp(min=0))
    assert not torch.equal(signals["convs.1"], signals["relu#2"])


def test_a_notebook_gets_the_signal_alone() -> None:
    module, image = torchvisions("alexnet"), torch.randn(3, 64, 64)
    program = trace(module, (3, 64, 64))
    expected = project(program, image, "features.6", 5, (1, 2), BackwardSettings("guided", {"relu": "gradient"}))
    found = explorer.deconvnet(module, image, "features.6", 5, (1, 2), method="guided", rules={"relu": "gradient"})
    assert torch.equal(found, expected.signal)
