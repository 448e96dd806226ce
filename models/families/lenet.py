"""LeNet-5 (1998): two convolutions with average pools and three linear layers, for handwritten digits."""

from __future__ import annotations

from models.registry import Architecture, Paper, Preset, register
from models.skeletons.conv_stack import (
    ConvStack,
    ConvStackSpec,
    fc_widths,
    groups,
    kernels,
    paddings,
    pools,
    strides,
    widths,
)
from models.spec import ACTIVATIONS, NORMS, knob

PAPER = Paper(
    "Y. LeCun, L. Bottou, Y. Bengio, P. Haffner",
    "Gradient-Based Learning Applied to Document Recognition",
    "Proceedings of the IEEE 86(11), 1998",
    "https://doi.org/10.1109/5.726791",
)


class LeNetSpec(ConvStackSpec):
    """Section II.B: 32 px unpadded, as 28 px with `paddings` (2, 0).

    As it is built today: every map of layer 2 sees all of layer 1 (table I leaves links out), the pools have no
    weights, and a linear layer stands in place of the radial basis functions.
    """

    num_classes: int = knob(10, low=1, high=21_841, step=1, help="Number of classes of the head.", paper=10)
    in_channels: int = knob(1, low=1, high=16, step=1, help="Channels of the input: 1 for gray.", paper=1)
    image_size: int = knob(32, low=8, high=1024, step=4, unit="px", help="Height and width of the input.", paper=32)
    widths: tuple[int, ...] = widths((6, 16), step=2, paper=(6, 16))
    kernels: tuple[int, ...] = kernels((5, 5), paper=(5, 5))
    strides: tuple[int, ...] = strides((1, 1), paper=(1, 1))
    paddings: tuple[int, ...] = paddings((0, 0), paper=(0, 0))
    groups: tuple[int, ...] = groups((1, 1), choices=(1, 2))
    activation: str = knob(
        "tanh", choices=ACTIVATIONS, help="Non-linearity after each layer but the last.", paper="tanh"
    )
    norm: str = knob("none", choices=(*NORMS, "lrn"), help="Normalisation of the convolutions' maps.", paper="none")
    norm_layers: int = knob(2, low=0, high=6, step=1, help="How many of the first convolutions are normalised.")
    pools: tuple[str, ...] = pools(("average", "average"), paper=("average", "average"))
    pool_kernel: int = knob(2, low=1, high=5, step=1, unit="px", help="Side of the pools' window.", paper=2)
    head_size: int = knob(
        5, low=1, high=14, step=1, unit="px", help="Side of the map that the first linear layer reads.", paper=5
    )
    fc_widths: tuple[int, ...] = fc_widths((120, 84), paper=(120, 84))
    dropout: float = knob(
        0.0, low=0.0, high=0.9, step=0.05, help="Share of hidden units dropped in training.", paper=0.0
    )


_MINI = LeNetSpec(num_classes=12, in_channels=3, image_size=64, head_size=13)

register(
    Architecture(
        name="lenet",
        title="LeNet-5",
        year=1998,
        paper=PAPER,
        summary="Convolution and pooling twice, then linear layers: the plan of every later network.",
        spec=LeNetSpec,
        builder=ConvStack,
        presets={"lenet5": Preset(LeNetSpec()), "lenet_mini": Preset(_MINI, compact=True, note="In colour, at 64 px.")},
    )
)
