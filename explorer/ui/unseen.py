"""The items of the embedded picture set that no network was trained on, as the network at hand reads them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import streamlit as st
import torch

from explorer.errors import Cancelled
from explorer.images.preprocess import Preprocessing
from explorer.training.batches import EVALUATION_SEED
from explorer.training.dataset import CLASSES, draw_item
from explorer.ui.session import Session

_CHUNK = 5  # pictures, after which a cancel is heard: a second's work where they are as large as segmenters read


def pictures(count: int, size_px: int, cancel: Callable[[], bool] = lambda: False) -> tuple[np.ndarray, np.ndarray]:
    """The first of them, uint8 [N, H, W, 3], and their labels [N]; drawn once for all sessions. Raises Cancelled."""
    chunks = list[tuple[np.ndarray, np.ndarray]]()
    for start in range(0, count, _CHUNK):
        if cancel():
            raise Cancelled
        chunks.append(_chunk(start, size_px))
    images, labels = (np.concatenate(each) for each in zip(*chunks, strict=True))
    return images[:count], labels[:count]


@st.cache_data(max_entries=640, show_spinner=False)
def _chunk(start: int, size_px: int) -> tuple[np.ndarray, np.ndarray]:
    items = [draw_item(EVALUATION_SEED, index, size_px) for index in range(start, start + _CHUNK)]
    return np.stack([item.image for item in items]), np.array([item.label for item in items])


def tensors(preprocessing: Preprocessing, images: np.ndarray) -> torch.Tensor:
    """Pictures uint8 [N, H, W, 3] as a network reads them, [N, C, H, W]."""
    return torch.cat([preprocessing.tensor(image) for image in images])


def inputs(session: Session, images: np.ndarray) -> torch.Tensor:
    """The same for the network at hand, on its device."""
    return tensors(session.preprocessing, images).to(session.device, session.network.dtype)


def knows_classes(session: Session) -> bool:
    """Whether the network names the classes of the set, so that it can be told whether it is right."""
    return session.categories == CLASSES
