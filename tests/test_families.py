"""Every architecture of the registry: equal to torchvision's, of the published size, right at every knob's ends."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
import torch
import torchvision
from hypothesis import given
from torch import Tensor, fx, nn
from torch.utils.flop_counter import FlopCounterMode

import models
from models.layers import POINTWISE
from models.spec import NetSpec
from tests.strategies import extremes, names_a_value, spec_values

PRESETS = models.presets()
TORCHVISION = {name: other for name in PRESETS if (other := models.preset(name).torchvision)}
FAMILIES = models.architectures()
FAST_PX = 64  # equal logits need no 224 px
HUGE_PX = 2**24  # on meta: no network drawn here shrinks it to nothing

each_preset = pytest.mark.parametrize("name", PRESETS)
each_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)


def tensors(output: Any) -> list[Tensor]:
    """The tensors of an output: one, or a tuple or dict that has auxiliary ones too, the logits first."""
    if isinstance(output, Tensor):
        return [output]
    parts = output.values() if isinstance(output, dict) else output
    return [tensor for part in parts if part is not None for tensor in tensors(part)]


def image(spec: NetSpec, batch: int, side: int | None = None) -> Tensor:
    side = side or spec.image_size
    return torch.empty(batch, spec.in_channels, side, side, device="meta")


def layers(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The modules that have no modules inside."""
    return ((path, layer) for path, layer in model.named_modules() if not list(layer.children()))


class SameShape(torch.autograd.Function):
    """A map of the input's shape, with a gradient for the input and each parameter."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *parameters: Tensor) -> Tensor:
        ctx.parameters = parameters
        return torch.empty_like(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return gradients[0], *map(torch.empty_like, ctx.parameters)


class Quick(nn.Module):
    """Stands for a norm or activation on meta, where only its shape shows and torch takes up to 6 ms for it."""

    STANDS_FOR = (*POINTWISE, nn.GroupNorm, nn.LocalResponseNorm)

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return SameShape.apply(x, *self.layer.parameters())


def quick(model: nn.Module) -> nn.Module:
    """The model with `Quick` in place of the layers that it stands for."""
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, Quick.STANDS_FOR):
                setattr(parent, name, Quick(child))
    return model


def train_step(model: nn.Module, spec: NetSpec, side: int | None = None) -> None:
    """Forward and backward in training mode on meta: right shape, no empty map, a gradient for every parameter."""
    empty = []

    def watch(path: str) -> Callable[[nn.Module, Any, Any], None]:
        return lambda _, __, output: empty.append(path) if not tensors(output)[0].numel() else None

    for path, layer in layers(model):
        layer.register_forward_hook(watch(path))
    outputs = tensors(model.train()(image(spec, 2, side)))
    assert all(output.shape == (2, spec.num_classes) for output in outputs)
    assert not empty
    torch.stack([output.sum() for output in outputs]).sum().backward()
    assert [path for path, parameter in model.named_parameters() if parameter.grad is None] == []


def macs(model: nn.Module, spec: NetSpec) -> float:
    with FlopCounterMode(display=False) as counter:
        model(image(spec, 1))
    return counter.get_total_flops() / 2


# Equal to torchvision


def filled(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Random tensors of a meta state dict's shapes that keep a network's activations near 1."""
    noise = torch.rand(1_000_003, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return {name: fill(name, value, noise) for name, value in state.items()}


def fill(name: str, value: Tensor, noise: Tensor) -> Tensor:
    if not value.is_floating_point():
        return torch.ones(value.shape, dtype=value.dtype)
    start = zlib.crc32(name.encode()) % len(noise)  # equal shapes under other names get other values
    stop = start + value.numel()
    random = noise.repeat(stop // len(noise) + 1)[start:stop] if stop > len(noise) else noise[start:stop].clone()
    random = random.view(value.shape)
    if value.dim() > 1:
        return random.mul_(math.sqrt(6 / value[0].numel()))
    return random.mul_(0.5).add_(0.0 if name.endswith(("bias", "mean")) else 1.0)


@pytest.mark.filterwarnings("ignore:The default weight initialization")
@pytest.mark.parametrize("name", TORCHVISION)
def test_logits_equal_torchvisions_with_its_state_dict(name: str) -> None:
    with torch.device("meta"):
        reference = torchvision.models.get_model(TORCHVISION[name], weights=None).eval()
    ours = models.build(name, device="meta")
    state = filled(reference.state_dict())
    for model in (reference, ours):
        model.load_state_dict(state, strict=True, assign=True)
    pictures = torch.randn(2, 3, FAST_PX, FAST_PX)
    with torch.inference_mode():
        expected, actual = reference(pictures), ours(pictures)
    assert (expected[0] - expected[1]).abs().max() > 1e-3 * expected.abs().max()  # the logits depend on the picture
    assert (actual - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize("name", TORCHVISION)
def test_size_equals_torchvisions(name: str) -> None:
    """`num_params`, and `_ops`: in 10⁹ multiply-accumulates of convolutions and linear layers, to its last digit."""
    meta = torchvision.models.get_model_weights(TORCHVISION[name])["IMAGENET1K_V1"].meta
    model = models.build(name, device="meta")
    state_params = sum(parameter.numel() for parameter in model.parameters())
    auxiliary = sum(p.numel() for path, p in model.named_parameters() if path.startswith("aux"))
    assert state_params - auxiliary == meta["num_params"]
    decimals = len(str(meta["_ops"]).partition(".")[2])
    assert round(macs(model, models.spec(name)) / 1e9, decimals) == meta["_ops"]


# Published sizes


def by_hand(convolutions: str, linear: tuple[int, ...]) -> int:
    """Weights and biases of convolutions, "in>out kernel groups, …", and of linear layers, as a paper gives them."""
    total = sum((features + 1) * classes for features, classes in pairwise(linear))
    for layer in convolutions.split(","):
        channels, kernel, groups = layer.split()
        before, after = map(int, channels.split(">"))
        total += (before // int(groups) * int(kernel) ** 2 + 1) * after
    return total


LAYERS_1_AND_2 = "3>96 7 1, 96>256 5 1"
PARAMS = {
    "lenet5": 61_706,  # FIELD_NOTES: 10 classes, 32×32
    "alexnet": 61_100_840,  # from here on, where nothing else is said: torchvision
    "alexnet_2012": by_hand(
        "3>96 11 1, 96>256 5 2, 256>384 3 1, 384>384 3 2, 384>256 3 2", (256 * 36, 4096, 4096, 1000)
    ),
    "zfnet": by_hand(f"{LAYERS_1_AND_2}, 256>384 3 1, 384>384 3 1, 384>256 3 1", (256 * 36, 4096, 4096, 1000)),
    "zfnet_wide": by_hand(f"{LAYERS_1_AND_2}, 256>512 3 1, 512>1024 3 1, 1024>512 3 1", (512 * 36, 4096, 4096, 1000)),
    "nin": by_hand(
        "3>96 11 1, 96>96 1 1, 96>96 1 1, 96>256 5 1, 256>256 1 1, 256>256 1 1, 256>384 3 1, 384>384 1 1, "
        "384>384 1 1, 384>1024 3 1, 1024>1024 1 1, 1024>1000 1 1",
        (),
    ),
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "vgg11_bn": 132_868_840,
    "vgg13_bn": 133_053_736,
    "vgg16_bn": 138_365_992,
    "vgg19_bn": 143_678_248,
    "googlenet": 13_004_888,
    "googlenet_2014": 13_378_280,  # the authors' Caffe model with its two auxiliary heads
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "wide_resnet50_2": 68_883_240,
    "wide_resnet101_2": 126_886_696,
}
COMPACT_PARAMS = 500_000


@each_preset
def test_parameter_count_is_the_published_one(name: str) -> None:
    params = sum(parameter.numel() for parameter in models.build(name, device="meta").parameters())
    if models.preset(name).compact:
        assert params <= COMPACT_PARAMS
    else:
        assert params == PARAMS[name]


def test_zfnet_maps_have_the_sizes_of_the_papers_figure_3() -> None:
    model, sides = models.build("zfnet", device="meta"), []
    for _, layer in layers(model):
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d):
            layer.register_forward_hook(lambda _, __, output: sides.append(output.shape[-1]))
    model(image(models.spec("zfnet"), 1))
    assert sides == [110, 55, 26, 13, 13, 13, 13, 6]


# What every preset must do


@each_preset
def test_preset_trains(name: str) -> None:
    train_step(models.build(name, device="meta"), models.spec(name))


@each_preset
def test_tools_can_reach_every_operation(name: str) -> None:
    """Each activation, add and concat is a module of its own and none works in place."""
    model = models.build(name, device="meta")
    paths = [layer for _, layer in model.named_modules(remove_duplicate=False)]
    assert len(paths) == len(set(paths))
    assert not any(getattr(layer, "inplace", False) for layer in paths)
    for mode in (True, False):
        graph = LeafTracer().trace(model.train(mode))
        called = {node.target for node in graph.nodes if node.op in ("call_function", "call_method")}
        assert {target for target in called if not isinstance(target, type)} <= {torch.flatten}


class LeafTracer(fx.Tracer):
    """Records each module that has none inside as one step."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return not list(m.children())


@each_family
def test_building_is_deterministic_under_a_seed(family: models.Architecture) -> None:
    name = min(family.presets, key=lambda name: sum(p.numel() for p in models.build(name, device="meta").parameters()))
    before = torch.get_rng_state()
    first, again, other = (list(models.build(name, seed=seed).parameters()) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


# Every value of every knob


def accepted(family: models.Architecture, values: dict[str, Any]) -> bool:
    """Whether a Spec can have these values; then it trains, and else the refusal names a knob and its value.

    A refusal because of image_size must go away on a huge image: if not, a cross-field rule is missing.
    """
    try:
        spec = family.spec.parse(values)
    except models.SpecError as error:
        assert names_a_value(str(error), values), error
        return False
    try:
        models.check(spec)  # pyright: ignore[reportArgumentType]  (pydantic makes it hashable)
    except models.SpecError as error:
        assert str(error).startswith(f"image_size={spec.image_size} ")
        huge = spec.model_copy(update={"image_size": HUGE_PX})
        with torch.device("meta"):
            train_step(quick(family.builder(huge)), huge)
        return False
    train_step(quick(models.build(spec, device="meta")), spec)
    return True


@each_family
def test_ends_of_every_knob_build_or_are_refused_by_name(family: models.Architecture) -> None:
    base = smallest(family).replace(image_size=224)
    outcomes = [accepted(family, {**dict(base), name: value}) for name, value in extremes(base)]
    assert sum(outcomes) > len(outcomes) / 2


def smallest(family: models.Architecture) -> NetSpec:
    """The preset with the fewest layers."""
    specs = [preset.spec for preset in family.presets.values()]
    return min(specs, key=lambda spec: len(list(models.build(spec, device="meta").modules())))


@pytest.mark.fuzz
@pytest.mark.timeout(0)
@each_family
def test_random_specs_build_or_are_refused_by_name(family: models.Architecture) -> None:
    outcomes: list[bool] = []

    @given(spec_values(family.spec, [preset.spec for preset in family.presets.values()]))
    def holds(values: dict[str, Any]) -> None:
        outcomes.append(accepted(family, values))

    holds()
    assert sum(outcomes) >= 0.3 * len(outcomes), "too few are accepted for the test to show anything"


def test_too_small_an_image_names_the_layer() -> None:
    with pytest.raises(models.SpecError, match=r"^image_size=16 .* at features\.30: .*\.$"):
        models.build("vgg16", image_size=16)
