"""What the executor leaves as it was, what it frees, when it stops, and what it says of input that cannot run."""

from __future__ import annotations

import gc
import warnings
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.errors import Cancelled, UnknownNameError, UserError
from explorer.graph.trace import trace
from explorer.run.execute import OpCall, run
from tests.support.toy_networks import TOYS, assert_equal, forward, toy


def state(module: nn.Module) -> list[Any]:
    """Everything about a module that a run could change."""
    tensors = [*module.parameters(), *module.buffers()]
    return [
        [(part.training, len(part._forward_hooks), len(part._forward_pre_hooks)) for part in module.modules()],
        [(t.requires_grad, t.grad, t._version, id(t)) for t in tensors],
        [t.detach().clone().tolist() for t in module.buffers()],
        torch.get_rng_state().tolist(),
    ]


@pytest.mark.parametrize("traced_for_training", [False, True])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", TOYS)
def test_the_module_is_left_as_it_was(name: str, training: bool, traced_for_training: bool) -> None:
    module, program, images = toy(name, traced_for_training)
    module.train(training)
    next(module.parameters()).requires_grad_(False)
    last = list(module.parameters())[-1]
    last.grad = torch.ones_like(last)
    list(module.modules())[-1].train(not training)
    before = state(module)
    run(program, images)
    assert state(module) == before
    with pytest.raises(ZeroDivisionError):
        run(program, images, rules={program.graph.layers[-1].id: lambda call: 1 / 0})
    assert state(module) == before
    answers = iter([False] * 4 + [True])
    with pytest.raises(Cancelled):
        run(program, images, cancel=lambda: next(answers))
    assert state(module) == before


def test_functional_batch_statistics_are_left_as_they_were() -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mean, self.var = nn.Buffer(torch.zeros(3)), nn.Buffer(torch.ones(3))

        def forward(self, x: Tensor) -> Tensor:
            return F.batch_norm(x, self.mean, self.var, training=True)

    module = Functional()
    program = trace(module, (3, 4, 4))
    images = torch.randn(2, 3, 4, 4)
    before = state(module)
    found = run(program, images).output
    assert state(module) == before
    assert_equal(found, forward(module, images))


def test_cancel_is_asked_before_each_layer() -> None:
    _, program, images = toy("toy")
    asked: list[None] = []
    run(program, images, cancel=lambda: bool(asked.append(None)))
    assert len(asked) >= len(program.graph) - 1


def test_values_are_freed_after_their_last_use() -> None:
    """A chain of layers: when one runs, only its input is alive."""
    warnings.simplefilter("ignore", FutureWarning)  # looking at every object wakes torch's deprecated ones
    alive: list[int] = []

    def note(call: OpCall) -> Tensor:
        alive.append(sum(isinstance(o, Tensor) and tuple(o.shape) == (1, 7, 13, 13) for o in gc.get_objects()))
        return call.default()

    module = nn.Sequential(nn.Conv2d(3, 7, 1), *(nn.Sigmoid() for _ in range(6)))
    program = trace(module, (3, 13, 13))
    run(program, torch.randn(1, 3, 13, 13), rules={"sigmoid": note})
    assert max(alive[1:]) <= alive[0] == 1


# -- Bad input --------------------------------------------------------------------------------------------------------


def test_an_unknown_layer_names_the_nearest() -> None:
    program = trace(torchvision.models.resnet18(), (3, 64, 64))
    images = torch.randn(1, 3, 64, 64)
    with pytest.raises(UnknownNameError, match=r"'layer1.0.conv9'.*layer1\.0\.conv"):
        run(program, images, capture=["layer1.0.conv9"])
    with pytest.raises(UnknownNameError, match=r"'layer5'.*layer4"):
        run(program, images, until="layer5")
    with pytest.raises(UnknownNameError, match="'conv11'"):
        run(program, images, start={"conv11": images})


@pytest.mark.parametrize(("name", "size"), [("toy", (3, 9, 8)), ("branching", (3, 9, 8)), ("toy", (1, 8, 8))])
def test_an_image_of_a_size_that_cannot_run_is_named(name: str, size: tuple[int, int, int]) -> None:
    _, program, _ = toy(name)
    with pytest.raises(UserError, match="x".join(map(str, size))):
        run(program, torch.randn(1, *size))


def test_an_image_without_batch_is_refused() -> None:
    _, program, images = toy("toy")
    with pytest.raises(UserError, match=r"\(3, 8, 8\)"):
        run(program, images[0])


def test_a_network_that_cannot_run_says_where() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(5, 4, 3))
    program = trace(module, (3, 8, 8), partial=True)
    images = torch.randn(1, 3, 8, 8)
    assert run(program, images, until="0").output.shape == (1, 4, 6, 6)
    with pytest.raises(UserError, match="fails at 1"):
        run(program, images)
