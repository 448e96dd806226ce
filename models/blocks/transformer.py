"""The transformer's encoder block: every position attends to every other, then an MLP works at each."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from models import knobs
from models.layers import Add, activation
from models.registry import Block, Paper, register
from models.spec import Spec, knob

PAPER = Paper(
    "A. Dosovitskiy, L. Beyer, A. Kolesnikov, D. Weissenborn, X. Zhai, T. Unterthiner, M. Dehghani, M. Minderer, "
    "G. Heigold, S. Gelly, J. Uszkoreit, N. Houlsby",
    "An Image Is Worth 16×16 Words: Transformers for Image Recognition at Scale",
    "ICLR 2021",
    "https://arxiv.org/abs/2010.11929",
)
NORM_EPS = 1e-6


class TransformerSpec(Spec):
    """Eq. 2 and 3 of the paper; the norms come before attention and MLP. The defaults are ViT-S's."""

    in_channels: int = knobs.kept_channels(384)
    heads: int = knob(
        6, low=1, high=32, step=1, help="Attentions side by side in a block, each over its share of the channels."
    )
    mlp_width: int = knob(1536, low=1, high=16_384, step=8, help="Hidden channels of a block's MLP.")
    activation: str = knobs.activation("gelu", help="Non-linearity of a block's MLP.")
    dropout: float = knobs.dropout(0.0, paper=None)
    attention_dropout: float = knob(
        0.0, low=0.0, high=0.9, step=0.05, help="Share of attention weights dropped in training."
    )

    def check(self) -> None:
        if self.in_channels % self.heads:
            self.refuse("in_channels", "heads", why="each head needs the same number of channels")


class QueriesKeysValues(nn.Module):
    """One projection that makes all three: tokens [N, T, C] → [3, N, heads, T, C / heads]."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        projected = functional.linear(x, weight, bias)
        return projected.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)


class Similarity(nn.Module):
    """Products of each query with each key over √(C / heads): → [N, heads, T, T]."""

    def forward(self, qkv: Tensor) -> Tensor:
        queries, keys = qkv[0], qkv[1]
        return (queries * queries.shape[-1] ** -0.5) @ keys.transpose(-2, -1)


class WeightedValues(nn.Module):
    """For each query the weighted sum of the values, heads side by side: → [N, T, C]."""

    def forward(self, weights: Tensor, qkv: Tensor) -> Tensor:
        return (weights @ qkv[2]).transpose(1, 2).flatten(2)


class SelfAttention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017, section 3.2), under the names of nn.MultiheadAttention.

    The attention weights are the output of `softmax`, where they can be looked at.
    """

    def __init__(self, spec: TransformerSpec) -> None:
        super().__init__()
        channels = spec.in_channels
        self.in_proj_weight = nn.Parameter(torch.empty(3 * channels, channels))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * channels))
        nn.init.xavier_uniform_(self.in_proj_weight)
        self.project = QueriesKeysValues(spec.heads)
        self.similarity = Similarity()
        self.softmax = nn.Softmax(dim=-1)
        self.dropout = nn.Dropout(spec.attention_dropout)
        self.gather = WeightedValues()
        self.out_proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.project(x, self.in_proj_weight, self.in_proj_bias)
        weights = self.dropout(self.softmax(self.similarity(qkv)))
        return self.out_proj(self.gather(weights, qkv))


class EncoderBlock(nn.Module):
    """y = x + attention(norm x), then y + MLP(norm y), over tokens [N, T, C]; torchvision's names."""

    def __init__(self, spec: TransformerSpec) -> None:
        super().__init__()
        channels = spec.in_channels
        self.ln_1 = nn.LayerNorm(channels, NORM_EPS)
        self.self_attention = SelfAttention(spec)
        self.dropout = nn.Dropout(spec.dropout)
        self.add_1 = Add()
        self.ln_2 = nn.LayerNorm(channels, NORM_EPS)
        self.mlp = nn.Sequential(
            nn.Linear(channels, spec.mlp_width), activation(spec.activation), nn.Dropout(spec.dropout),
            nn.Linear(spec.mlp_width, channels), nn.Dropout(spec.dropout),
        )  # fmt: skip
        self.add_2 = Add()

    def forward(self, x: Tensor) -> Tensor:
        x = self.add_1(x, self.dropout(self.self_attention(self.ln_1(x))))
        return self.add_2(x, self.mlp(self.ln_2(x)))


class ToTokens(nn.Module):
    """A map [N, C, H, W] as tokens [N, H·W, C]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).transpose(1, 2)


class ToMap(nn.Module):
    """Tokens [N, H·W, C] as a map of the size of `like`."""

    def forward(self, tokens: Tensor, like: Tensor) -> Tensor:
        return tokens.transpose(1, 2).unflatten(2, like.shape[2:])


class TransformerOnMap(nn.Module):
    """An encoder block whose tokens are the positions of a map."""

    def __init__(self, spec: TransformerSpec) -> None:
        super().__init__()
        self.to_tokens = ToTokens()
        self.block = EncoderBlock(spec)
        self.to_map = ToMap()

    def forward(self, x: Tensor) -> Tensor:
        return self.to_map(self.block(self.to_tokens(x)), x)


def fit(in_channels: int, width: int, stride: int) -> TransformerSpec:
    """The block in a slot of a network: heads of about 64 channels, an MLP of 4 times the width."""
    heads = next(heads for heads in range(max(1, in_channels // 64), 0, -1) if in_channels % heads == 0)
    values: dict[str, Any] = {"in_channels": in_channels, "heads": min(32, heads), "mlp_width": 4 * in_channels}
    return TransformerSpec.parse(values)


register(
    Block(
        name="transformer",
        title="Transformer encoder block",
        paper=PAPER,
        summary="Each position gathers from all others what resembles its query: the whole map, from one layer.",
        spec=TransformerSpec,
        builder=TransformerOnMap,
        input_size=(384, 14, 14),
        adapter=fit,
    )
)
