"""ViT (2020): the picture as a sentence of patches, read by a transformer; the contrast to convolutions."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from models import knobs
from models.blocks.convnext import initialise
from models.blocks.transformer import NORM_EPS, PAPER, EncoderBlock, ToTokens, TransformerSpec
from models.layers import Add, conv
from models.registry import Architecture, Preset, register
from models.spec import NetSpec, knob


class ViTSpec(NetSpec):
    """Table 1 of the paper; Ti and S are those of Touvron et al. 2021 (arXiv 2012.12877). The defaults are B/16."""

    patch: int = knob(16, low=4, high=64, step=1, unit="px", help="Side of the patches.", paper=16)
    width: int = knob(768, low=8, high=2048, step=8, help="Channels of a token.", paper=768)
    depth: int = knob(12, low=1, high=48, step=1, help="Encoder blocks.", paper=12)
    heads: int = knobs.like(TransformerSpec, "heads", 12)
    mlp_width: int = knobs.like(TransformerSpec, "mlp_width", 3072, low=8)
    activation: str = knobs.like(TransformerSpec, "activation")
    head: str = knob(
        "token", choices=("token", "average"), paper="token",
        help="What the linear layer reads: a token that belongs to no patch, or the mean of the patches'.",
    )  # fmt: skip
    pre_logits: int = knob(
        0, low=0, high=4096, step=8, help="Hidden channels of the head, after a tanh; 0 is none.", paper=768
    )
    dropout: float = knobs.dropout(0.0, paper=0.1)
    attention_dropout: float = knobs.like(TransformerSpec, "attention_dropout", paper=0.0)

    @property
    def tokens(self) -> int:
        """Patches, and the class token where there is one."""
        return (self.image_size // self.patch) ** 2 + (self.head == "token")

    def check(self) -> None:
        if self.image_size < self.patch:
            self.refuse("image_size", "patch", why="not one patch fits into the picture")
        if self.width % self.heads:
            self.refuse("width", "heads", why="each head needs the same number of channels")


class PrependToken(nn.Module):
    """Puts one learned token before those of each picture."""

    def forward(self, x: Tensor, token: Tensor) -> Tensor:
        return torch.cat([token.expand(x.shape[0], -1, -1), x], dim=1)


class FirstToken(nn.Module):
    """The first token: [N, T, C] → [N, C]."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0]


class MeanToken(nn.Module):
    """The mean of all tokens: [N, T, C] → [N, C]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(1)


class Encoder(nn.Module):
    """Adds what tells positions apart, then the blocks and a norm: torchvision's names."""

    def __init__(self, spec: ViTSpec) -> None:
        super().__init__()
        block = TransformerSpec(
            in_channels=spec.width, heads=spec.heads, mlp_width=spec.mlp_width, activation=spec.activation,
            dropout=spec.dropout, attention_dropout=spec.attention_dropout,
        )  # fmt: skip
        self.pos_embedding = nn.Parameter(torch.empty(1, spec.tokens, spec.width))
        nn.init.normal_(self.pos_embedding, std=0.02)
        self.add = Add()
        self.dropout = nn.Dropout(spec.dropout)
        self.layers = nn.Sequential(
            OrderedDict((f"encoder_layer_{index}", EncoderBlock(block)) for index in range(spec.depth))
        )
        self.ln = nn.LayerNorm(spec.width, NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        return self.ln(self.layers(self.dropout(self.add(x, self.pos_embedding))))


class ViT(nn.Module):
    """`conv_proj` (patches), `class_token`, `encoder`, `heads`: torchvision's names."""

    def __init__(self, spec: ViTSpec) -> None:
        super().__init__()
        self.conv_proj = conv(spec.in_channels, spec.width, spec.patch, spec.patch, padding=0)
        self.to_tokens = ToTokens()
        self.class_token = nn.Parameter(torch.zeros(1, 1, spec.width)) if spec.head == "token" else None
        self.prepend = PrependToken()
        self.encoder = Encoder(spec)
        self.pool = FirstToken() if spec.head == "token" else MeanToken()
        hidden = spec.pre_logits
        before: dict[str, nn.Module] = {"pre_logits": nn.Linear(spec.width, hidden), "act": nn.Tanh()} if hidden else {}
        self.heads = nn.Sequential(OrderedDict(**before, head=nn.Linear(hidden or spec.width, spec.num_classes)))
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.to_tokens(self.conv_proj(x))
        if self.class_token is not None:
            tokens = self.prepend(tokens, self.class_token)
        return self.heads(self.pool(self.encoder(tokens)))


def _presets() -> dict[str, Preset]:
    mini = ViTSpec(num_classes=12, image_size=64, patch=8, width=96, depth=3, heads=3, mlp_width=192, head="average")
    return {
        "vit_ti_16": Preset(ViTSpec(width=192, heads=3, mlp_width=768)),
        "vit_s_16": Preset(ViTSpec(width=384, heads=6, mlp_width=1536)),
        "vit_b_16": Preset(ViTSpec(), torchvision="vit_b_16"),
        "vit_mini": Preset(mini, compact=True),
    }


register(
    Architecture(
        name="vit",
        title="Vision Transformer",
        year=2020,
        paper=PAPER,
        summary="Patches and self-attention: every layer sees the whole picture, and locality has to be learned.",
        spec=ViTSpec,
        builder=ViT,
        presets=_presets(),
    )
)
