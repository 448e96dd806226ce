"""Networks built on the meta device are those built on the CPU, but for the values of their weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import models
from models.knobs import NORM_NAMES
from models.layers import activation, conv, norm
from models.meta import is_unfilled, layer, on_meta, only_compared


@pytest.mark.parametrize("name", ["resnet_mini", "densenet_mini", "convnext_mini", "mobilenet_v3_mini", "vgg_mini"])
def test_a_network_has_the_same_layers_and_weights_on_meta(name):
    here, meta = models.build(name), models.build(name, device="meta")
    assert repr(meta) == repr(here)
    assert {key: (t.shape, t.dtype) for key, t in meta.state_dict().items()} == {
        key: (t.shape, t.dtype) for key, t in here.state_dict().items()
    }
    assert [p.requires_grad for p in meta.parameters()] == [p.requires_grad for p in here.parameters()]
    assert all(t.is_meta for t in meta.state_dict().values())


@pytest.mark.parametrize("kind", NORM_NAMES)
def test_every_norm_is_of_the_class_that_it_has_elsewhere(kind):
    with on_meta():
        made = norm(kind, 12)
    assert type(made) is type(norm(kind, 12))
    assert str(made) == str(norm(kind, 12))


def test_equal_layers_share_no_parameter_no_hook_and_no_attribute():
    with on_meta():
        first = norm("batch", 8)
        assert isinstance(first, nn.BatchNorm2d)
        first.eps = 0.5
        first.register_forward_hook(lambda *_: None)
        second = norm("batch", 8)
    assert isinstance(second, nn.BatchNorm2d)
    assert second.eps == 1e-5
    assert not second._forward_hooks
    tensors = [*first.state_dict(keep_vars=True).values(), *second.state_dict(keep_vars=True).values()]
    assert len({t.untyped_storage()._cdata for t in tensors}) == len(tensors) == 10
    assert all(isinstance(p, nn.Parameter) for p in second.parameters())


def test_activations_share_no_hook_and_no_attribute():
    with on_meta():
        first = activation("leaky_relu")
        assert isinstance(first, nn.LeakyReLU)
        first.negative_slope = 0.5
        first.register_forward_hook(lambda *_: None)
        second = activation("leaky_relu")
    assert isinstance(second, nn.LeakyReLU)
    assert second.negative_slope == 0.01
    assert not second._forward_hooks
    assert str(second) == str(activation("leaky_relu"))


def test_layers_of_other_arguments_are_others():
    with on_meta():
        made = [conv(4, 8, 3), conv(4, 8, 3, bias=False), conv(4, 8, (3, 1)), layer(nn.Linear, 4, 8)]
    assert [[tuple(p.shape) for p in part.parameters()] for part in made] == [
        [(8, 4, 3, 3), (8,)], [(8, 4, 3, 3)], [(8, 4, 3, 1), (8,)], [(8, 4), (8,)],
    ]  # fmt: skip


def test_outside_layers_are_filled_and_an_error_ends_the_mode():
    with pytest.raises(ValueError, match="positive"), on_meta():
        layer(nn.Conv2d, 4, 8, 3, groups=-1)
    assert not is_unfilled()
    made = layer(nn.Linear, 4, 8)
    assert isinstance(made, nn.Linear)
    assert torch.isfinite(made.weight).all()
    assert made.weight.std() > 0


def test_networks_that_are_only_compared_share_tensors_but_not_what_is_set_on_a_layer():
    with only_compared():
        with on_meta():
            first = layer(nn.BatchNorm2d, 8)
            assert isinstance(first, nn.BatchNorm2d)
            first.eps = 0.5
        with on_meta():
            second = layer(nn.BatchNorm2d, 8)
    with on_meta():
        outside = layer(nn.BatchNorm2d, 8)
    assert isinstance(second, nn.BatchNorm2d)
    assert second.eps == 1e-5
    assert second.weight is first.weight
    assert outside.weight is not first.weight


@pytest.mark.parametrize("name", ["resnet_mini", "densenet_mini", "efficientnet_b0", "googlenet"])
def test_networks_that_are_only_compared_look_like_all_others(name):
    with only_compared():
        compared = [models.build(name, device="meta") for _ in range(2)]
    assert {repr(network) for network in compared} == {repr(models.build(name, device="meta"))}
