"""LeNet-5 (1998): two convolutions with average pools and three linear layers, for handwritten digits."""

from __future__ import annotations

from models import knobs
from models.registry import Architecture, Paper, Preset, register
from models.skeletons.conv_stack import ConvStack, ConvStackSpec
from models.spec import NetSpec

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

    num_classes: int = knobs.like(NetSpec, "num_classes", 10)
    in_channels: int = knobs.like(NetSpec, "in_channels", 1)
    image_size: int = knobs.image_size(32, step=4)
    widths: tuple[int, ...] = knobs.like(ConvStackSpec, "widths", (6, 16), low=2, step=2)
    kernels: tuple[int, ...] = knobs.like(ConvStackSpec, "kernels", (5, 5))
    strides: tuple[int, ...] = knobs.like(ConvStackSpec, "strides", (1, 1))
    paddings: tuple[int, ...] = knobs.like(ConvStackSpec, "paddings", (0, 0))
    groups: tuple[int, ...] = knobs.like(ConvStackSpec, "groups", (1, 1), choices=(1, 2), paper=None)
    activation: str = knobs.like(ConvStackSpec, "activation", "tanh")
    norm: str = knobs.like(ConvStackSpec, "norm", "none")
    norm_layers: int = knobs.like(ConvStackSpec, "norm_layers", paper=None)
    pools: tuple[str, ...] = knobs.like(ConvStackSpec, "pools", ("average", "average"))
    pool_kernel: int = knobs.like(ConvStackSpec, "pool_kernel", 2)
    head_size: int = knobs.like(ConvStackSpec, "head_size", 5)
    fc_widths: tuple[int, ...] = knobs.like(ConvStackSpec, "fc_widths", (120, 84))
    dropout: float = knobs.like(ConvStackSpec, "dropout", 0.0)


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
