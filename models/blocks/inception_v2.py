"""The Inception v2 module (BN-Inception): the 5×5 of the first version becomes two 3×3, and all is batch-normalised."""

from __future__ import annotations

from models import knobs
from models.blocks.inception import shares
from models.blocks.mixed import Mixed, Step, unit
from models.layers import pool
from models.registry import Block, Paper, register
from models.spec import Spec, knob

PAPER = Paper(
    "S. Ioffe, C. Szegedy",
    "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift",
    "ICML 2015",
    "https://arxiv.org/abs/1502.03167",
)
OUTPUTS = ("conv1", "conv3", "conv_double", "pool_conv")  # what the concatenation joins


class InceptionV2Widths(Spec):
    """One row of the paper's figure 5; the defaults are module 3a."""

    conv1: int = knob(64, low=0, high=1024, step=8, help="1×1 branch: its channels; 0 leaves it out.")
    reduce3: int = knobs.reduce3(64, high=1024, paper=None)
    conv3: int = knobs.conv3(64, high=1024, paper=None)
    reduce_double: int = knobs.reduce_double(64, high=1024, paper=None)
    conv_double: int = knob(96, low=1, high=1024, step=8, help="Double 3×3 branch: channels of both.")
    pool_conv: int = knob(32, low=0, high=1024, step=8, help="Pool branch: the 1×1 after it; 0 passes the input.")
    branch_pool: str = knobs.branch_pool("average", paper=None)
    stride: int = knob(1, low=1, high=4, step=1, help="The map shrinks by this factor, in the last layer of a branch.")


class InceptionV2Spec(InceptionV2Widths):
    """One module on its own (paper, figure 5)."""

    in_channels: int = knobs.in_channels(192, high=4096)
    activation: str = knobs.activation("relu")
    norm: str = knobs.norm("batch")

    @property
    def out_channels(self) -> int:
        """Channels that leave the module."""
        return self.conv1 + self.conv3 + self.conv_double + (self.pool_conv or self.in_channels)


class InceptionV2(Mixed):
    """1×1 · 1×1, 3×3 · 1×1, 3×3, 3×3 · pool, 1×1."""

    def __init__(self, spec: InceptionV2Spec) -> None:
        wide, stride = spec.in_channels, spec.stride
        branches: list[list[Step]] = [
            [
                ("branch3x3_1", unit(spec, wide, spec.reduce3)),
                ("branch3x3_2", unit(spec, spec.reduce3, spec.conv3, 3, stride)),
            ],
            [
                ("branch3x3dbl_1", unit(spec, wide, spec.reduce_double)),
                ("branch3x3dbl_2", unit(spec, spec.reduce_double, spec.conv_double, 3)),
                ("branch3x3dbl_3", unit(spec, spec.conv_double, spec.conv_double, 3, stride)),
            ],
            [("pool", pool(spec.branch_pool, 3, stride, 1))],
        ]
        if spec.pool_conv:
            branches[-1].append(("branch_pool", unit(spec, wide, spec.pool_conv)))
        if spec.conv1:
            branches.insert(0, [("branch1x1", unit(spec, wide, spec.conv1, 1, stride))])
        super().__init__(*branches)


def fit(in_channels: int, width: int, stride: int) -> InceptionV2Spec:
    """The module in a slot of a network: its branches in the proportions of module 3a."""
    own = shares(InceptionV2Widths(), width, OUTPUTS)
    return InceptionV2Spec.parse({**own, "in_channels": in_channels, "stride": stride})


register(
    Block(
        name="inception_v2",
        title="Inception module (v2)",
        paper=PAPER,
        summary="As the first Inception module, with two 3×3 for its 5×5: the same view for 28 % fewer weights.",
        spec=InceptionV2Spec,
        builder=InceptionV2,
        input_size=(192, 28, 28),
        adapter=fit,
    )
)
