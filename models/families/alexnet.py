"""AlexNet (2012): the network that won ImageNet: large first windows, ReLU, overlapping pools, dropout."""

from __future__ import annotations

from models import knobs
from models.registry import Architecture, Paper, Preset, register
from models.skeletons.conv_stack import ConvStack, ConvStackSpec

PAPER = Paper(
    "A. Krizhevsky, I. Sutskever, G. E. Hinton",
    "ImageNet Classification with Deep Convolutional Neural Networks",
    "NeurIPS 2012",
    "https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-networks",
)


class AlexNetSpec(ConvStackSpec):
    """Defaults are torchvision's: the one-tower version of https://arxiv.org/abs/1404.5997 without normalisation.

    The paper's 224 px do not fit its 55×55 maps: 2 zeros at each border make them, as 227 px without would.
    """

    widths: tuple[int, ...] = knobs.like(
        ConvStackSpec, "widths", (64, 192, 384, 256, 256), paper=(96, 256, 384, 384, 256)
    )
    kernels: tuple[int, ...] = knobs.like(ConvStackSpec, "kernels", paper=(11, 5, 3, 3, 3))
    strides: tuple[int, ...] = knobs.like(ConvStackSpec, "strides", paper=(4, 1, 1, 1, 1))
    paddings: tuple[int, ...] = knobs.like(ConvStackSpec, "paddings")
    groups: tuple[int, ...] = knobs.like(ConvStackSpec, "groups", paper=(1, 2, 1, 2, 2))
    norm: str = knobs.like(ConvStackSpec, "norm", "none", paper="lrn")
    lrn_after_pool: bool = knobs.like(ConvStackSpec, "lrn_after_pool", paper=False)
    fc_widths: tuple[int, ...] = knobs.like(ConvStackSpec, "fc_widths", paper=(4096, 4096))


def _presets() -> dict[str, Preset]:
    paper = AlexNetSpec(widths=(96, 256, 384, 384, 256), groups=(1, 2, 1, 2, 2), norm="lrn")
    # At 64 px the first window's stride of 4 leaves 8×8 maps for layers 3 to 5 if one pool goes.
    mini = AlexNetSpec(
        num_classes=12,
        image_size=64,
        widths=(32, 64, 96, 80, 64),
        pools=("max", "none", "none", "none", "max"),
        norm="batch",
        norm_layers=5,
        head_size=3,
        fc_widths=(128, 128),
        dropout=0.2,
    )
    return {
        "alexnet": Preset(AlexNetSpec(), torchvision="alexnet", note="torchvision's: one tower, no normalisation."),
        "alexnet_2012": Preset(paper, note="The paper's two GPUs are the two groups of convolutions 2, 4 and 5."),
        "alexnet_mini": Preset(mini, compact=True),
    }


register(
    Architecture(
        name="alexnet",
        title="AlexNet",
        year=2012,
        paper=PAPER,
        summary="Five convolutions, the first with 11×11 windows of stride 4, and three wide linear layers.",
        spec=AlexNetSpec,
        builder=ConvStack,
        presets=_presets(),
    )
)
