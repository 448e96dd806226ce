"""Pairs of networks to begin a comparison with, where nothing is pinned yet."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

import models
from explorer.ui import pins, state


@dataclass(frozen=True)
class ReadyPair:
    """Two presets of which the second changed the first: in what, and why it is worth a look."""

    reference: str
    changed: str
    question: str


PAIRS = (
    ReadyPair("alexnet", "zfnet", "A smaller first window and stride: what did that cost, and how far do units see?"),
    ReadyPair("resnet50", "resnext50_32x4d", "Twice as wide, in 32 groups: why are there no more weights?"),
    ReadyPair("vgg16", "resnet50", "Three times as deep: where did the weights and the products go?"),
    ReadyPair("mobilenet_v2", "efficientnet_b0", "The same blocks with gates, at other depths: which stages grew?"),
)


def offer() -> None:
    """Draw each pair with a button that opens it."""
    for pair, column in zip(PAIRS, st.columns(len(PAIRS), gap="small"), strict=True):
        with column, st.container(border=True, height="stretch", gap="xsmall"):
            st.markdown(f"**{_title(pair.reference)}** and **{_title(pair.changed)}**")
            st.markdown(f":small[{pair.question}]")
            st.button("Compare", icon=":material/compare:", key=f"pair {pair.reference} {pair.changed}",
                      type="tertiary", on_click=_open, args=(pair,))  # fmt: skip


def _title(preset: str) -> str:
    return models.architecture_of(preset).title


def _open(pair: ReadyPair) -> None:
    pins.add_preset(pair.reference)
    state.open_network(pair.changed, {})
