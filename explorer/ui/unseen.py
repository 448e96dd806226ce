"""The items of the embedded picture set that no network was trained on, as the network at hand reads them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch

from explorer.atlas.picture_sets import DRAWN_PX
from explorer.images.preprocess import Preprocessing
from explorer.training.batches import EVALUATION_ITEMS
from explorer.training.dataset import CLASSES, Item
from explorer.training.unseen import unseen_item
from explorer.ui.session import Session

LARGE_KEPT = 256  # pictures: of 520 px, as segmenters read, 0.8 MB each


def pictures(count: int, size_px: int, progress: Callable[[int, int], object]) -> tuple[np.ndarray, np.ndarray]:
    """The first of them, uint8 [N, H, W, 3], and their labels [N]; drawn once for all sessions.

    progress: told how many are drawn, and of how many; may raise Cancelled.
    """
    images, labels = np.empty((count, size_px, size_px, 3), np.uint8), np.empty(count, np.int64)
    for number in range(count):
        progress(number, count)
        images[number], labels[number] = _drawn(number, size_px)
    return images, labels


def _drawn(number: int, size_px: int) -> tuple[np.ndarray, int]:
    if size_px > DRAWN_PX:
        return _large(number, size_px)
    found = item(number, size_px)
    return found.image, found.label


@lru_cache(maxsize=LARGE_KEPT)
def _large(number: int, size_px: int) -> tuple[np.ndarray, int]:
    found = unseen_item(number, size_px)
    return found.image, found.label


@lru_cache(maxsize=EVALUATION_ITEMS)  # of 30 KB each
def item(number: int, size_px: int = DRAWN_PX) -> Item:
    """One of them with its masks, at most as large as the compact networks read it; drawn once for all sessions."""
    return unseen_item(number, size_px)


def tensors(preprocessing: Preprocessing, images: np.ndarray) -> torch.Tensor:
    """Pictures uint8 [N, H, W, 3] as a network reads them, [N, C, H, W]."""
    return torch.cat([preprocessing.tensor(image) for image in images])


def inputs(session: Session, images: np.ndarray) -> torch.Tensor:
    """The same for the network at hand, on its device."""
    return tensors(session.preprocessing, images).to(session.device, session.network.dtype)


def knows_classes(session: Session) -> bool:
    """Whether the network names the classes of the set, so that it can be told whether it is right."""
    return session.categories == CLASSES
