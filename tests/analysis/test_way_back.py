"""The steps of a signal on its way back, against the graph's own edges and gradients of single layers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from explorer.analysis.deconvnet import project
from explorer.analysis.deconvnet_rules import BackwardMethod, BackwardSettings
from explorer.analysis.way_back import WayStep, way_back
from explorer.graph.trace import trace


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def steps_of(module: nn.Module, layer: str, method: BackwardMethod = "deconvnet") -> dict[str, WayStep]:
    program = trace(module.eval(), (3, 8, 8))
    found = project(program, torch.rand(3, 8, 8), layer, settings=BackwardSettings(method), steps=True)
    return {step.layer: step for step in way_back(program.graph, found)}


class Residual(nn.Module):
    """A skip past two layers, and a chunk, whose output is no single map."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.act = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        x = x + self.act(self.second(x))
        return x.chunk(2, 1)[0]


class Gated(nn.Module):
    """A gate that scales what it is made from."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.made, self.act = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1), nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x)
        return x * self.act(self.made(x.mean((2, 3), keepdim=True)))


def test_the_steps_go_from_the_unit_to_the_image_by_the_edges_of_the_graph() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2))
    found = steps_of(net, "2")
    assert [(name, step.through) for name, step in found.items()] == [
        ("2", ()), ("1", ("2",)), ("0", ("1",)), ("input", ("0",)),
    ]  # fmt: skip
    assert {name: (step.strength.shape, step.channels) for name, step in found.items()} == {
        "2": ((3, 3), 4), "1": ((6, 6), 4), "0": ((6, 6), 4), "input": ((8, 8), 3),
    }  # fmt: skip
    assert [found[name].carried for name in ("2", "1", "0")] == [1, 1, 1], "a switch is one place"


def test_what_a_skip_sends_back_and_what_lies_behind_a_chunk_are_named() -> None:
    found = steps_of(Residual(), "select")
    through = {name: step.through for name, step in found.items()}
    assert through["first"] == ("second", "add"), "the branch and the skip"
    assert through["add"] == ("select", "chunk")
    assert through["act"] == ("add",)


def test_a_gate_that_counts_as_a_constant_carries_no_signal() -> None:
    assert steps_of(Gated(), "mul")["body"].through == ("mul",)
    assert steps_of(Gated(), "mul", "gradient")["body"].through == ("mean", "mul"), "the gradient goes both ways"


def test_the_strength_is_the_norm_over_the_channels() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3))
    program = trace(net.eval(), (3, 8, 8))
    found = project(program, torch.rand(3, 8, 8), "0", 2, (1, 3), BackwardSettings("gradient"), steps=True)
    (_, last) = way_back(program.graph, found)
    weights = net.state_dict()["0.weight"][2].numpy()
    expected = np.zeros((8, 8))
    expected[1:4, 3:6] = np.sqrt((weights.astype(np.float64) ** 2).sum(0))
    np.testing.assert_allclose(last.strength, expected, rtol=1e-5)
