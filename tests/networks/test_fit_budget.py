"""Fit to a budget: limits are kept, and met within one per cent where the knobs can; size on disk as files have it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import models
from explorer.errors import Cancelled, UserError
from explorer.networks import scaling
from explorer.networks.fit_budget import LATENCY, LIMITED, fit
from explorer.networks.footprint import footprint, stored_bytes
from models.spec import NetSpec

FAMILIES = [  # one compact network of each
    next(name for name, preset in family.presets.items() if preset.compact) for family in models.architectures()
]


def figure(spec: NetSpec, name: str) -> int:
    return getattr(footprint(spec), name)


@pytest.mark.parametrize("name", ["params", "macs", "float32_bytes", "int8_bytes"])
@pytest.mark.parametrize("preset", ["resnet50", "mobilenet_v2", "googlenet", "convnext_tiny"])
def test_a_limit_is_met_within_one_per_cent_by_the_width(preset: str, name: str) -> None:
    spec = models.spec(preset)
    limit = 0.6 * figure(spec, name)
    found = fit(spec, {name: limit}, scaling.WIDTH)
    assert 0.99 * limit <= figure(found.spec, name) <= limit
    assert found.is_close
    assert found.found[name] == figure(found.spec, name)


def test_peak_memory_is_kept_and_a_wider_layer_comes_no_nearer() -> None:
    spec = models.spec("resnet_mini")
    limit = 1.6 * figure(spec, "peak_bytes")
    found = fit(spec, {"peak_bytes": limit}, scaling.WIDTH)
    wider = [figure(other, "peak_bytes") for other in scaling.one_more(found.spec, scaling.WIDTH)]
    assert found.found["peak_bytes"] <= limit
    assert found.is_close or not any(found.found["peak_bytes"] < taken <= limit for taken in wider)


@pytest.mark.parametrize("preset", FAMILIES)
def test_every_family_is_fitted_and_never_passes_the_limit(preset: str) -> None:
    spec = models.spec(preset)
    limit = 1.3 * figure(spec, "macs")
    for way in scaling.ways(spec)[:2]:
        found = fit(spec, {"macs": limit}, way)
        assert figure(spec, "macs") <= figure(found.spec, "macs") <= limit
        assert type(spec).parse(dict(found.spec)) == found.spec
        assert found.is_close or "comes nearer from below" in found.sentence()


def test_the_parameters_told_are_those_of_the_network_that_is_built() -> None:
    found = fit(models.spec("resnet18"), {"params": 5e6}, scaling.WIDTH)
    built = models.build(found.spec)
    assert sum(p.numel() for p in built.parameters()) == found.found["params"]
    assert 4.95e6 <= found.found["params"] <= 5e6


def test_a_depth_that_comes_no_nearer_is_the_nearest_below() -> None:
    """Blocks of ResNet-18 can be added one by one: no other depths below the limit compute more, tried one and all."""
    spec = models.spec("resnet18")
    limit = 2.05 * figure(spec, "macs")
    found = fit(spec, {"macs": limit}, scaling.DEPTH)
    assert figure(found.spec, "macs") <= limit
    assert (
        all(figure(deeper, "macs") > limit for deeper in scaling.one_more(found.spec, scaling.DEPTH)) or found.is_close
    )


def test_of_several_limits_the_tightest_binds() -> None:
    spec = models.spec("resnet50")
    limits = {"params": 20e6, "macs": 1e9, "float16_bytes": 45e6}
    found = fit(spec, limits, scaling.COMPOUND)
    assert all(figure(found.spec, name) <= limit for name, limit in limits.items())
    assert found.binding == max(limits, key=lambda name: figure(found.spec, name) / limits[name])
    assert found.is_close


def test_a_latency_is_measured_only_where_the_other_limits_hold_and_not_often() -> None:
    """On a processor whose time is known: a nanosecond for every hundred multiply-accumulates."""
    asked: list[NetSpec] = []

    def latency_s(spec: NetSpec) -> float:
        asked.append(spec)
        return figure(spec, "macs") * 1e-11

    found = fit(models.spec("resnet18"), {LATENCY: 0.01, "params": 11e6}, scaling.WIDTH, latency_s=latency_s)
    assert found.binding == LATENCY
    assert 0.0095 <= found.found[LATENCY] <= 0.01
    assert len(asked) <= 10
    assert all(figure(spec, "params") <= 11e6 for spec in asked)


def test_what_cannot_be_met_is_refused_with_the_limit_and_the_least() -> None:
    spec = models.spec("resnet50")
    with pytest.raises(UserError, match=r"No resolution .* params at 5 M parameters: the least is 25\.56 M\."):
        fit(spec, {"params": 5e6}, scaling.RESOLUTION)
    with pytest.raises(UserError, match="Set a limit first"):
        fit(spec, {}, scaling.WIDTH)
    with pytest.raises(UserError, match="no knob for its depth"):
        fit(models.spec("alexnet"), {"params": 5e6}, scaling.DEPTH)
    with pytest.raises(UserError, match="limit='size' is not one of params"):
        fit(spec, {"size": 5e6}, scaling.WIDTH)


def test_a_search_stops_when_it_is_told_to() -> None:
    def stop(tried: int) -> None:
        if tried == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        fit(models.spec("resnet18"), {"params": 1e6}, scaling.WIDTH, progress=stop)


@pytest.mark.parametrize("preset", ["resnet_mini", "convnext_mini", "vit_mini", "lenet5"])
def test_sizes_on_disk_are_those_of_files_but_for_their_headers(preset: str, tmp_path: Path) -> None:
    module = models.build(preset)
    state = {name: value.contiguous() for name, value in module.state_dict().items()}
    half = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    assert stored_bytes(module, "float32") == payload(tmp_path, state)
    assert stored_bytes(module, "float16") == payload(tmp_path, half)
    assert stored_bytes(module, "int8") == payload(tmp_path, quantised(module, state))
    assert footprint(models.spec(preset))[3:] == tuple(
        stored_bytes(module, kind) for kind in ("float32", "float16", "int8")
    )


def quantised(module: torch.nn.Module, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Every weight in eight bits per output channel, with the scales beside them in float32."""
    found: dict[str, torch.Tensor] = {}
    weights = {name for name, parameter in module.named_parameters() if parameter.dim() > 1}
    for name, value in state.items():
        if name not in weights:
            found[name] = value
            continue
        scales = value.flatten(1).abs().amax(1).clamp(min=1e-8) / 127
        found[name] = (value / scales.view(-1, *[1] * (value.dim() - 1))).round().to(torch.int8)
        found[f"{name} scale"] = scales
    return found


def payload(folder: Path, tensors: dict[str, torch.Tensor]) -> int:
    """Bytes of the tensors in a safetensors file: all but the header and the eight bytes that tell its length."""
    file = folder / "weights.safetensors"
    save_file(tensors, file)
    whole = file.read_bytes()
    return len(whole) - 8 - int.from_bytes(whole[:8], "little")


def test_every_figure_says_its_unit() -> None:
    assert LIMITED["params"].text(25_557_032) == "25.56 M parameters"
    assert LIMITED[LATENCY].text(0.0123) == "12.3 ms, latency"
