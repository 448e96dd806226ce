"""The dense blocks of DenseNet: each layer reads all maps before it and adds a few new ones beside them."""

from __future__ import annotations

from torch import Tensor, nn

from models import knobs
from models.layers import Concat, activation, conv, norm, pool
from models.registry import Block, Paper, register
from models.spec import Spec, knob

PAPER = Paper(
    "G. Huang, Z. Liu, L. van der Maaten, K. Q. Weinberger",
    "Densely Connected Convolutional Networks",
    "CVPR 2017",
    "https://arxiv.org/abs/1608.06993",
)


class DenseLayerSpec(Spec):
    """The paper's H (section 3): norm, activation, 1×1 to `bottleneck_factor` · growth; norm, activation, k×k."""

    in_channels: int = knob(64, low=1, high=65_536, step=1, help="Channels of the input: all maps so far.")
    growth: int = knob(32, low=1, high=64, step=4, help="New maps per layer, the paper's k.", paper=32)
    bottleneck: bool = knob(True, help="A 1×1 convolution before each k×k one, DenseNet-B.", paper=True)
    bottleneck_factor: int = knob(4, low=1, high=8, step=1, help="Its channels over the growth.", paper=4)
    kernel: int = knobs.kernel(3)
    activation: str = knobs.activation("relu", help="Non-linearity before each convolution.")
    norm: str = knobs.norm("batch", help="Normalisation before each activation.")
    drop_rate: float = knob(
        0.0, low=0.0, high=0.9, step=0.05, help="Share of each layer's new values dropped in training.", paper=0.0
    )

    @property
    def out_channels(self) -> int:
        """Channels after the concatenation."""
        return self.in_channels + self.growth


class DenseBlockSpec(DenseLayerSpec):
    """`depth` dense layers: C + depth · growth channels leave it (paper, figure 1)."""

    in_channels: int = knobs.in_channels(64, high=32_768)
    depth: int = knob(6, low=1, high=64, step=1, help="Layers of the block.", paper=6)

    @property
    def out_channels(self) -> int:
        """Channels after the last concatenation."""
        return self.in_channels + self.depth * self.growth


class TransitionSpec(Spec):
    """Norm, activation, 1×1 convolution and a pool between two dense blocks (paper, section 3)."""

    in_channels: int = knobs.in_channels(256, high=65_536)
    compression: float = knob(
        0.5, low=0.05, high=1.0, step=0.05, help="Share of channels that a transition keeps, θ.", paper=0.5
    )
    pool: str = knobs.pool("average", help="How a transition shrinks the map.")
    stride: int = knobs.pool_window(2)
    activation: str = knobs.activation("relu", help="Non-linearity before the convolution.")
    norm: str = knobs.norm("batch", help="Normalisation before the activation.")

    @property
    def out_channels(self) -> int:
        """Channels that the 1×1 convolution keeps."""
        return max(1, int(self.in_channels * self.compression + 1e-9))


class DenseLayer(nn.Module):
    """x beside its new maps, under torchvision's names."""

    def __init__(self, spec: DenseLayerSpec) -> None:
        super().__init__()
        channels, bias = spec.in_channels, spec.norm == "none"
        self.norm1 = norm(spec.norm, channels)
        self.act1 = activation(spec.activation)
        self.bottleneck = spec.bottleneck
        if spec.bottleneck:
            inner = spec.bottleneck_factor * spec.growth
            self.conv1 = conv(channels, inner, 1, bias=bias)
            self.norm2 = norm(spec.norm, inner)
            self.act2 = activation(spec.activation)
            self.conv2 = conv(inner, spec.growth, spec.kernel, bias=bias)
        else:
            self.conv1 = conv(channels, spec.growth, spec.kernel, bias=bias)
        self.dropout = nn.Dropout(spec.drop_rate) if spec.drop_rate else None
        self.concat = Concat()

    def forward(self, x: Tensor) -> Tensor:
        new = self.conv1(self.act1(self.norm1(x)))
        if self.bottleneck:
            new = self.conv2(self.act2(self.norm2(new)))
        if self.dropout is not None:
            new = self.dropout(new)
        return self.concat(x, new)


def dense_block(spec: DenseBlockSpec) -> nn.Sequential:
    """`denselayer1` … in a row, each on the concatenation that the one before it leaves."""
    block = nn.Sequential()
    shared = {name: getattr(spec, name) for name in DenseLayerSpec.model_fields}
    for index in range(spec.depth):
        inputs = spec.in_channels + index * spec.growth
        block.add_module(f"denselayer{index + 1}", DenseLayer(DenseLayerSpec(**{**shared, "in_channels": inputs})))
    return block


class Transition(nn.Module):
    """`norm`, activation, `conv`, pool: fewer channels on a smaller map; under torchvision's names."""

    def __init__(self, spec: TransitionSpec) -> None:
        super().__init__()
        self.norm = norm(spec.norm, spec.in_channels)
        self.act = activation(spec.activation)
        self.conv = conv(spec.in_channels, spec.out_channels, 1, bias=spec.norm == "none")
        self.pool = None if spec.stride == 1 else pool(spec.pool, spec.stride, spec.stride)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(self.act(self.norm(x)))
        return x if self.pool is None else self.pool(x)


def _fit_layer(in_channels: int, width: int, stride: int) -> Spec:
    return DenseLayerSpec.parse({"in_channels": in_channels, "growth": width - in_channels})


def _fit_block(in_channels: int, width: int, stride: int) -> Spec:
    """As many layers as the block has by default, or as divide the new channels among them."""
    new, most = width - in_channels, DenseBlockSpec().depth
    depth = next(count for count in range(most, 0, -1) if new % count == 0)
    return DenseBlockSpec.parse({"in_channels": in_channels, "growth": new // depth, "depth": depth})


def _fit_transition(in_channels: int, width: int, stride: int) -> Spec:
    """It keeps the share of the channels that is asked for, or, to do anything at all, the paper's."""
    asked = {} if stride == 1 and width == in_channels else {"compression": width / in_channels}
    return TransitionSpec.parse({"in_channels": in_channels, "stride": stride, **asked})


register(
    Block(
        name="dense_layer",
        title="Dense layer",
        paper=PAPER,
        summary="Makes a few new maps from all maps so far and puts them beside these: nothing is ever overwritten.",
        spec=DenseLayerSpec,
        builder=DenseLayer,
        adapter=_fit_layer,
    )
)
register(
    Block(
        name="dense_block",
        title="Dense block",
        paper=PAPER,
        summary="Dense layers in a row: each sees what all earlier ones found, and the channels grow linearly.",
        spec=DenseBlockSpec,
        builder=dense_block,
        adapter=_fit_block,
    )
)
register(
    Block(
        name="transition",
        title="Dense transition",
        paper=PAPER,
        summary="Between dense blocks: a 1×1 convolution drops a share of the channels, a pool halves the map.",
        spec=TransitionSpec,
        builder=Transition,
        input_size=(256, 56, 56),
        adapter=_fit_transition,
    )
)
