"""The executor against the module's own forward and forward hooks: outputs, capture, resume, rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils import _pytree as pytree

from explorer.graph.trace import TracedProgram, trace
from explorer.run.execute import OpCall, run
from tests.support.toy_networks import TOYS, Toy, assert_equal, forward, toy

NETWORKS = {
    "alexnet": 64, "resnet18": 64, "densenet121": 32, "googlenet": 64, "inception_v3": 75,
    "squeezenet1_1": 48, "mobilenet_v2": 32, "mobilenet_v3_small": 32, "shufflenet_v2_x0_5": 32, "mnasnet0_5": 32,
    "efficientnet_b0": 32, "regnet_y_400mf": 32, "resnext50_32x4d": 32, "convnext_tiny": 32, "swin_t": 64,
    "vit_b_16": 64,
}  # fmt: skip


OPTIONS = {
    "googlenet": {"init_weights": False},
    "inception_v3": {"init_weights": False},
    "vit_b_16": {"image_size": 64},
}


def network(name: str) -> nn.Module:
    return torchvision.models.get_model(name, weights=None, num_classes=20, **OPTIONS.get(name, {})).eval()


# -- Outputs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_the_output_is_that_of_the_module(name: str) -> None:
    module, size = network(name), NETWORKS[name]
    program = trace(module, (3, size, size))
    images = torch.randn(2, 3, size, size)
    assert_equal(run(program, images).output, forward(module, images))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", TOYS)
def test_structured_in_place_and_exported_networks(name: str, training: bool) -> None:
    module, program, images = toy(name, training)
    torch.manual_seed(7)
    found = run(program, images).output
    torch.manual_seed(7)
    assert_equal(found, forward(module, images))


def test_training_mode_gives_the_auxiliary_outputs() -> None:
    module = network("googlenet").train()
    program = trace(module, (3, 64, 64), training=True)
    images = torch.randn(2, 3, 64, 64)
    torch.manual_seed(3)
    found = run(program, images).output
    torch.manual_seed(3)
    assert_equal(found, forward(module, images))


def test_the_mode_is_the_one_traced_for() -> None:
    module, program, images = toy("toy", training=False)
    expected = forward(module, images)
    module.train()
    assert_equal(run(program, images).output, expected)
    assert all(part.training for part in module.modules())


def test_another_image_size_runs_where_the_network_can() -> None:
    module = network("resnet18")
    program = trace(module, (3, 64, 64))
    images = torch.randn(1, 3, 48, 80)
    assert_equal(run(program, images).output, forward(module, images))


# -- Capture ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["alexnet", "resnet18", "densenet121", "googlenet", "mobilenet_v3_small"])
def test_captured_layers_are_what_forward_hooks_see(name: str) -> None:
    module, size = network(name), NETWORKS[name]
    program, images = trace(module, (3, size, size)), torch.randn(2, 3, size, size)
    seen: dict[str, list[Tensor]] = {}
    for path, part in module.named_modules():
        hook = lambda _m, _a, out, path=path: seen.setdefault(path, []).append(out.clone())  # noqa: E731
        if path in program.graph:
            part.register_forward_hook(hook)
    forward(module, images)
    for part in module.modules():
        part._forward_hooks.clear()
    found = run(program, images, capture=list(program.graph.by_id)).captured
    assert len(seen) > 10
    for path, outputs in seen.items():
        ids = [path, *(f"{path}#{k}" for k in range(2, len(outputs) + 1))]
        for layer, expected in zip(ids, outputs, strict=True):
            assert_equal(found[layer], expected)


def test_functional_and_in_place_layers_are_captured_at_their_time() -> None:
    module, program, images = toy("toy")
    assert isinstance(module, Toy)
    found = run(program, images, capture=list(program.graph.by_id)).captured
    with torch.no_grad():
        first = module.first(images - 0.1)
        second = module.norm(module.second(first.relu()))
    assert_equal(found["input"], images)
    assert_equal(found["sub"], images - 0.1)
    assert_equal(found["first"], first)
    assert_equal(found["relu"], first.relu())
    assert_equal(found["norm"], second)
    assert_equal(found["relu#2"], second.relu())
    assert_equal(found["add"], second.relu() + first.relu())


def test_a_captured_layer_with_several_outputs_is_a_tuple() -> None:
    module = network("shufflenet_v2_x0_5")
    program = trace(module, (3, 32, 32))
    chunk = next(layer.id for layer in program.graph if layer.kind == "chunk")
    found = run(program, torch.randn(1, 3, 32, 32), capture=[chunk], until=chunk)
    assert [tuple(t.shape) for t in found.captured[chunk]] == list(program.graph[chunk].outputs)
    assert_equal(tuple(found.output), tuple(found.captured[chunk]))


def test_the_image_is_not_written_into() -> None:
    _, program, images = toy("toy")
    before = images.clone()
    run(program, images)
    assert torch.equal(images, before)


def counted(program: TracedProgram) -> tuple[list[str], dict[str, Callable[[OpCall], Any]]]:
    """Rules for every layer that note which ran."""
    ran: list[str] = []

    def note(call: OpCall) -> Any:
        ran.append(call.layer.id)
        return call.default()

    return ran, dict.fromkeys(program.graph.by_id, note)


def test_until_stops_after_the_layer() -> None:
    _, program, images = toy("toy")
    ran, rules = counted(program)
    found = run(program, images, until="first", rules=rules)
    assert ran == ["input", "sub", "first"]
    assert found.output.shape == (3, 4, 8, 8)
    assert found.captured == {}


# -- Start ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "googlenet", "shufflenet_v2_x0_5"])
def test_a_run_resumed_from_any_layer_gives_the_same_output(name: str) -> None:
    module, size = network(name), NETWORKS[name]
    program, images = trace(module, (3, size, size)), torch.randn(2, 3, size, size)
    clean = run(program, images, capture=list(program.graph.by_id))
    for layer in list(program.graph.by_id)[3::17]:
        kept = clean.captured[layer]
        before = pytree.tree_map(torch.clone, kept)
        assert_equal(run(program, images, start={layer: kept}).output, clean.output)
        assert_equal(kept, before)


def test_start_runs_only_what_depends_on_it() -> None:
    module = nn.Sequential(*(nn.Sequential(nn.Conv2d(3, 3, 3), nn.ReLU(inplace=True)) for _ in range(10)))
    program, images = trace(module, (3, 32, 32)), torch.randn(1, 3, 32, 32)
    middle = list(program.graph.by_id)[15]
    clean = run(program, images, capture=[middle])
    ran, rules = counted(program)
    found = run(program, None, start=clean.captured, rules=rules)
    assert_equal(found.output, clean.output)
    assert ran == list(program.graph.by_id)[16:]


def test_start_changes_what_follows() -> None:
    module = network("resnet18")
    program, images = trace(module, (3, 64, 64)), torch.randn(1, 3, 64, 64)
    found = run(program, images, start={"layer4.1.relu#2": torch.zeros(1, 512, 2, 2)})
    assert_equal(found.output, module.get_parameter("fc.bias").detach()[None])


def test_start_that_leaves_a_path_open_needs_the_image() -> None:
    _, program, _ = toy("toy")
    with pytest.raises(ValueError, match="image"):
        run(program, None, start={"norm": torch.zeros(1, 4, 8, 8)})


def test_gradients_reach_the_image_and_a_start() -> None:
    module = network("resnet18")
    program, images = trace(module, (3, 64, 64)), torch.randn(2, 3, 64, 64, requires_grad=True)
    (expected,) = torch.autograd.grad(module(images).sum(), images)
    (found,) = torch.autograd.grad(run(program, images, grad=True).output.sum(), images)
    assert_equal(found, expected)
    leaf = run(program, images, until="fc").output.requires_grad_()
    inner = run(program, images, until="bn1").output.requires_grad_()
    output = run(program, images, start={"bn1": inner}, grad=True).output
    (gradient,) = torch.autograd.grad(output.sum(), inner)
    assert_equal(output, leaf)
    assert gradient.abs().sum() > 0
    assert all(p.grad is None for p in module.parameters())


def test_a_captured_layer_can_be_differentiated_by_the_image() -> None:
    module, program, images = toy("toy")
    assert isinstance(module, Toy)
    images.requires_grad_()
    found = run(program, images, capture=["relu"], grad=True).captured["relu"]
    (expected,) = torch.autograd.grad(module.first(images - 0.1).relu().sum(), images)
    assert_equal(torch.autograd.grad(found.sum(), images)[0], expected)


# -- Rules ------------------------------------------------------------------------------------------------------------


def test_a_rule_per_kind_reaches_modules_functions_and_reuses() -> None:
    module, program, images = toy("toy")
    assert isinstance(module, Toy)
    seen: list[bool] = []

    def passing(call: OpCall) -> Any:
        seen.append(call.module is None)
        return call.args[0]

    found = run(program, images, rules={"relu": passing}).output
    with torch.no_grad():
        y = module.first(images - 0.1)
        z = module.norm(module.second(y)) + y
        z.view(-1)[::2].mul_(2.0)
        expected = module.head((z + y).flatten(1))
    assert seen == [False, True, False]
    assert_equal(found, expected)


def test_a_layer_id_goes_before_its_kind() -> None:
    _, program, images = toy("toy")
    second = next(layer.id for layer in program.graph if layer.kind == "relu" and layer.id != "relu")
    rules = {"relu": lambda call: call.default() * 0, second: lambda call: call.default(-call.args[0])}
    found = run(program, images, rules=rules, capture=["relu", "norm", second]).captured
    assert found["relu"].abs().sum() == 0
    assert_equal(found[second], (-found["norm"]).relu())


def test_named_arguments_are_the_same_for_module_and_function() -> None:
    class Pools(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pool = nn.MaxPool2d(3, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.pool(x) + F.max_pool2d(x, 3, stride=2, padding=1)

    seen: list[dict[str, Any]] = []

    def average(call: OpCall) -> Tensor:
        names = ("kernel_size", "stride", "padding")
        seen.append({name: call.arguments[name] for name in names})
        return F.avg_pool2d(call.arguments["input"], **seen[-1])

    images = torch.randn(1, 2, 9, 9)
    found = run(trace(Pools(), (2, 9, 9)), images, rules={"max_pool": average}).output
    assert seen[0] == seen[1] == {"kernel_size": 3, "stride": 2, "padding": 1}
    assert_equal(found, 2 * F.avg_pool2d(images, 3, 2, 1))
