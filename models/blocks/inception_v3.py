"""The five modules of Inception v3: wide windows as rows of narrow ones, and reductions that convolve and pool."""

from __future__ import annotations

from functools import partial

from models import knobs
from models.blocks.mixed import (
    Mixed,
    MixedSpec,
    PooledSpec,
    ReductionSpec,
    Step,
    channels,
    fit_pooled,
    fit_reduction,
    same_pool,
    strided,
    strided_pool,
    unit,
)
from models.registry import Block, Paper, register
from models.spec import knob

PAPER = Paper(
    "C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens, Z. Wojna",
    "Rethinking the Inception Architecture for Computer Vision",
    "CVPR 2016",
    "https://arxiv.org/abs/1512.00567",
)


class InceptionASpec(PooledSpec):
    """Figure 5 of the paper; torchvision, after TensorFlow, keeps a 5×5 in one branch."""

    outputs = ("conv1", "conv5", "conv3", "pool_conv")

    in_channels: int = knobs.in_channels(192)
    conv1: int = knobs.conv1(64)
    reduce5: int = knobs.reduce5(48)
    conv5: int = knobs.conv5(64)
    kernel5: int = knob(5, choices=(1, 3, 5, 7), unit="px", help="Side of that branch's window.", paper=5)
    reduce3: int = knobs.reduce_double(64)
    conv3: int = channels(96, "Double 3×3 branch: channels of both.")
    pool_conv: int = knobs.pool_conv(32)


class InceptionA(Mixed):
    """1×1 · 1×1, 5×5 · 1×1, 3×3, 3×3 · pool, 1×1: torchvision's names."""

    def __init__(self, spec: InceptionASpec) -> None:
        wide, mid = spec.in_channels, spec.conv3
        super().__init__(
            [("branch1x1", unit(spec, wide, spec.conv1))],
            [
                ("branch5x5_1", unit(spec, wide, spec.reduce5)),
                ("branch5x5_2", unit(spec, spec.reduce5, spec.conv5, spec.kernel5)),
            ],
            [
                ("branch3x3dbl_1", unit(spec, wide, spec.reduce3)),
                ("branch3x3dbl_2", unit(spec, spec.reduce3, mid, 3)),
                ("branch3x3dbl_3", unit(spec, mid, mid, 3)),
            ],
            [("pool", same_pool(spec)), ("branch_pool", unit(spec, wide, spec.pool_conv))],
        )


class InceptionBSpec(ReductionSpec):
    """Figure 10 of the paper: 35×35 to 17×17 without a bottleneck."""

    outputs = ("conv3", "conv_double")

    in_channels: int = knobs.in_channels(288)
    conv3: int = knobs.conv3(384)
    reduce_double: int = knobs.reduce_double(64)
    mid_double: int = knobs.mid_double(96)
    conv_double: int = knobs.conv_double(96)


class InceptionB(Mixed):
    """3×3 · 1×1, 3×3, 3×3 · pool, the last of each strided: torchvision's names."""

    def __init__(self, spec: InceptionBSpec) -> None:
        wide, mid = spec.in_channels, spec.mid_double
        super().__init__(
            [("branch3x3", strided(spec, wide, spec.conv3))],
            [
                ("branch3x3dbl_1", unit(spec, wide, spec.reduce_double)),
                ("branch3x3dbl_2", unit(spec, spec.reduce_double, mid, 3)),
                ("branch3x3dbl_3", strided(spec, mid, spec.conv_double)),
            ],
            [("pool", strided_pool(spec))],
        )


class InceptionCSpec(PooledSpec):
    """Figure 6 of the paper: n×n as 1×n and n×1, with n = 7 at 17×17."""

    outputs = ("conv1", "conv7", "conv7", "pool_conv")

    in_channels: int = knobs.in_channels(768)
    conv1: int = knobs.conv1(192)
    inner7: int = channels(128, "7×7 branches: channels of the 1×1, and of the long branch's first window.")
    mid7: int = channels(128, "7×7 branches: channels of the windows that follow, but the last.")
    conv7: int = channels(192, "7×7 branches: channels that leave each.")
    long: int = knobs.long_side(7)
    pool_conv: int = knobs.pool_conv(192)


class InceptionC(Mixed):
    """1×1 · 1×1, 1×7, 7×1 · 1×1, 7×1, 1×7, 7×1, 1×7 · pool, 1×1: torchvision's names."""

    def __init__(self, spec: InceptionCSpec) -> None:
        wide, first, mid, last = spec.in_channels, spec.inner7, spec.mid7, spec.conv7
        row, column = (1, spec.long), (spec.long, 1)
        super().__init__(
            [("branch1x1", unit(spec, wide, spec.conv1))],
            [
                ("branch7x7_1", unit(spec, wide, first)),
                ("branch7x7_2", unit(spec, first, mid, row)),
                ("branch7x7_3", unit(spec, mid, last, column)),
            ],
            [
                ("branch7x7dbl_1", unit(spec, wide, first)),
                ("branch7x7dbl_2", unit(spec, first, first, column)),
                ("branch7x7dbl_3", unit(spec, first, mid, row)),
                ("branch7x7dbl_4", unit(spec, mid, mid, column)),
                ("branch7x7dbl_5", unit(spec, mid, last, row)),
            ],
            [("pool", same_pool(spec)), ("branch_pool", unit(spec, wide, spec.pool_conv))],
        )


class InceptionDSpec(ReductionSpec):
    """From 17×17 to 8×8, as figure 10 with a 7×7 in the second branch (torchvision, after TensorFlow)."""

    outputs = ("conv3", "conv7")

    in_channels: int = knobs.in_channels(768)
    reduce3: int = knobs.reduce3(192)
    conv3: int = knobs.conv3(320)
    inner7: int = channels(192, "7×7 branch: channels of the 1×1 and the 1×7.")
    mid7: int = channels(192, "7×7 branch: channels of the 7×1.")
    conv7: int = channels(192, "7×7 branch: channels that leave it.")
    long: int = knobs.long_side(7)


class InceptionD(Mixed):
    """1×1, 3×3 · 1×1, 1×7, 7×1, 3×3 · pool, the last of each strided: torchvision's names."""

    def __init__(self, spec: InceptionDSpec) -> None:
        wide, first, mid = spec.in_channels, spec.inner7, spec.mid7
        super().__init__(
            [
                ("branch3x3_1", unit(spec, wide, spec.reduce3)),
                ("branch3x3_2", strided(spec, spec.reduce3, spec.conv3)),
            ],
            [
                ("branch7x7x3_1", unit(spec, wide, first)),
                ("branch7x7x3_2", unit(spec, first, first, (1, spec.long))),
                ("branch7x7x3_3", unit(spec, first, mid, (spec.long, 1))),
                ("branch7x7x3_4", strided(spec, mid, spec.conv7)),
            ],
            [("pool", strided_pool(spec))],
        )


class InceptionESpec(PooledSpec):
    """Figure 7 of the paper: at 8×8 the branches widen, 1×3 beside 3×1."""

    outputs = ("conv1", "split3", "split3", "split_double", "split_double", "pool_conv")

    in_channels: int = knobs.in_channels(1280)
    conv1: int = knobs.conv1(320)
    reduce3: int = channels(384, "3×3 branch: the 1×1 before the pair.")
    split3: int = channels(384, "3×3 branch: channels of 1×3 and of 3×1.")
    reduce_double: int = knobs.reduce_double(448)
    conv_double: int = channels(384, "Double 3×3 branch: the 3×3 before the pair.")
    factorised: bool = knob(False, help="That 3×3 as a 3×1 of mid_double channels and a 1×3, as in v4.", paper=False)
    mid_double: int = channels(448, "Double 3×3 branch: channels of that 3×1.")
    split_double: int = channels(384, "Double 3×3 branch: channels of 1×3 and of 3×1.")
    pool_conv: int = knobs.pool_conv(192)


class InceptionE(Mixed):
    """1×1 · 1×1, (1×3 | 3×1) · 1×1, 3×3, (1×3 | 3×1) · pool, 1×1: torchvision's names."""

    def __init__(self, spec: InceptionESpec) -> None:
        wide, mid, deep = spec.in_channels, spec.reduce3, spec.conv_double
        whole: list[Step] = [("branch3x3dbl_2", unit(spec, spec.reduce_double, deep, 3))]
        if spec.factorised:
            whole = [
                ("branch3x3dbl_2_column", unit(spec, spec.reduce_double, spec.mid_double, (3, 1))),
                ("branch3x3dbl_2_row", unit(spec, spec.mid_double, deep, (1, 3))),
            ]
        super().__init__(
            [("branch1x1", unit(spec, wide, spec.conv1))],
            [
                ("branch3x3_1", unit(spec, wide, mid)),
                (
                    ("branch3x3_2a", unit(spec, mid, spec.split3, (1, 3))),
                    ("branch3x3_2b", unit(spec, mid, spec.split3, (3, 1))),
                ),
            ],
            [
                ("branch3x3dbl_1", unit(spec, wide, spec.reduce_double)),
                *whole,
                (
                    ("branch3x3dbl_3a", unit(spec, deep, spec.split_double, (1, 3))),
                    ("branch3x3dbl_3b", unit(spec, deep, spec.split_double, (3, 1))),
                ),
            ],
            [("pool", same_pool(spec)), ("branch_pool", unit(spec, wide, spec.pool_conv))],
        )


MODULES: tuple[tuple[str, type[MixedSpec], type[Mixed], tuple[int, int, int], str], ...] = (
    (
        "A", InceptionASpec, InceptionA, (192, 35, 35),
        "Like the first Inception module, with two 3×3 in a row where the window is widest.",
    ),
    (
        "B", InceptionBSpec, InceptionB, (288, 35, 35),
        "Strided convolutions beside a pool halve the map: no bottleneck, no convolution at full size wasted.",
    ),
    (
        "C", InceptionCSpec, InceptionC, (768, 17, 17),
        "A 7×7 window as a row of 1×7 and 7×1: two sevenths of its weights.",
    ),
    (
        "D", InceptionDSpec, InceptionD, (768, 17, 17),
        "The later reduction: a 3×3, a factorised 7×7 with 3×3, and a pool halve the map.",
    ),
    (
        "E", InceptionESpec, InceptionE, (1280, 8, 8),
        "The last maps are small, so the branches spread into 1×3 beside 3×1: many features at each place.",
    ),
)  # fmt: skip

for letter, spec_type, builder, size, summary in MODULES:
    reduces = issubclass(spec_type, ReductionSpec)
    register(
        Block(
            name=f"inception_{letter.lower()}",
            title=f"Inception {'reduction' if reduces else 'module'} {letter} (v3)",
            paper=PAPER,
            summary=summary,
            spec=spec_type,
            builder=builder,
            input_size=size,
            adapter=partial(fit_reduction if reduces else fit_pooled, spec_type),
        )
    )
