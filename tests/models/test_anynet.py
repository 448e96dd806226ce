"""AnyNet: any block in any stage, all else equal; knobs of all blocks leave each its own unless they are set."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import nn

import models
from explorer import analyze
from models.blocks.attention import NonLocal, SqueezeExcitation
from models.errors import SpecError
from models.families.anynet import AnyNetSpec, placed, stages

BLOCKS = models.blocks()
each_block = pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)
STEM = 16


def with_stages(*rows: tuple[str, int, int, int], **knobs: object) -> AnyNetSpec:
    return AnyNetSpec(num_classes=5, image_size=64, stem_width=STEM, stages=stages(*rows)).replace(**knobs)


def count(network: nn.Module, kind: type[nn.Module]) -> int:
    return sum(isinstance(module, kind) for module in network.modules())


@each_block
def test_any_block_stands_in_any_stage(block: models.Block) -> None:
    """As the first, a middle and the last stage; whichever it is, each stage has its width and its stride."""
    for place in range(3):
        names = ["conv_norm_act"] * 3
        names[place] = block.name
        spec = with_stages(*((name, 1, width, 2) for name, width in zip(names, (24, 48, 64), strict=True)))
        graph = analyze(models.build(spec, device="meta"), (3, 64, 64)).graph
        ends = [[layer for layer in graph if layer.id.startswith(f"stages.{i}.")][-1] for i in range(3)]
        assert [end.output_shape[1:] for end in ends] == [(24, 16, 16), (48, 8, 8), (64, 4, 4)]


@pytest.mark.parametrize("stride", [1, 2, 3])
@each_block
def test_any_block_stands_at_any_stride_and_depth(block: models.Block, stride: int) -> None:
    """In the first and in a later stage, of few channels; what stride 3 leaves over at the border may count or not."""
    for depths in ((1, 2), (2, 1)):
        rows = [(block.name, depth, width, stride) for depth, width in zip(depths, (24, 32), strict=True)]
        net: Any = models.build(with_stages(*rows), device="meta", unchecked=True)
        x = net.stem(torch.empty(1, 3, 64, 64, device="meta"))
        for stage, depth, width in zip(net.stages, depths, (24, 32), strict=True):
            side, x = x.shape[-1], stage(x)
            assert x.shape in [(1, width, made, made) for made in (side // stride, -(-side // stride))]
            assert len(stage) == depth


def test_a_block_that_shrinks_the_map_by_itself_is_refused_where_the_stride_is_no_multiple() -> None:
    """None of those that are registered; one that a person adds may have no knob for it."""
    halving = dataclasses.replace(models.block("nin"), name="halving", builder=lambda spec: nn.MaxPool2d(2))
    assert placed(halving, 16, 32, 4)[0] == (16, 32, 2)
    with pytest.raises(SpecError, match=r"'halving' makes maps 2 times smaller, and the stride here is 3"):
        placed(halving, 16, 32, 3)


def test_without_its_pool_a_block_keeps_the_map_and_all_its_weights() -> None:
    for name in ("vgg", "transition"):
        block = models.block(name)
        whole, alone = (block.builder(block.spec().replace(stride=stride)) for stride in (2, 1))
        assert [p.shape for p in whole.state_dict().values()] == [p.shape for p in alone.state_dict().values()]
        assert block.output_shape(block.spec().replace(stride=1))[1:] == (32, 32)
        assert block.output_shape(block.spec())[1:] == (16, 16)


@each_block
def test_only_the_slots_differ_between_the_presets_of_the_contest(block: models.Block) -> None:
    base, other = models.spec("anynet_mini_conv_norm_act"), models.spec(f"anynet_mini_{block.name}")
    first, *slots = other.stages  # type: ignore[attr-defined]
    stages = base.stages  # type: ignore[attr-defined]
    assert other.replace(stages=stages) == base
    assert first == stages[0]
    assert [slot.block for slot in slots] == [block.name] * 2
    assert analyze(models.build(other, device="meta"), (3, 64, 64)).macs <= 20_000_000


def test_own_leaves_the_attention_of_a_blocks_paper_and_a_kind_replaces_it() -> None:
    stage = ("mbconv", 1, 32, 2)
    assert count(models.build(with_stages(stage)), SqueezeExcitation) == 1
    assert count(models.build(with_stages(stage, attention="none")), SqueezeExcitation) == 0
    other = models.build(with_stages(stage, attention="non_local"))
    assert count(other, NonLocal) == 1
    assert count(other, SqueezeExcitation) == 0


@pytest.mark.parametrize("name", ["dense_layer", "dense_block"])
def test_dense_blocks_add_the_channels_that_a_stage_asks_for(name: str) -> None:
    """They only ever add: a convolution halves the map before them, and none follows."""
    before, spec, after = placed(models.block(name), 32, 56, 2)
    assert before == (32, 32, 2)
    assert after is None
    assert spec.out_channels == 56  # type: ignore[attr-defined]


def test_a_non_local_block_without_a_norm_does_not_start_as_the_identity() -> None:
    built = models.build(with_stages(("non_local", 1, 32, 2), block_norm="none"))
    assert [part.zero_init for part in built.modules() if isinstance(part, NonLocal)] == [False]
