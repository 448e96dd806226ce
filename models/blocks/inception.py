"""The Inception v1 module: four branches see the same map through windows of different sizes; all are kept."""

from __future__ import annotations

from torch import Tensor, nn

from models import knobs
from models.layers import Concat, ConvNormAct, pool
from models.registry import Block, Paper, register
from models.spec import Spec, knob

PAPER = Paper(
    "C. Szegedy, W. Liu, Y. Jia, P. Sermanet, S. Reed, D. Anguelov, D. Erhan, V. Vanhoucke, A. Rabinovich",
    "Going Deeper with Convolutions",
    "CVPR 2015",
    "https://arxiv.org/abs/1409.4842",
)
OUTPUTS = ("conv1", "conv3", "conv5", "pool_conv")  # what the concatenation joins
BATCH_NORM_EPS = 1e-3  # torchvision's GoogLeNet, after TensorFlow's


class InceptionWidths(Spec):
    """Channels of one module's branches, in the order of the paper's table 1; the defaults are module 3a."""

    conv1: int = knobs.conv1(64, high=1024, paper=None)
    reduce3: int = knobs.reduce3(96, high=1024, paper=None)
    conv3: int = knobs.conv3(128, high=1024, paper=None)
    reduce5: int = knobs.reduce5(16, high=1024, step=4, paper=None)
    conv5: int = knobs.conv5(32, high=1024, paper=None)
    pool_conv: int = knobs.pool_conv(32, high=1024, paper=None)

    @property
    def out_channels(self) -> int:
        """Channels of the concatenation."""
        return self.conv1 + self.conv3 + self.conv5 + self.pool_conv


class InceptionSpec(InceptionWidths):
    """One module on its own (paper, figure 2b): the widths of its branches and what they share."""

    in_channels: int = knobs.in_channels(192, high=4096)
    kernel5: int = knob(5, choices=(1, 3, 5, 7), help="Side of the window of the 5×5 branch.", paper=5)
    branch_pool: str = knobs.branch_pool("max")
    activation: str = knobs.activation("relu")
    norm: str = knobs.norm("none")


class Inception(nn.Module):
    """`branch1` … `branch4` side by side (paper, figure 2b), under torchvision's names."""

    def __init__(self, spec: InceptionSpec) -> None:
        super().__init__()
        channels = spec.in_channels
        self.branch1 = conv_unit(spec, channels, spec.conv1, 1)
        self.branch2 = nn.Sequential(
            conv_unit(spec, channels, spec.reduce3, 1), conv_unit(spec, spec.reduce3, spec.conv3, 3)
        )
        self.branch3 = nn.Sequential(
            conv_unit(spec, channels, spec.reduce5, 1), conv_unit(spec, spec.reduce5, spec.conv5, spec.kernel5)
        )
        self.branch4 = nn.Sequential(pool(spec.branch_pool, 3, 1, 1), conv_unit(spec, channels, spec.pool_conv, 1))
        self.concat = Concat()

    def forward(self, x: Tensor) -> Tensor:
        return self.concat(self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x))


def conv_unit(spec: InceptionSpec, in_channels: int, out_channels: int, kernel: int) -> ConvNormAct:
    """A convolution that keeps the size, with the module's norm and activation."""
    return ConvNormAct(in_channels, out_channels, kernel, norm_kind=spec.norm, act=spec.activation, eps=BATCH_NORM_EPS)


def fit(in_channels: int, width: int, stride: int) -> InceptionSpec:
    """The module in a slot of a network: its branches in the proportions of module 3a. It has no stride."""
    return InceptionSpec.parse({"in_channels": in_channels, **shares(InceptionWidths(), width, OUTPUTS)})


def shares(widths: Spec, total: int, outputs: tuple[str, ...]) -> dict[str, int]:
    """The channels of a module's branches scaled so that those of `outputs`, which are concatenated, sum to `total`.

    Channels are the knobs in steps of channels; what rounding leaves over goes to the first of the outputs.
    """
    found = type(widths).knobs()
    channels = {name: getattr(widths, name) for name, knob in found.items() if knob.step in knobs.CHANNEL_STEPS}
    factor = total / sum(channels[name] for name in outputs)
    scaled = {name: max(1, round(value * factor)) for name, value in channels.items()}
    scaled[outputs[0]] += total - sum(scaled[name] for name in outputs)
    return scaled


register(
    Block(
        name="inception",
        title="Inception module (v1)",
        paper=PAPER,
        summary="1×1, 3×3, 5×5 and a pool in parallel, concatenated; 1×1 convolutions keep the wide windows cheap.",
        spec=InceptionSpec,
        builder=Inception,
        adapter=fit,
        input_size=(192, 28, 28),
    )
)
