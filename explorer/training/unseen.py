"""The items of the picture set that no network was trained on, as networks read them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from explorer.errors import UserError
from explorer.training.batches import EVALUATION_ITEMS, EVALUATION_SEED, normalise
from explorer.training.dataset import CLASSES, Item, draw_item, label_of


@dataclass(frozen=True, eq=False)
class Unseen:
    """Items 0 … N-1 of the unseen set: normalised images [N, 3, H, W], labels [N], masks bool [N, H, W]."""

    images: Tensor
    labels: Tensor
    masks: np.ndarray


def unseen_item(number: int, size_px: int) -> Item:
    """One item of the set that no network was trained on, drawn anew."""
    return draw_item(EVALUATION_SEED, number, size_px)


def unseen_class(number: int) -> str:
    """The name of its class, without drawing it."""
    return CLASSES[label_of(EVALUATION_SEED, number)]


def unseen_items(items: int, size_px: int) -> Unseen:
    """The first items of the set that no network was trained on. Raises UserError."""
    if not 1 <= items <= EVALUATION_ITEMS:
        raise UserError(f"items={items} is not from 1 to {EVALUATION_ITEMS:,}, the unseen items of the set.")
    drawn = [unseen_item(number, size_px) for number in range(items)]
    images = torch.from_numpy(np.stack([item.image for item in drawn])).permute(0, 3, 1, 2)
    labels = torch.tensor([item.label for item in drawn])
    return Unseen(normalise(images.float().div(255)), labels, np.stack([item.mask for item in drawn]))
