"""What tracing refuses, up to where it comes then, and what it leaves as it was: modules and memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from explorer import analyze
from explorer.errors import TraceError, UserError
from explorer.graph.trace import trace
from tests.support.plain_networks import Constant, DecidesBySize, Plain


def state(module: nn.Module) -> list[Any]:
    """Everything that a trace could leave behind."""
    tensors = [*module.parameters(), *module.buffers()]
    parts = list(module.modules())
    return [
        [(part.training, sorted(vars(part)), len(part._forward_hooks), len(part._forward_pre_hooks)) for part in parts],
        [(id(t), t._version, t.requires_grad, t.grad, t.device.type, t.clone().tolist()) for t in tensors],
        torch.get_rng_state().tolist(),
    ]


class Fails(Plain):
    """The linear layer does not fit."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(7, 5)


class Raises(Plain):
    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(x)
        raise KeyError("no such stage")


@pytest.mark.parametrize("build", [Plain, Constant, DecidesBySize, Fails, Raises])
@pytest.mark.parametrize("training", [False, True])
def test_the_module_is_left_as_it_was(build: Callable[[], nn.Module], training: bool) -> None:
    module = build()
    module.norm.eval()  # type: ignore[union-attr]
    before = state(module)
    if build in (Fails, Raises):
        with pytest.raises(TraceError):
            trace(module, training=training)
    else:
        trace(module, training=training)
    trace(module, training=training, partial=True)
    assert state(module) == before


# -- Networks that cannot run -----------------------------------------------------------------------------------------


def test_an_error_names_the_layer_and_the_reason_in_one_sentence() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.ReLU(), nn.Conv2d(5, 4, 3)))
    with pytest.raises(TraceError) as error:
        analyze(network, (3, 8, 8))
    assert isinstance(error.value, UserError)
    assert "Sequential" in str(error.value)
    assert "1.1" in str(error.value)
    assert "\n" not in str(error.value)
    assert "4x6x6" in str(error.value)


def test_too_small_an_image_is_an_error_that_names_the_layer() -> None:
    with torch.device("meta"):
        module = torchvision.models.alexnet()
    with pytest.raises(TraceError, match=r"features\.\d+"):
        analyze(module, (3, 16, 16))


def test_partial_still_goes_through_export_where_torch_fx_stops() -> None:
    found = trace(nn.Sequential(nn.Identity(), DecidesBySize()), (3, 20, 14), partial=True)
    assert found.graph.failure is None
    assert found.graph.layers[-1].output_shape == (1, 5)


@pytest.mark.parametrize("build", [Fails, Raises])
def test_partial_gives_the_layers_up_to_the_failure(build: Callable[[], nn.Module]) -> None:
    found = analyze(build(), (3, 16, 16), partial=True)
    failure = found.graph.failure
    assert failure is not None
    kinds = [layer.kind for layer in found.layers]
    if build is Fails:
        assert failure.path == "fc"
        assert kinds == ["input", "conv", "batch_norm", "relu", "max_pool", "mean"]
        assert found.macs == 14 * 14 * 4 * 27
    else:
        assert kinds[0] == "input"
        assert "no such stage" in failure.reason


def test_a_network_that_nothing_can_trace_says_so() -> None:
    class Loops(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            while x.sum() > 0:
                x = x - 1
            return x

    with pytest.raises(TraceError, match="Loops fails at its own code: it needs the values of a tensor"):
        trace(Loops(), (3, 8, 8))


# -- Memory -----------------------------------------------------------------------------------------------------------

FORTY_GIGABYTES = """
import resource, sys, torch
from torch import nn
from explorer import analyze
def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
with torch.device("meta"):
    small = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5))
    large = nn.Sequential(nn.Conv2d(3, 4096, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                          nn.Linear(4096 * 112 * 112, 200))
analyze(small, (3, 8, 8))
before = peak_mb()
found = analyze(large, (3, 224, 224))
print(found.weight_bytes, found.peak_bytes, peak_mb() - before)
"""


def test_a_network_of_40_gigabytes_is_analysed_without_memory() -> None:
    done = subprocess.run([sys.executable, "-c", FORTY_GIGABYTES], capture_output=True, text=True, check=True)
    weight_bytes, peak_bytes, grown_mb = map(float, done.stdout.split())
    assert weight_bytes > 40e9
    assert peak_bytes > 1e9
    assert grown_mb < 50


def test_real_weights_are_not_copied() -> None:
    """The weights of a module on the CPU stay where they are: only their shapes are used."""
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 4))
    program = trace(module, (3, 8, 8))
    assert program.module is module
    leaves = pytree.tree_leaves([list(program.constants.values()), [layer.attributes for layer in program.graph]])
    assert not any(isinstance(leaf, Tensor) for leaf in leaves)
