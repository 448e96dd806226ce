"""Attributions against Captum on the network itself, against formulas by hand, and by what they have to add up to."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import captum.attr
import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

import models
from explorer.analysis.attribution import attribute
from explorer.analysis.attribution_settings import (
    ATTRIBUTION_METHODS,
    OF_LAYERS,
    AttributionMethod,
    AttributionSettings,
    layer_of_maps,
    refusal,
)
from explorer.analysis.occluder import fill_values
from explorer.analysis.passes import open_network
from explorer.errors import Cancelled, UnknownNameError, UserError
from explorer.graph.trace import TracedProgram, trace

QUICK = AttributionSettings(steps=16, samples=5, noise=0.1, window=8, stride=4)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def plain() -> nn.Sequential:
    """A network that Captum understands as it is: modules alone, each called once, no pool that overlaps or stands
    right behind an activation."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.MaxPool2d(2), nn.Conv2d(6, 6, 1), nn.ReLU(), nn.Conv2d(6, 8, 3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5),
    )  # fmt: skip


class Awkward(nn.Module):
    """What Captum does not understand: functional, in-place and reused activations, one whose input is read twice,
    overlapping pools that hang over."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.relu, self.head = nn.ReLU(inplace=True), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = F.max_pool2d(self.relu(self.a(x)), 3, 2, padding=1, ceil_mode=True)
        z = self.b(y)
        z = F.gelu(z) + z.clamp(-1, 1)
        F.relu_(z)
        z = self.relu(z + y) * 0.7
        return self.head(F.silu(z).mean((2, 3)))


def opened(module: nn.Module, size: tuple[int, int] = (16, 20)) -> tuple[TracedProgram, Tensor]:
    return trace(module.eval(), (3, *size)), torch.randn(1, 3, *size)


def by_captum(module: nn.Module, image: Tensor, method: AttributionMethod, baseline: Tensor) -> Tensor:
    """Captum's own, on the network as it is, for class 2."""
    match method:
        case "saliency":
            return captum.attr.Saliency(module).attribute(image, 2, abs=False)
        case "input_x_gradient":
            return captum.attr.InputXGradient(module).attribute(image, 2)
        case "integrated_gradients":
            return captum.attr.IntegratedGradients(module).attribute(image, baseline, 2, n_steps=16)
        case "deconvnet":
            return captum.attr.Deconvolution(module).attribute(image, 2)
        case "guided":
            return captum.attr.GuidedBackprop(module).attribute(image, 2)
        case "deeplift":
            return captum.attr.DeepLift(module).attribute(image, baseline, 2)
    raise AssertionError(method)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "method", ["saliency", "input_x_gradient", "integrated_gradients", "deconvnet", "guided", "deeplift"]
)
def test_it_is_captums_on_a_network_that_captum_understands(method: AttributionMethod) -> None:
    module = plain()
    program, image = opened(module)
    expected = by_captum(module, image.clone().requires_grad_().requires_grad_(), method, QUICK.baseline(image))
    torch.testing.assert_close(attribute(program, image, method, 2, QUICK).values, expected[0].detach())


# -- what has to add up -----------------------------------------------------------------------------------------------


def change(module: nn.Module, image: Tensor, target: int) -> float:
    """How much the score differs from that of the baseline."""
    with torch.no_grad():
        return float((module(image.clone().requires_grad_()) - module(QUICK.baseline(image)))[0, target])


@pytest.mark.parametrize("make", [plain, Awkward])
def test_deeplift_adds_up_to_the_change_of_the_score(make: Callable[[], nn.Module]) -> None:
    module = make()
    program, image = opened(module, (17, 20))
    found = attribute(program, image, "deeplift", 2, QUICK)
    assert float(found.values.sum()) == pytest.approx(change(module, image, 2), rel=1e-4)


POOLED: dict[str, Callable[[], list[nn.Module]]] = {
    "overlapping": lambda: [nn.MaxPool2d(3, 2), nn.Conv2d(6, 6, 3)],
    "behind an activation": lambda: [nn.ReLU(), nn.MaxPool2d(2)],
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("pool", POOLED)
def test_deeplift_adds_up_where_captums_own_does_not(pool: str) -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), *POOLED[pool](), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5)
    )
    program, image = opened(module)
    expected = change(module, image, 2)
    assert float(attribute(program, image, "deeplift", 2, QUICK).values.sum()) == pytest.approx(expected, rel=1e-3)
    captums = (
        by_captum(module, image.clone().requires_grad_().requires_grad_(), "deeplift", QUICK.baseline(image))
        .detach()
        .sum()
    )
    assert abs(float(captums) - expected) > 0.01 * abs(expected)


def test_integrated_gradients_add_up_with_enough_steps() -> None:
    module = Awkward()
    program, image = opened(module)
    found = attribute(program, image, "integrated_gradients", 2, AttributionSettings(steps=200))
    assert float(found.values.sum()) == pytest.approx(change(module, image, 2), rel=0.02)


def test_on_a_linear_network_all_that_compare_with_a_baseline_agree() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 6 * 6, 4))
    program, image = opened(module, (6, 6))
    weights = module[1].weight[1].detach().view(3, 6, 6)  # pyright: ignore
    expected = weights * (image - QUICK.baseline(image))[0]
    for method in ("integrated_gradients", "deeplift"):
        torch.testing.assert_close(attribute(program, image, method, 1, QUICK).values, expected, rtol=1e-4, atol=1e-6)
    for method in ("saliency", "smoothgrad"):
        found = attribute(program, image, method, 1, QUICK)
        torch.testing.assert_close(found.values, weights)
        np.testing.assert_allclose(found.map, weights.abs().amax(0).numpy(), rtol=1e-6)
    still = AttributionSettings(samples=64, noise=0.0)
    absent = [QUICK.baseline(image), *(fill_values(image, fill).expand_as(image) for fill in ("mean", "blur"))]
    ways = torch.stack([(weights * (image - each)[0]) for each in absent])
    shap = attribute(program, image, "gradient_shap", 1, still).values
    assert (shap >= ways.amin(0) - 1e-5).all()
    assert (shap <= ways.amax(0) + 1e-5).all()


# -- class activation maps --------------------------------------------------------------------------------------------


def maps_and_gradient(module: nn.Sequential, image: Tensor) -> tuple[Tensor, Tensor]:
    maps = module[:6](image).detach().requires_grad_()
    (slope,) = torch.autograd.grad(module[6:](maps)[0, 2], maps)
    return maps.detach(), slope


def test_the_class_activation_maps_are_their_formulas() -> None:
    module = plain()
    program, image = opened(module)
    maps, slope = maps_and_gradient(module, image)
    expected = {
        "gradcam": (maps * slope.mean((2, 3), keepdim=True)).sum(1, keepdim=True),
        "layercam": (maps * slope.relu()).sum(1, keepdim=True),
    }
    for method in OF_LAYERS:
        found = attribute(program, image, method, 2, QUICK)
        assert found.layer == "5", "the last map before the pool"
        spread = F.interpolate(expected[method], (16, 20), mode="bilinear", align_corners=False)[0, 0]
        np.testing.assert_allclose(found.map, spread.numpy(), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(found.values.sum(0), spread)


@pytest.mark.parametrize(
    ("name", "layer"), [("vgg16", "features.29"), ("alexnet", "features.11"), ("resnet50", "layer4.2.act3")]
)
def test_the_last_activation_before_the_pools_is_weighed(name: str, layer: str) -> None:
    assert layer_of_maps(trace(models.build(name, device="meta"), (3, 224, 224)), None) == layer


def test_layer_cam_takes_the_positive_part_of_the_derivative_of_negative_activations_too() -> None:
    module = plain()
    module[5] = nn.Tanh()
    program, image = opened(module)
    maps, slope = maps_and_gradient(module, image)
    expected = (maps * slope.relu()).sum(1, keepdim=True)
    found = attribute(program, image, "layercam", 2, QUICK)
    spread = F.interpolate(expected, (16, 20), mode="bilinear", align_corners=False)
    np.testing.assert_allclose(found.map, spread[0, 0].numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("layer", ["a", "relu", "max_pool2d", "b", "relu#2", "silu"])
def test_any_layer_can_be_weighed_also_one_that_is_written_over(layer: str) -> None:
    program, image = opened(Awkward())
    name = next(each.id for each in program.graph if each.id == layer or each.op.endswith(layer))
    assert np.abs(attribute(program, image, "gradcam", 1, AttributionSettings(layer=name)).map).max() > 0


def test_a_layer_that_is_its_input_is_weighed_without_what_goes_around_it() -> None:
    class Around(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (2 * F.dropout(x, 0.5, self.training) + 5 * x).mean((2, 3))

    program, image = opened(Around())
    dropout = next(layer.id for layer in program.graph if layer.kind == "dropout")
    found = attribute(program, image, "gradcam", 1, AttributionSettings(layer=dropout))
    np.testing.assert_allclose(found.map, image[0, 1].numpy() * 2 / (16 * 20), rtol=1e-4)


def test_layers_with_channels_last_are_weighed_as_maps() -> None:
    module = torchvision.models.convnext_tiny(num_classes=5)
    program, image = opened(module, (64, 64))
    names = [layer.id for layer in program.graph if layer.op == "LayerNorm" and "block" in layer.id]
    found = attribute(program, image, "gradcam", 1, AttributionSettings(layer=names[0]))
    assert found.map.shape == (64, 64)
    assert np.ptp(found.map) > 0.1 * np.abs(found.map).max() > 0


# -- occlusion, noise -------------------------------------------------------------------------------------------------


def test_occlusion_gives_each_pixel_the_mean_loss_of_the_squares_over_it() -> None:
    module = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(3 * 4, 2))
    program, image = opened(module, (8, 8))
    with torch.no_grad():
        baseline = float(module(image).softmax(1)[0, 1])
        hidden = image.clone().requires_grad_()
        hidden[:, :, :4, 4:] = fill_values(image, "gray")
        loss = baseline - float(module(hidden).softmax(1)[0, 1])
    found = attribute(program, image, "occlusion", 1, AttributionSettings(window=4, stride=4))
    assert found.map[:4, 4:] == pytest.approx(np.full((4, 4), loss), rel=1e-5)
    overlapping = attribute(program, image, "occlusion", 1, AttributionSettings(window=4, stride=2))
    assert overlapping.map[0, 7] == pytest.approx(loss, rel=1e-5)
    assert overlapping.map[0, 5] != pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("method", ["smoothgrad", "gradient_shap"])
def test_noise_comes_from_the_seed_alone_and_leaves_the_generators_as_they_were(method: AttributionMethod) -> None:
    program, image = opened(plain())
    before, numbers = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # pyright: ignore
    first, again = (attribute(program, image, method, 2, QUICK).values for _ in range(2))
    other = attribute(program, image, method, 2, AttributionSettings(samples=5, noise=0.1, seed=1)).values
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert (np.random.get_state()[1] == numbers).all()  # pyright: ignore


@pytest.mark.parametrize("samples", [5, 16])
def test_noise_is_drawn_as_captum_draws_it(samples: int) -> None:
    module = plain()
    program, image = opened(module)
    settings = AttributionSettings(samples=samples, noise=0.1, seed=3)
    deviation, target = 0.1 * float(image.max() - image.min()), torch.tensor([2])
    absent = [settings.baseline(image), *(fill_values(image, fill).expand_as(image) for fill in ("mean", "blur"))]
    with torch.random.fork_rng():  # pyright: ignore
        torch.manual_seed(3)  # pyright: ignore
        smooth: Any = captum.attr.NoiseTunnel(captum.attr.Saliency(module)).attribute(
            image.clone().requires_grad_(), nt_type="smoothgrad", nt_samples=samples, stdevs=deviation, target=target,
            abs=False,
        )  # fmt: skip
        torch.manual_seed(3)  # pyright: ignore
        np.random.seed(3)
        shap: Any = captum.attr.GradientShap(module).attribute(
            image.clone().requires_grad_(), torch.cat(absent), n_samples=samples, stdevs=deviation, target=target
        )
    for method, expected in (("smoothgrad", smooth), ("gradient_shap", shap)):
        found = attribute(program, image, method, 2, settings).values  # pyright: ignore[reportArgumentType]
        torch.testing.assert_close(found, expected[0].detach(), rtol=1e-4, atol=1e-6)


# -- all of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ATTRIBUTION_METHODS)
def test_every_method_gives_one_value_per_pixel_and_leaves_the_network_as_it_was(method: AttributionMethod) -> None:
    module = Awkward().train()
    program, image = trace(module, (3, 16, 20)), torch.randn(3, 16, 20)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    kept, told = image.clone().requires_grad_(), list[tuple[int, int]]()
    found = attribute(program, image, method, None, QUICK, progress=lambda done, total, _: told.append((done, total)))
    with torch.no_grad():
        probabilities = module.eval()(image[None]).softmax(1)[0]
    module.train()
    assert found.target == int(probabilities.argmax())
    assert found.probability == pytest.approx(float(probabilities.max()), rel=1e-5)
    assert found.map.shape == (16, 20)
    assert np.isfinite(found.map).all()
    assert np.abs(found.map).max() > 0
    assert told[-1][0] == told[-1][1]
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert torch.equal(image, kept)
    assert all(part.training for part in module.modules())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert all(value.grad is None for value in module.parameters())
    assert not any(part._forward_hooks or part._backward_hooks for part in module.modules())


@pytest.mark.parametrize("method", ATTRIBUTION_METHODS)
def test_every_method_stops_when_it_is_asked_to(method: AttributionMethod) -> None:
    program, image = opened(Awkward())
    asked = 0

    def cancel() -> bool:
        nonlocal asked
        asked += 1
        return asked > 12

    with pytest.raises(Cancelled):
        attribute(program, image, method, 1, AttributionSettings(samples=200, steps=200, window=4, stride=1),
                  cancel=cancel)  # fmt: skip
    assert asked == 13


def test_two_at_a_time_wait_for_each_other() -> None:
    program, image = opened(Awkward())
    settings = AttributionSettings(steps=60)

    def work(_: int) -> Tensor:
        return attribute(program, image, "integrated_gradients", 1, settings).values

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(work, range(4)))
    assert all(torch.equal(each, found[0]) for each in found)


# -- refusals ---------------------------------------------------------------------------------------------------------


def said(network: Any, image: Tensor, method: AttributionMethod, **settings: Any) -> str:
    with pytest.raises(UserError) as caught:
        attribute(network, image, method, settings.pop("target", 0), AttributionSettings(**settings))
    return str(caught.value)


def test_methods_are_refused_where_they_are_not_defined() -> None:
    gated = torchvision.models.mobilenet_v3_small(num_classes=5)
    program, image = opened(gated, (32, 32))
    assert "no rule for 'features.1.block.1.mul' (mul)" in said(program, image, "deeplift")
    assert "'classifier.0' has no rows and columns" in said(program, image, "gradcam", layer="classifier.0")
    with pytest.raises(UnknownNameError, match="classifier"):
        attribute(program, image, "gradcam", 0, AttributionSettings(layer="classifier.9"))
    flat, pixels = opened(nn.Sequential(nn.Flatten(), nn.Linear(3 * 36, 4)), (6, 6))
    assert "this network has no layer with rows and columns" in said(flat, pixels, "layercam")
    assert refusal(flat, "saliency") is None
    assert "target=7 is not a class" in said(flat, pixels, "saliency", target=7)
    with pytest.raises(UserError, match="method='magic'"):
        attribute(flat, pixels, "magic")  # pyright: ignore[reportArgumentType]


def test_a_network_without_layers_can_only_be_occluded() -> None:
    class Deciding(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean((2, 3)) if float(x.sum()) > 0 else x.amax((2, 3))

    network, image = open_network(Deciding(), (3, 8, 8)), torch.randn(1, 3, 8, 8)
    assert "cannot be traced" in said(network, image, "saliency")
    assert attribute(network, image, "occlusion", 1, AttributionSettings(window=4, stride=4)).map.shape == (8, 8)


def test_scores_without_a_derivative_and_values_that_are_not_finite_are_refused() -> None:
    class Counting(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x > 0).float().mean((2, 3))

    class Dividing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean((2, 3)) / 0

    class Rooted(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x * 0).sqrt().mean((2, 3))

    image = torch.randn(1, 3, 8, 8)
    assert "saliency cannot be computed" in said(trace(Counting(), (3, 8, 8)), image, "saliency")
    assert "output for this image is not finite" in said(trace(Dividing(), (3, 8, 8)), image, "saliency")
    assert "attribution of this image is not finite" in said(trace(Rooted(), (3, 8, 8)), image, "saliency")


@pytest.mark.parametrize(("name", "value"), [("samples", 0), ("steps", 20_000), ("noise", -1), ("output", "magic")])
def test_settings_that_make_no_sense_are_refused(name: str, value: Any) -> None:
    with pytest.raises(UserError, match=name):
        AttributionSettings(**{name: value})
