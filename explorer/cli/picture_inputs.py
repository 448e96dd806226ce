"""A set of pictures as the inputs of a network, for the commands that run them all at once."""

from __future__ import annotations

import torch
from torch import Tensor

from explorer.atlas.picture_sets import PictureSet
from explorer.networks.catalog import LoadedNetwork
from explorer.training.dataset import CLASSES


def pictures_of(loaded: LoadedNetwork, found: PictureSet) -> tuple[Tensor, list[int] | None]:
    """All pictures, [N, C, H, W] on the network's device, with their classes where it knows those of the set.

    Raises ImageError.
    """
    images = torch.cat([loaded.input(found.pixels(number)) for number in range(len(found))])
    labels = [found.label(number) for number in range(len(found))]
    known = loaded.classes == CLASSES and all(label in CLASSES for label in labels)
    return images, [CLASSES.index(label) for label in labels] if known else None
