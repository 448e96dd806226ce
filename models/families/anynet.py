"""AnyNet (2020): a skeleton of stem, stages and head, in whose stages any block can stand."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from models import knobs, registry
from models.blocks.attention import start_attention
from models.blocks.regnet import PAPER
from models.errors import SpecError
from models.layers import activation, built, conv, global_pool, initialise, norm, pool, sequence
from models.registry import Architecture, Preset, register
from models.spec import NetSpec, Spec, knob, unchecked

BLOCKS = tuple(sorted(block.name for block in registry.blocks()))
OWN = "own"
SHARED = {"block_activation": "activation", "block_norm": "norm", "attention": "attention"}  # knobs → those of blocks


class StageSpec(Spec):
    """One stage (paper, section 3.1): `depth` equal blocks, the first of which brings the width and the stride."""

    block: str = knob("regnet_x", choices=BLOCKS, help="What stands in the stage.")
    depth: int = knob(2, low=1, high=36, step=1, help="Blocks in the stage.")
    width: int = knobs.stage_width(64)
    stride: int = knobs.stride(2, paper=2)


def stages(*rows: tuple[str, int, int, int]) -> tuple[StageSpec, ...]:
    """Stages from rows of block, depth, width, stride."""
    return tuple(StageSpec.parse(dict(zip(StageSpec.model_fields, row, strict=True))) for row in rows)


class AnyNetSpec(knobs.AttentionKnobs, NetSpec):
    """The stages and what all share; the defaults are RegNetX-400MF, drawn by hand."""

    stages: tuple[StageSpec, ...] = stages(
        ("regnet_x", 1, 32, 2), ("regnet_x", 2, 64, 2), ("regnet_x", 7, 160, 2), ("regnet_x", 12, 400, 2)
    )
    stem_kernel: int = knobs.stem_kernel(3)
    stem_stride: int = knobs.stem_stride(2)
    stem_width: int = knobs.stem_width(32)
    stem_pool: str = knobs.stem_pool("none")
    activation: str = knobs.activation("relu", help="Non-linearity of the stem.")
    norm: str = knobs.norm("batch", help="Normalisation of the stem and between blocks.")
    block_activation: str = knob(
        OWN, choices=(OWN, *knobs.ACTIVATION_NAMES),
        help="Non-linearity of all blocks; own leaves each that of its paper.",
    )  # fmt: skip
    block_norm: str = knob(
        OWN, choices=(OWN, *knobs.NORM_NAMES), help="Normalisation of all blocks; own leaves each that of its paper."
    )
    attention: str = knob(
        OWN, choices=(OWN, *knobs.ATTENTION_NAMES),
        help="Attention of all blocks that can have it; own leaves each its paper's.",
    )  # fmt: skip
    head_pool: str = knobs.head_pool("average")
    dropout: float = knobs.dropout(0.0)

    @classmethod
    def idle(cls, values: Mapping[str, Any]) -> dict[str, str]:
        inside = [registry.block(stage["block"]).spec.knobs() for stage in values["stages"]]
        untaken = (name for name, own in SHARED.items() if not any(own in known for known in inside))
        return super().idle(values) | dict.fromkeys(untaken, "No effect: no block of these stages takes one.")

    def check(self) -> None:
        if not 1 <= len(self.stages) <= 6:
            raise ValueError(f"stages={self.stages} has {len(self.stages)} entries; it takes 1 to 6")
        channels = self.stem_width
        for index, stage in enumerate(self.stages):
            try:
                for number in range(stage.depth):
                    fitted(self, stage, channels, number)
            except SpecError as error:
                raise ValueError(f"stages[{index}]={dict(stage)}: {error}") from None
            channels = stage.width


class AnyNet(nn.Module):
    """`stem`, `stages`, global pool, linear layer."""

    def __init__(self, spec: AnyNetSpec) -> None:
        super().__init__()
        self.stem = sequence(
            conv(spec.in_channels, spec.stem_width, spec.stem_kernel, spec.stem_stride, bias=spec.norm == "none"),
            norm(spec.norm, spec.stem_width),
            activation(spec.activation),
            [] if spec.stem_pool == "none" else [pool(spec.stem_pool, 3, 2, 1)],
        )
        self.stages = nn.Sequential()
        channels = spec.stem_width
        for stage in spec.stages:
            blocks = (built(partial(slot, spec, stage, channels, number)) for number in range(stage.depth))
            self.stages.append(nn.Sequential(*blocks))
            channels = stage.width
        self.avgpool = global_pool(spec.head_pool)
        self.dropout = nn.Dropout(spec.dropout)
        self.fc = nn.Linear(channels, spec.num_classes)
        initialise(self)
        start_attention(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.dropout(torch.flatten(self.avgpool(self.stages(self.stem(x))), 1)))


Entry = tuple[int, int, int]  # channels in and out, and stride, of a convolution before or after a block
Slot = tuple[Entry | None, registry.Block, Spec, Entry | None]


def fitted(spec: AnyNetSpec, stage: StageSpec, in_channels: int, number: int) -> Slot:
    """What stands in a slot of a stage, counted from 0. Raises SpecError that names a block that cannot stand there."""
    block = registry.block(stage.block)
    channels, stride = (stage.width, 1) if number else (in_channels, stage.stride)
    before, own, after = placed(block, channels, stage.width, stride)
    return before, block, shared(spec, own), after


@unchecked(False)  # whether a block fits is what its Spec's rules say, in a draft too
def placed(block: registry.Block, channels: int, width: int, stride: int) -> tuple[Entry | None, Spec, Entry | None]:
    """A block for a slot: as it fits; else after a convolution that brings the stride and, if need be, the width; else
    between two."""
    try:
        return None, block.fit(channels, width, stride), None
    except SpecError:
        pass
    # A block that only adds channels takes those that come, or where these are too many half of those that leave.
    for inside, own_stride in ((width, 1), (channels, 1), (width // 2, stride), (width // 2, 1)):
        try:
            return (channels, inside, stride // own_stride), block.fit(inside, width, own_stride), None
        except SpecError:
            pass
    own = by_default(block, width, stride)
    inside = getattr(own, "in_channels")  # noqa: B009  (every block has it)
    leaving, side, _ = block.output_shape(own)
    own_stride = round(registry.FIT_PX / max(1, side))
    if stride % own_stride:
        raise SpecError(f"block={block.name!r} makes maps {own_stride} times smaller, and the stride here is {stride}.")
    before = (channels, inside, stride // own_stride)
    return before, own, (leaving, width, 1)


def by_default(block: registry.Block, channels: int, stride: int) -> Spec:
    """The block's defaults, with the stride where theirs does not divide it, on these channels if it can read them."""
    asked = {"stride": stride} if stride % getattr(block.spec(), "stride", 1) else {}
    try:
        own = block.spec.parse({**asked, "in_channels": channels})
        block.output_shape(own)
    except SpecError:  # e.g. channels that its groups do not divide
        return block.spec.parse(asked)
    return own


def shared(spec: AnyNetSpec, own: Spec) -> Spec:
    """A block's Spec with the activation, norm and attention of all blocks, as far as the block has such a knob."""
    chosen = {own: getattr(spec, name) for name, own in SHARED.items()}
    wanted: dict[str, Any] = {name: value for name, value in chosen.items() if value != OWN}
    if "attention" in wanted:
        wanted["attention_reduction"] = spec.attention_reduction
    knobs = type(own).knobs()
    changes = {
        name: value
        for name, value in wanted.items()
        if name in knobs and isinstance(value, type(knobs[name].default)) and not knobs[name].problem(name, value)
    }
    if changes.get("norm") == "none" and "zero_init" in knobs:
        changes["zero_init"] = False  # of a norm's scale, which is then not there
    return own.replace(**changes)


def slot(spec: AnyNetSpec, stage: StageSpec, in_channels: int, number: int) -> nn.Module:
    """The block, with the convolutions that it needs around it."""
    before, block, own, after = fitted(spec, stage, in_channels, number)
    kind, module = spec.norm, block.builder(own)
    if before is None and after is None:
        return module
    return sequence(
        [] if before is None else transition(kind, *before), module, [] if after is None else transition(kind, *after)
    )


def transition(kind: str, in_channels: int, out_channels: int, stride: int) -> list[nn.Module]:
    """A convolution whose window is its stride, so that no pixel is left out, and a norm."""
    bias = kind == "none"
    return [conv(in_channels, out_channels, stride, stride, padding=0, bias=bias), norm(kind, out_channels)]


@unchecked()  # placing blocks runs them on meta, which every start of the program would pay; the tests do it
def _presets() -> dict[str, Preset]:
    resnet = AnyNetSpec(
        stages=stages(
            ("residual_basic", 2, 64, 1), ("residual_basic", 2, 128, 2), ("residual_basic", 2, 256, 2),
            ("residual_basic", 2, 512, 2),
        ),
        stem_kernel=7, stem_width=64, stem_pool="max",
    )  # fmt: skip
    mini = AnyNetSpec(
        num_classes=12, image_size=64, stem_width=16,
        stages=stages(
            ("conv_norm_act", 1, 16, 1), ("residual_basic", 1, 48, 2), ("convnext", 2, 72, 2), ("regnet_y", 2, 96, 2)
        ),
    )  # fmt: skip
    return {
        "anynet_x_400mf": Preset(AnyNetSpec(), note="RegNetX-400MF, its stages written out."),
        "anynet_resnet18": Preset(resnet, note="ResNet-18, its stages written out."),
        "anynet_mini": Preset(mini, compact=True, note="A different block in each stage."),
        **{f"anynet_mini_{name}": _slots_of(name) for name in BLOCKS},
    }


def _slots_of(block: str) -> Preset:
    """The skeleton in which blocks are set against each other: two slots for it, all else equal."""
    rows = (("conv_norm_act", 1, 32, 2), (block, 1, 56, 2), (block, 1, 80, 2))
    spec = AnyNetSpec(num_classes=12, image_size=64, stem_width=16, stages=stages(*rows))
    return Preset(spec, compact=True, note=f"Stages 2 and 3 are one {block.replace('_', ' ')} each.")


register(
    Architecture(
        name="anynet",
        title="AnyNet",
        year=2020,
        paper=PAPER,
        summary="One skeleton for any block: change the block of a stage and all else stays equal.",
        spec=AnyNetSpec,
        builder=AnyNet,
        presets=_presets(),
    )
)
