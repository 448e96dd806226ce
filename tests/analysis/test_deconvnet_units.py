"""Units that a projection starts at, what is refused, and several projections at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import models
from explorer.analysis import deconvnet
from explorer.analysis.attribution import attribute
from explorer.analysis.deconvnet import _MUTABLE, project
from explorer.analysis.deconvnet_rules import BackwardSettings
from explorer.analysis.passes import open_network
from explorer.errors import Cancelled, UnknownNameError, UserError
from explorer.graph.trace import trace
from tests.support.torchvisions import torchvisions
from tests.support.toy_networks import Branching


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_the_unit_is_the_greatest_unless_it_is_named() -> None:
    module, image = nn.Conv2d(3, 5, 3), torch.randn(1, 3, 9, 9)
    program = trace(nn.Sequential(module), (3, 9, 9))
    with torch.no_grad():
        maps = module(image)[0]
    best = project(program, image, "0")
    assert best.activation == float(maps.max())
    assert maps[best.channel, best.position[0], best.position[1]] == maps.max()
    assert project(program, image, "0", 2).activation == float(maps[2].max())
    assert project(program, image, "0", None, (3, 4)).activation == float(maps[:, 3, 4].max())
    assert project(program, image, "0", 0, (3, 4)).activation == float(maps[0, 3, 4])


def test_channels_last_layers_and_tokens_have_units_too() -> None:
    module, image = torchvisions("convnext_tiny"), torch.randn(1, 3, 64, 64)
    found = project(trace(module, (3, 64, 64)), image, "features.1.0.block.3", 7, (5, 6))
    outside = torch.ones(64, 64, dtype=torch.bool)
    outside[4 * 5 - 12 : 4 * 5 + 16, 4 * 6 - 12 : 4 * 6 + 16] = False  # 7×7 on patches of 4×4
    assert float(found.signal.abs().max()) > 0
    assert not found.signal[:, outside].any()


def test_a_program_of_torch_export_is_followed() -> None:
    module, image = Branching().eval(), torch.randn(1, 3, 8, 8)
    found = project(trace(module, (3, 8, 8)), image, "relu", 1, (2, 3)).signal
    scale = module.norm.weight[1] / (module.norm.running_var[1] + module.norm.eps).sqrt()  # pyright: ignore
    torch.testing.assert_close(found[:, 2:5, 3:6], (module.conv.weight[1] * scale).detach())


def test_the_module_is_left_as_it_was() -> None:
    module, image = torchvisions("resnet18").train(), torch.randn(1, 3, 64, 64)
    before = {name: (value.clone(), value._version) for name, value in module.state_dict(keep_vars=True).items()}
    kept = image.clone()
    project(trace(module, (3, 64, 64)), image, "layer2", 1)
    assert torch.equal(image, kept)
    assert module.training
    for name, value in module.state_dict(keep_vars=True).items():
        assert torch.equal(value, before[name][0])
        assert value.grad is None
    assert not any(part._forward_hooks or part._backward_hooks for part in module.modules())


class Refusing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y = x.argmax(1, keepdim=True).float()
        return y + torch.log(x.mean(1, keepdim=True) * 0 - 1)


def test_what_cannot_be_projected_is_refused_in_a_sentence() -> None:
    program, image = trace(torchvisions("alexnet"), (3, 64, 64)), torch.randn(1, 3, 64, 64)
    with pytest.raises(UserError, match="channel=64: layer 'features.0' has channels 0 to 63"):
        project(program, image, "features.0", 64)
    with pytest.raises(UserError, match=r"position=\(15, 0\): the maps of layer 'features.0' are 15×15"):
        project(program, image, "features.0", 0, (15, 0))
    with pytest.raises(UnknownNameError, match="features"):
        project(program, image, "features.99", 0)
    refusing = trace(Refusing(), (3, 8, 8))
    with pytest.raises(UserError, match="derivative"):
        project(refusing, torch.randn(1, 3, 8, 8), "argmax", 0)
    with pytest.raises(UserError, match="not finite"):
        project(refusing, torch.randn(1, 3, 8, 8), "log", 0)
    with pytest.raises(UserError, match="method='magic' is not one of"):
        BackwardSettings("magic")  # pyright: ignore[reportArgumentType]


def test_a_network_without_a_graph_is_refused() -> None:
    class Deciding(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean((2, 3)) if float(x.sum()) > 0 else x.amax((2, 3))

    with pytest.raises(UserError, match="cannot be traced"):
        project(open_network(Deciding(), (3, 8, 8)), torch.randn(1, 3, 8, 8), "mean")


def test_views_that_autograd_cannot_follow_are_refused() -> None:
    class Cut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            first, second = self.conv(x).chunk(2, 1)
            return F.relu_(first) + second

    program = trace(Cut(), (3, 8, 8))
    with pytest.raises(UserError, match="no signal can be led back"):
        project(program, torch.randn(1, 3, 8, 8), "add", 0)


@pytest.mark.parametrize("calls", [3, 25])
def test_it_stops_on_the_way_forward_and_on_the_way_back(calls: int) -> None:
    asked = 0

    def cancel() -> bool:
        nonlocal asked
        asked += 1
        return asked > calls

    program = trace(torchvisions("alexnet"), (3, 64, 64))
    with pytest.raises(Cancelled):
        project(program, torch.randn(1, 3, 64, 64), program.graph.outputs[0], 0, cancel=cancel)
    assert asked == calls + 1


def test_a_part_of_a_chunk_that_nothing_reads_takes_no_part() -> None:
    class Halved(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            left, _ = x.chunk(2, 3)
            return left

    found = project(trace(Halved(), (3, 4, 4)), torch.rand(3, 4, 4), "select", 0, (0, 0), steps=True)
    assert found.steps[-1].layer == "input"
    assert found.signal.count_nonzero() == 1


def test_several_threads_project_at_once() -> None:
    program = trace(torchvisions("squeezenet1_1"), (3, 64, 64))
    image, layer = torch.rand(3, 64, 64), program.graph.outputs[0]
    alone = project(program, image, layer, 3).signal
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: project(program, image, layer, 3).signal, range(8)))
    assert all(signal.equal(alone) for signal in found)


def test_waiting_for_another_projection_can_be_cancelled() -> None:
    program = trace(torchvisions("squeezenet1_1"), (3, 64, 64))
    with _MUTABLE, pytest.raises(Cancelled):
        project(program, torch.rand(3, 64, 64), program.graph.outputs[0], 3, cancel=lambda: True)


def test_networks_that_write_nothing_wait_for_no_other() -> None:
    writing, plain = trace(torchvisions("squeezenet1_1"), (3, 64, 64)), trace(models.build("zfnet_mini"), (3, 64, 64))
    image, begun, go_on = torch.rand(3, 64, 64), Event(), Event()

    def pause() -> bool:
        begun.set()
        return not go_on.wait(60)

    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(project, writing, image, writing.graph.outputs[0], 3, cancel=pause)
        assert begun.wait(60)
        try:
            pool.submit(project, plain, image, "features.4", 1).result(60)
            pool.submit(attribute, plain, image, "saliency", 1).result(60)
            assert not waiting.done()
        finally:
            go_on.set()
        assert waiting.result(60).channel == 3


@pytest.mark.parametrize("name", ["squeezenet1_1", "densenet121"])  # which write in place
def test_several_units_take_one_way_forward_and_are_those_of_each_alone(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, image = trace(torchvisions(name), (3, 64, 64)), torch.rand(3, 64, 64)
    layer = [each.id for each in program.graph if each.kind == "concat"][1]
    units = [(3, None), (0, (1, 2)), (None, None)]
    alone = [project(program, image, layer, *unit, steps=True) for unit in units]
    forward, told = Mock(wraps=deconvnet.run), []
    monkeypatch.setattr(deconvnet, "run", forward)
    together = deconvnet.project_units(program, image, layer, units, steps=True, on_unit=told.append)
    assert forward.call_count == 1
    assert told == together
    for one, other in zip(together, alone, strict=True):
        assert (one.channel, one.position, one.activation) == (other.channel, other.position, other.activation)
        assert one.signal.equal(other.signal)
        assert [step.layer for step in one.steps] == [step.layer for step in other.steps]
        assert all(a.signal.equal(b.signal) for a, b in zip(one.steps, other.steps, strict=True))
