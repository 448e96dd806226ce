"""Every knob that several networks or blocks have, with its range and help text, once; and those that come together.

A Spec says `dropout: float = knobs.dropout(0.5)`. What one kind of block or network has alone stays with its Spec, and
those that share that Spec's knob say `knobs.like(DenseLayerSpec, "growth")`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from models.spec import NetSpec, Spec, knob

ACTIVATION_NAMES = ("relu", "relu6", "leaky_relu", "elu", "silu", "gelu", "hardswish", "tanh", "sigmoid", "none")
NORM_NAMES = ("none", "batch", "group", "layer", "instance", "channel_layer")
POOL_NAMES = ("max", "average")
ATTENTION_NAMES = ("none", "se", "non_local", "global_context")
SIDES = (1, 3, 5, 7)
CHANNEL_STEPS = (4, 8)  # by which knobs that count channels go up; in a block no other knob does
WIDE_SIDES = (1, 3, 5, 7, 9, 11)


def like(cls: type[Spec], name: str, *default: Any, **changes: Any) -> Any:
    """The knob of another Spec once more; with a default of its own, that is the paper's value unless `paper` says."""
    options = dict(vars(cls.knobs()[name]))
    if default:
        options |= {"default": default[0], "paper": default[0]}
    return knob(**{**options, **changes})


def _shared(help: str, **options: Any) -> Callable[..., Any]:
    """What declares this knob: its default is the paper's value unless `paper` says another, or None.

    Further options of `knob` go before those that are shared.
    """

    def declare(default: Any, **own: Any) -> Any:
        return knob(default, **{"help": help, "paper": default, **options, **own})

    return declare


# Channels
in_channels = _shared("Channels of the input.", low=1, high=8192, step=1, paper=None)
kept_channels = _shared("Channels of the input and of the output.", low=1, high=4096, step=1, paper=None)
width = _shared("Channels of the output.", low=1, high=8192, step=8, paper=None)
stage_width = _shared("Channels that leave each block.", low=8, high=1024, step=8, paper=None)
widths = _shared("Channels of each stage.", low=8, high=2048, step=8, length=(1, 6))
width_multiplier = _shared("Thins or widens every layer, in steps of 8 channels.", low=0.25, high=2.0, step=0.05)
width_factor = _shared("All widths of the modules and the stem times this.", low=0.125, high=2.0, step=0.125)
expansion = _shared("Channels inside over the input's.", low=0.25, high=10.0, step=0.25)

# Stages and windows
depth = _shared("Blocks in a row.", low=1, high=16, step=1, paper=None)
depths = _shared("Blocks per stage.", low=1, high=36, step=1, length=(1, 6))
kernel = _shared("Side of the windows wider than one pixel.", choices=SIDES)
depthwise_kernel = _shared("Side of the depthwise window.", choices=SIDES)
long_side = _shared("Long side of the windows that are one pixel thin.", choices=(1, 3, 5, 7, 9), unit="px")
stride = _shared("The map shrinks by this factor.", low=1, high=4, step=1, paper=None)
depthwise_stride = _shared("Stride of the depthwise convolution.", low=1, high=4, step=1, paper=None)
first_stride = _shared("Stride of the first block.", low=1, high=4, step=1, paper=None)
strides = _shared("Stride of each stage's first block.", low=1, high=4, step=1, length=(1, 6))
open_padding = _shared("Zeros around the windows that have none.", choices=(0, 1), unit="px")

# What follows a convolution
activation = _shared("Non-linearity of the convolutions.", choices=ACTIVATION_NAMES)
norm = _shared("Normalisation of the convolutions.", choices=NORM_NAMES)
norm_eps = _shared("Added to the variance in every normalisation.", choices=(1e-5, 1e-3))
gate = _shared("Brings the gates of squeeze-excitation to 0…1.", choices=("sigmoid", "hardsigmoid"))
branch_attention = _shared("What ends each block's branch.", choices=ATTENTION_NAMES)
attention_activation = _shared(
    "Non-linearity inside se and global_context attention.", choices=ACTIVATION_NAMES,
    needs={"attention": ("se", "global_context")},
)  # fmt: skip
skip = _shared("Add a block's input where stride and channels allow it.")

# Pools
pool = _shared("The pools that shrink maps.", choices=POOL_NAMES)
branch_pool = _shared("The pool branch's pool.", choices=POOL_NAMES)
module_pool = _shared("The pools of the other modules.", choices=POOL_NAMES)
pool_kernel = _shared("Side of the pools' window.", low=1, high=5, step=1, unit="px")
pool_stride = _shared("Step of the pools; less than the side overlaps.", low=1, high=3, step=1, unit="px")
pool_window = _shared("Side and stride of the pool; 1 leaves it out.", low=1, high=4, step=1)
pool_ceil = _shared("Whether a pool's last window may reach over the border.", choices=(False, True))

# Branches of Inception modules
conv1 = _shared("1×1 branch: its channels.", low=1, high=4096, step=8)
conv3 = _shared("3×3 branch: its channels.", low=1, high=4096, step=8)
conv5 = _shared("5×5 branch: its channels.", low=1, high=4096, step=8)
reduce3 = _shared("3×3 branch: the 1×1 before it.", low=1, high=4096, step=8)
reduce5 = _shared("5×5 branch: the 1×1 before it.", low=1, high=4096, step=8)
reduce_double = _shared("Double 3×3 branch: the 1×1 before them.", low=1, high=4096, step=8)
mid_double = _shared("Double 3×3 branch: channels of the first.", low=1, high=4096, step=8)
conv_double = _shared("Double 3×3 branch: channels of the second.", low=1, high=4096, step=8)
pool_conv = _shared("Pool branch: the 1×1 after it.", low=1, high=4096, step=8)

# Stem
stem_kernel = _shared("Side of the first convolution's window.", choices=WIDE_SIDES)
stem_stride = _shared("Stride of the first convolution.", low=1, high=4, step=1)
stem_width = _shared("Channels of the first convolution.", low=8, high=512, step=8)
stem_widths = _shared(
    "Channels of the stem's three convolutions: k×k, 1×1, 3×3.", low=1, high=1024, step=8, length=(3, 3)
)
stem_pool = _shared("3×3 pool of stride 2 after the first convolution.", choices=(*POOL_NAMES, "none"))
stem_pools = _shared("Which of the stem's two pools are there.", choices=(False, True), length=(2, 2), paper=None)

# Head
head = _shared(
    "Linear layers on the flattened map, or global pooling (gap) and one linear layer.", choices=("fc", "gap")
)
head_width = _shared("Channels of the last convolution.", low=8, high=4096, step=8)
head_pool = _shared("Global pooling before the linear layer.", choices=POOL_NAMES)
head_size = _shared(
    "Side of the map that the first linear layer reads.", low=1, high=14, step=1, unit="px", needs={"head": ("fc",)}
)
fc_widths = _shared(
    "Widths of the hidden linear layers.", low=2, high=8192, step=2, length=(0, 3), needs={"head": ("fc",)}
)

# What training leaves out
dropout = _shared("Share of features dropped in training.", low=0.0, high=0.9, step=0.05)
hidden_dropout = _shared(
    "Share of hidden units dropped in training.", low=0.0, high=0.9, step=0.05, needs={"head": ("fc",)}
)
block_drop_path = _shared(
    "Chance that training skips the branch of a picture (stochastic depth).", low=0.0, high=0.9, step=0.05
)
drop_path = _shared(
    "Chance in training that the last block is left out; it grows from 0 at the first.", low=0.0, high=0.9, step=0.05
)
drop_path_by_share = _shared(
    "Chance in training that a block is left out: this times the share of all blocks that lie before it.",
    low=0.0,
    high=0.9,
    step=0.05,
)


def image_size(default: int, **changes: Any) -> Any:
    """The input's side in a network whose paper takes another than 224 px."""
    return like(NetSpec, "image_size", default, **changes)


class AttentionKnobs(Spec):
    """The knobs of networks and blocks that take attention in; list it before NetSpec among the bases."""

    attention: str = knob(
        "none", choices=ATTENTION_NAMES,
        help="Weighs channels (se), or adds to each position what it (non_local) or all (global_context) attend to.",
    )  # fmt: skip
    attention_reduction: int = knob(
        0,
        low=0,
        high=64,
        step=1,
        help="Attention: channels outside over those inside; 0 takes its paper's.",
        needs={"attention": ATTENTION_NAMES[1:]},
    )
