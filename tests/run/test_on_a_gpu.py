"""On a real CUDA GPU, where there is one: everything that runs a network gives what it gives on the CPU."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn

import explorer
import models
from explorer.analysis.attribution import attribute
from explorer.analysis.attribution_batch import DRAWING
from explorer.analysis.attribution_settings import AttributionMethod, AttributionSettings
from explorer.analysis.channels import channel_use
from explorer.analysis.effective_field import Unit, centre_of, effective_field_steps, noise
from explorer.analysis.latency import measure
from explorer.analysis.layer_latency import layer_latencies
from explorer.graph.trace import trace

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
NAMES = ["resnet18", "densenet121", "mobilenet_v2", "efficientnet_b0", "convnext_tiny", "vgg11"]


@pytest.fixture(autouse=True)
def _exact() -> None:
    """TF32 rounds products to 10 bits, which is no fault of ours."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False


def on_both(name: str) -> tuple[nn.Module, nn.Module, torch.Tensor]:
    image = torch.randn(3, 224, 224, generator=torch.Generator().manual_seed(1))
    cpu, cuda = (models.build(name, seed=3, device=device) for device in ("cpu", "cuda"))
    cuda.load_state_dict(cpu.state_dict())
    return cpu, cuda, image


def close(here: torch.Tensor | np.ndarray, there: torch.Tensor | np.ndarray, relative: float = 1e-3) -> None:
    here, there = (torch.as_tensor(value).double().cpu() for value in (here, there))
    assert (here - there).abs().max() <= relative * here.abs().max()


@pytest.mark.parametrize("name", NAMES)
def test_maps_and_occlusion_are_those_of_the_cpu(name: str) -> None:
    cpu, cuda, image = on_both(name)
    layer = explorer.analyze(cpu).head_layer
    close(explorer.feature_maps(cpu, image, layer), explorer.feature_maps(cuda, image.cuda(), layer))
    settings = {"target": 5, "window": 64, "stride": 80, "fill": "gray", "layer": layer}
    here, there = (explorer.occlusion_map(m, x, **settings) for m, x in ((cpu, image), (cuda, image.cuda())))  # pyright: ignore[reportArgumentType]
    close(here.probability, there.probability)
    assert here.activation is not None
    assert there.activation is not None
    close(here.activation, there.activation)


@pytest.mark.parametrize("name", NAMES[:3])
def test_uses_of_channels_and_effective_fields_are_those_of_the_cpu(name: str) -> None:
    cpu, cuda, image = on_both(name)
    here, there = (channel_use(trace(m), x) for m, x in ((cpu, image), (cuda, image.cuda())))
    assert here.keys() == there.keys()
    assert all(abs(here[layer].dead - there[layer].dead) <= 1 / here[layer].channels + 1e-9 for layer in here)
    report = explorer.analyze(cpu)
    head = report[report.head_layer]
    unit = Unit(head.id, 3, 3)
    centre = centre_of(head.receptive_field, (3, 3), (7, 7))
    mass = [
        list(effective_field_steps(trace(m), unit, centre, (x.to(d) for x in noise((3, 224, 224), 2))))[-1].mass
        for m, d in ((cpu, "cpu"), (cuda, "cuda"))
    ]
    close(mass[0], mass[1], relative=2e-2)  # a unit near 0 that falls on the other side of a ReLU shuts its gradient


@pytest.mark.parametrize("method", get_args(AttributionMethod))
def test_attributions_are_those_of_the_cpu(method: AttributionMethod) -> None:
    cpu, cuda, _ = on_both("resnet_mini")
    image = torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(1))
    settings = AttributionSettings(samples=4, steps=8, noise=0.0 if method in DRAWING else 0.1)
    here, there = (
        attribute(trace(m, (3, 64, 64)), x, method, 5, settings) for m, x in ((cpu, image), (cuda, image.cuda()))
    )
    assert here.layer == there.layer
    assert there.probability == pytest.approx(here.probability, rel=1e-3)
    close(here.values, there.values, relative=2e-2)  # a unit near 0 may fall on the other side of a ReLU
    close(here.map, there.map, relative=2e-2)


def test_latencies_wait_for_the_device() -> None:
    """resnet50 at 224 px needs 4.1 GMACs: at 2,000 TFLOP/s, more than any GPU has, at least 4 µs."""
    module = models.build("resnet50", device="cuda")
    whole = measure(module, (3, 224, 224), device="cuda")
    layers = layer_latencies(trace(module))
    assert 4e-6 < whole.median_s < 1
    assert layers.whole.device.startswith("cuda")
    assert layers.total_s > 0.5 * whole.median_s
    print(f"\n{torch.cuda.get_device_name()}: resnet50 {1e3 * whole.median_s:.2f} ms; {layers.sentence()}")
