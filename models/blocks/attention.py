"""Attention that any network can take in: channels or positions are weighed by what the whole map shows."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from models import knobs
from models.layers import Add, LayerNorm2d, Scale, activation, conv, global_pool, norm, pool
from models.meta import is_unfilled
from models.registry import Block, Paper, register
from models.spec import Spec, knob

SE_PAPER = Paper(
    "J. Hu, L. Shen, S. Albanie, G. Sun, E. Wu",
    "Squeeze-and-Excitation Networks",
    "CVPR 2018",
    "https://arxiv.org/abs/1709.01507",
)
NON_LOCAL_PAPER = Paper(
    "X. Wang, R. Girshick, A. Gupta, K. He",
    "Non-local Neural Networks",
    "CVPR 2018",
    "https://arxiv.org/abs/1711.07971",
)
GLOBAL_CONTEXT_PAPER = Paper(
    "Y. Cao, J. Xu, S. Lin, F. Wei, H. Hu",
    "GCNet: Non-local Networks Meet Squeeze-Excitation Networks and Beyond",
    "ICCV Workshops 2019",
    "https://arxiv.org/abs/1904.11492",
)
MAX_CHANNELS = 32_768


class AttentionSpec(Spec):
    """What every attention block has: its output has the shape of its input."""

    in_channels: int = knobs.kept_channels(256, high=MAX_CHANNELS)
    reduction: int = knob(16, low=1, high=64, step=1, help="Channels of the input over those inside.", paper=16)

    @property
    def inner(self) -> int:
        """Channels inside the block."""
        return max(1, self.in_channels // self.reduction)


class SqueezeExcitationSpec(AttentionSpec):
    """Squeeze (global pool), excite (two 1×1 convolutions and a gate), scale (paper, figure 1, eq. 2–4)."""

    squeeze: int = knob(0, low=0, high=MAX_CHANNELS, step=8, help="Channels inside; 0 takes in_channels/reduction.")
    pool: str = knob("average", choices=("average", "max"), help="How each map is squeezed.", paper="average")
    activation: str = knobs.activation("relu", help="Non-linearity between the two.")
    gate: str = knobs.gate("sigmoid")

    @property
    def inner(self) -> int:
        """Channels between the two convolutions."""
        return self.squeeze or super().inner


class SqueezeExcitation(nn.Module):
    """x · gate(fc2(act(fc1(mean x)))), under torchvision's names."""

    def __init__(self, spec: SqueezeExcitationSpec) -> None:
        super().__init__()
        self.avgpool = global_pool(spec.pool)
        self.fc1 = conv(spec.in_channels, spec.inner, 1)
        self.activation = activation(spec.activation)
        self.fc2 = conv(spec.inner, spec.in_channels, 1)
        self.scale_activation = activation(spec.gate)
        self.scale = Scale()

    def forward(self, x: Tensor) -> Tensor:
        gate = self.fc2(self.activation(self.fc1(self.avgpool(x))))
        return self.scale(x, self.scale_activation(gate))


class NonLocalSpec(AttentionSpec):
    """Every position gathers from all others, as their features resemble its own (paper, figure 2, eq. 1–6)."""

    reduction: int = knobs.like(AttentionSpec, "reduction", 2)
    pairwise: str = knob(
        "embedded_gaussian", choices=("gaussian", "embedded_gaussian", "dot_product"), paper="embedded_gaussian",
        help="How two positions are compared: softmax of x·x, softmax of θ(x)·φ(x), or θ(x)·φ(x) over their number.",
    )  # fmt: skip
    scaled: bool = knob(False, help="Divide the comparison by √in_channels, so that a softmax stays soft.", paper=False)
    sub_sample: bool = knob(
        False, help="2×2 max pool before φ and g (section 3.3): a quarter of the comparisons.", paper=True
    )
    norm: str = knobs.norm("batch", help="Normalisation after the last convolution.")
    zero_init: bool = knob(True, help="Start as the identity: the last norm's scale is 0.", paper=True)

    def check(self) -> None:
        if self.zero_init and self.norm == "none":
            self.refuse("zero_init", "norm", why="there is no norm whose scale could start at 0")


class Affinity(nn.Module):
    """Products of the features of all pairs of positions: [N, D, H, W] and [N, D, h, w] → [N, HW, hw]."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        products = query.flatten(2).transpose(1, 2) @ key.flatten(2)
        return products if self.factor == 1 else products * self.factor


class DivideByCount(nn.Module):
    """Weights of the dot product: each comparison over the number of positions (paper, eq. 4)."""

    def forward(self, x: Tensor) -> Tensor:
        return x / x.shape[-1]


class Gather(nn.Module):
    """For each query the weighted sum of values: [N, HW, hw] and [N, D, h, w] → [N, D, H, W], sized as `like`."""

    def forward(self, weights: Tensor, values: Tensor, like: Tensor) -> Tensor:
        gathered = values.flatten(2) @ weights.transpose(1, 2)
        return gathered.unflatten(2, like.shape[2:])


class NonLocal(nn.Module):
    """x + norm(out(Σ weights · g(x))), weights by comparing θ(x) with φ(x)."""

    def __init__(self, spec: NonLocalSpec) -> None:
        super().__init__()
        embedded = spec.pairwise != "gaussian"
        channels, inner = spec.in_channels, spec.inner
        self.theta = conv(channels, inner, 1) if embedded else None
        self.phi = conv(channels, inner, 1) if embedded else None
        self.g = conv(channels, inner, 1)
        # ceil_mode, so that no position is left out and a map of one pixel stays one.
        self.sub_phi = pool("max", 2, 2, ceil_mode=True) if spec.sub_sample else None
        self.sub_g = pool("max", 2, 2, ceil_mode=True) if spec.sub_sample else None
        self.affinity = Affinity(channels**-0.5 if spec.scaled else 1.0)
        self.weights = DivideByCount() if spec.pairwise == "dot_product" else nn.Softmax(dim=-1)
        self.gather = Gather()
        self.out = conv(inner, channels, 1)
        self.bn = norm(spec.norm, channels)
        self.add = Add()
        self.zero_init = spec.zero_init
        self.start()

    def start(self) -> None:
        """Zeros the last scale where the spec wants it, for a block that starts as the identity."""
        if self.zero_init and isinstance(self.bn.weight, Tensor):
            nn.init.zeros_(self.bn.weight)

    def forward(self, x: Tensor) -> Tensor:
        query = x if self.theta is None else self.theta(x)
        key = x if self.phi is None else self.phi(x)
        values = self.g(x)
        if self.sub_phi is not None and self.sub_g is not None:
            key, values = self.sub_phi(key), self.sub_g(values)
        weights = self.weights(self.affinity(query, key))
        return self.add(x, self.bn(self.out(self.gather(weights, values, x))))


class GlobalContextSpec(AttentionSpec):
    """One attention map for all positions, a bottleneck, an add (paper, figure 4d, eq. 5)."""

    activation: str = knobs.activation("relu", help="Non-linearity inside the bottleneck.")
    norm: bool = knob(True, help="LayerNorm inside the bottleneck, which eases its training.", paper=True)
    zero_init: bool = knob(True, help="Start as the identity: the last convolution starts at 0.", paper=True)


class PositionSoftmax(nn.Module):
    """Weights of a map's positions that sum to 1: [N, 1, H, W] → [N, 1, H, W]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).softmax(-1).unflatten(2, x.shape[2:])


class WeightedMean(nn.Module):
    """The mean over positions under weights: [N, C, H, W] and [N, 1, H, W] → [N, C, 1, 1]."""

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        return (x.flatten(2) @ weights.flatten(2).transpose(1, 2)).unsqueeze(3)


class GlobalContext(nn.Module):
    """x + fc2(act(norm(fc1(context)))), context the mean of x under the attention map."""

    def __init__(self, spec: GlobalContextSpec) -> None:
        super().__init__()
        self.attention = conv(spec.in_channels, 1, 1)
        self.weights = PositionSoftmax()
        self.context = WeightedMean()
        self.fc1 = conv(spec.in_channels, spec.inner, 1)
        self.norm = LayerNorm2d(spec.inner, eps=1e-6) if spec.norm else nn.Identity()
        self.activation = activation(spec.activation)
        self.fc2 = conv(spec.inner, spec.in_channels, 1)
        self.add = Add()
        self.zero_init = spec.zero_init
        self.start()

    def start(self) -> None:
        """Zeros the last convolution where the spec wants it, for a block that starts as the identity."""
        if self.zero_init and isinstance(self.fc2, nn.Conv2d) and self.fc2.bias is not None:
            nn.init.zeros_(self.fc2.weight)
            nn.init.zeros_(self.fc2.bias)

    def forward(self, x: Tensor) -> Tensor:
        context = self.context(x, self.weights(self.attention(x)))
        return self.add(x, self.fc2(self.activation(self.norm(self.fc1(context)))))


_KINDS: dict[str, tuple[type[AttentionSpec], Any]] = {
    "se": (SqueezeExcitationSpec, SqueezeExcitation),
    "non_local": (NonLocalSpec, NonLocal),
    "global_context": (GlobalContextSpec, GlobalContext),
}


def attention(kind: str, channels: int, reduction: int = 0, **options: Any) -> nn.Module:
    """The attention that the knobs name, over `channels`; "none" is the identity, `reduction=0` its paper's.

    `options` are further knobs of its Spec (squeeze, activation, gate, pairwise …); those of other kinds are ignored.
    """
    if kind == "none":
        return nn.Identity()
    spec_type, module = _KINDS[kind]
    if reduction:
        options["reduction"] = reduction
    own = {name: value for name, value in options.items() if name in spec_type.model_fields}
    return module(spec_type(in_channels=channels, **own))


def start_attention(network: nn.Module) -> None:
    """Repeat the zero starts of attention blocks, for a network whose initialisation has drawn over them."""
    if is_unfilled():
        return
    for module in network.modules():
        if isinstance(module, NonLocal | GlobalContext):
            module.start()


register(
    Block(
        name="squeeze_excitation",
        title="Squeeze-excitation",
        paper=SE_PAPER,
        summary="The mean of each channel decides how much of every channel passes: few weights, hardly any work.",
        spec=SqueezeExcitationSpec,
        builder=SqueezeExcitation,
        input_size=(256, 56, 56),
    )
)
register(
    Block(
        name="non_local",
        title="Non-local block",
        paper=NON_LOCAL_PAPER,
        summary="Each position adds what it finds at all other positions: one layer sees the whole image.",
        spec=NonLocalSpec,
        builder=NonLocal,
        input_size=(256, 56, 56),
    )
)
register(
    Block(
        name="global_context",
        title="Global context block",
        paper=GLOBAL_CONTEXT_PAPER,
        summary="One attention map serves all positions: a non-local block's gain at a fraction of its cost.",
        spec=GlobalContextSpec,
        builder=GlobalContext,
        input_size=(256, 56, 56),
    )
)
