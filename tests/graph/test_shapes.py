"""A shape rule says what running the layer on the meta device says, or nothing."""

from __future__ import annotations

import operator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from explorer.graph import shapes

sizes = st.integers(1, 12)


def meta(*shape: int) -> torch.Tensor:
    return torch.empty(*shape, device="meta")


def assert_same_as_on_meta(module: nn.Module, image: torch.Tensor) -> None:
    """The rule's answer is torch's; where torch refuses, the rule has none."""
    known = shapes.of_module(module, (image,))
    try:
        expected = module.to("meta")(image)
    except (RuntimeError, ValueError):
        assert known is None
        return
    if known is not None:
        assert known.shape == expected.shape
        assert known.dtype == expected.dtype
        assert known.is_meta
        assert (known is image) == (expected.untyped_storage()._cdata == image.untyped_storage()._cdata)


@pytest.mark.fuzz
@given(st.integers(1, 4), sizes, sizes, st.integers(1, 5), st.integers(1, 4), st.integers(0, 4), st.integers(1, 3))
def test_convolutions(channels, height, width, kernel, stride, padding, dilation):
    conv = nn.Conv2d(3, 4, (kernel, 2), stride, padding, dilation, device="meta")
    assert_same_as_on_meta(conv, meta(2, channels, height, width))


@pytest.mark.fuzz
@given(sizes, sizes, st.integers(1, 5), st.integers(1, 4), st.integers(0, 3), st.booleans())
def test_pools(height, width, kernel, stride, padding, ceil_mode):
    image = meta(1, 3, height, width)
    assert_same_as_on_meta(nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil_mode), image)
    assert_same_as_on_meta(nn.AvgPool2d(kernel, stride, padding, ceil_mode=ceil_mode), image)


@pytest.mark.parametrize(
    "module",
    [
        nn.ReLU(), nn.ReLU(inplace=True), nn.GELU(), nn.SiLU(inplace=True), nn.Identity(), nn.Dropout().eval(),
        nn.Dropout(), nn.BatchNorm2d(3).eval(), nn.BatchNorm2d(3), nn.BatchNorm2d(4).eval(), nn.AdaptiveAvgPool2d(1),
        nn.AdaptiveAvgPool2d((3, 2)), nn.AdaptiveAvgPool2d((None, 2)), nn.Linear(5, 7), nn.Linear(6, 7),
        nn.Conv2d(3, 4, 3).half(), nn.Linear(5, 7).double(), nn.Conv2d(3, 4, 3, padding="same"),
        nn.LayerNorm(5), nn.LayerNorm([4, 5]), nn.LayerNorm(4), nn.LayerNorm(3),
    ],
    ids=str,
)  # fmt: skip
def test_other_layers(module):
    assert_same_as_on_meta(module, meta(2, 3, 4, 5))


def test_every_rule_is_tried_on_what_it_is_for():
    """None of the rules is idle: each answers for an input that fits."""
    fitting = [
        nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.AvgPool2d(2), nn.BatchNorm2d(3).eval(), nn.AdaptiveAvgPool2d(1),
        nn.Linear(8, 2), nn.Dropout().eval(), nn.Identity(), nn.ReLU(), nn.ReLU6(), nn.LeakyReLU(), nn.ELU(), nn.SiLU(),
        nn.Hardswish(), nn.Hardsigmoid(), nn.GELU(), nn.Sigmoid(), nn.Tanh(), nn.LayerNorm(8),
    ]  # fmt: skip
    assert {type(module) for module in fitting} == set(shapes._MODULES)
    for module in fitting:
        assert shapes.of_module(module, (meta(1, 3, 8, 8),)) is not None


def test_a_layer_with_a_hook_or_of_a_subclass_is_run():
    hooked = nn.ReLU()
    hooked.register_forward_hook(lambda module, args, output: output[:, :1])
    assert shapes.of_module(hooked, (meta(1, 3, 4, 4),)) is None

    class Doubling(nn.ReLU):
        def forward(self, input):
            return torch.cat([input, input])

    assert shapes.of_module(Doubling(), (meta(1, 3, 4, 4),)) is None


@pytest.mark.fuzz
@given(st.lists(st.tuples(st.integers(1, 3), st.booleans()), min_size=1, max_size=4), st.integers(1, 4))
def test_sums_and_products_with_a_tensor_that_repeats(dims, kept):
    """The second tensor has the sizes of the first, or 1, and maybe fewer dimensions."""
    a = meta(*(size for size, _ in dims))
    b = meta(*(1 if single else size for size, single in dims[len(dims) - min(kept, len(dims)) :]))
    for combine in (operator.add, operator.mul, torch.add, torch.mul):
        found = shapes.of_function(combine, (a, b), {})
        assert found is not None
        assert found.shape == combine(a, b).shape
        assert found.dtype == combine(a, b).dtype


def test_sums_and_products_that_no_rule_is_for():
    a, gate, wrong, double = meta(1, 3, 4, 4), meta(1, 3, 1, 1), meta(2, 4, 4), meta(1, 3, 4, 4).double()
    for target, args in ((torch.mul, (gate, a)), (torch.mul, (a, wrong)), (torch.mul, (a, double)),
                         (operator.add, (a, 1)), (operator.add, (1, a)), (operator.sub, (a, a))):  # fmt: skip
        assert shapes.of_function(target, args, {}) is None
    assert shapes.of_function(torch.add, (a, a), {"alpha": 2}) is None


def test_layer_norms_by_function():
    x = meta(1, 4, 5, 3)
    for last, fits in (((3,), True), ([5, 3], True), ((4,), False), ((5,), False)):
        found = shapes.of_function(functional.layer_norm, (x, last, None, None, 1e-5), {})
        assert (found is not None) == fits
        assert found is None or found.shape == x.shape
        named = {"weight": None, "bias": None, "eps": 1e-5}
        assert (shapes.of_function(functional.layer_norm, (x, last), named) is not None) == fits


def test_concats_of_channels():
    maps = [meta(1, channels, 6, 5) for channels in (3, 1, 4)]
    found = shapes.of_function(torch.cat, (maps, 1), {})
    assert found is not None
    assert found.shape == torch.cat(maps, 1).shape
    for args, kwargs in (((maps,), {}), (([*maps, meta(1, 3, 6, 4)], 1), {}), (([meta(3), meta(4)],), {"dim": 0})):
        assert shapes.of_function(torch.cat, args, kwargs) is None  # run on meta, which also words the error
