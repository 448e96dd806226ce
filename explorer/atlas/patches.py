"""The strongest nine of a channel to look at: what the unit sees of each picture, and what in that excites it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby, islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from explorer.analysis.deconvnet import project_each
from explorer.analysis.deconvnet_rules import BackwardSettings
from explorer.analysis.passes import Cancel, passes_of
from explorer.analysis.top_nine import NINE, TopNine
from explorer.atlas.picture_sets import PictureSet
from explorer.errors import Cancelled, ImageError, UserError
from explorer.graph.layers import LayerGraph
from explorer.graph.names import find_layer
from explorer.graph.shapes import image_dtype
from explorer.images.ahead import ahead
from explorer.networks.catalog import LoadedNetwork
from explorer.receptive_field.map_layout import arrangement
from explorer.receptive_field.report import receptive_fields
from explorer.types import Box, Cell

_VIEWS_KEPT = 256  # of the pictures of a sheet, many of which excite several channels


@dataclass(frozen=True, eq=False)
class Patch:
    """What a unit sees of one of its nine pictures.

    picture, name, label: its number and name in the set and its class, "" for none; value, position: the activation and
    the unit's row and column. box: what of the network's input the unit sees, clipped to it; pixels: uint8 [h, w, 3],
    the picture there, empty where it can no longer be opened. projection: float32 [h, w, C], what in it excites the
    unit, led back from the activation; None where that was not asked for.
    """

    picture: int
    name: str
    label: str
    value: float
    position: Cell
    box: Box
    pixels: np.ndarray
    projection: np.ndarray | None = None


def patches_and_projections(
    network: LoadedNetwork,
    pictures: PictureSet,
    top: TopNine,
    layer: str,
    channels: Sequence[int],
    *,
    count: int = NINE,
    projections: bool = True,
    settings: BackwardSettings | None = None,
    cancel: Cancel | None = None,
) -> Iterator[tuple[int, tuple[Patch, ...]]]:
    """Each of the channels of a layer with its first `count` patches, as soon as they are there.

    top: the layer's, of a scan of this network over these pictures. settings: how the signal goes back, by default as
    in the deconvnet. The units of a batch go forward and back together. Raises UserError, UnknownNameError, Cancelled.
    """
    name = find_layer(network.program.graph, layer).id
    places = [_Place(channel, rank) for channel in channels for rank in range(min(count, top.count(channel)))]
    found = _patches(network, pictures, top, name, places)
    if projections:
        found = _projected(network, name, found, settings, cancel)
    for channel, group in groupby(_stoppable(found, cancel), key=lambda seen: seen.channel):
        yield channel, tuple(seen.patch for seen in group)


class _Place(NamedTuple):
    channel: int
    rank: int


class _Seen(NamedTuple):
    """A patch, and the whole of what the network sees of its picture; None where that is broken."""

    channel: int
    patch: Patch
    view: np.ndarray | None


def _patches(
    network: LoadedNetwork, pictures: PictureSet, top: TopNine, layer: str, places: Sequence[_Place]
) -> Iterator[_Seen]:
    """The patches without projections, their pictures decoded ahead."""
    boxes = field_boxes(network.program.graph, layer)
    view = lru_cache(_VIEWS_KEPT)(lambda number: pictures.view(number, network.preprocessing))
    numbers = [int(top.pictures[place]) for place in places]
    for place, number, seen in zip(places, numbers, ahead(view, numbers, _VIEWS_KEPT // 4), strict=True):
        cell = int(top.rows[place]), int(top.columns[place])
        box = _box(boxes, cell, layer)
        whole = None if isinstance(seen, ImageError) else seen
        pixels = np.zeros((0, 0, 3), np.uint8) if whole is None else whole[box[0] : box[2], box[1] : box[3]]
        patch = Patch(
            number, pictures.name(number), pictures.label(number), float(top.values[place]), cell, box, pixels
        )
        yield _Seen(place.channel, patch, whole)


def _projected(
    network: LoadedNetwork,
    layer: str,
    found: Iterator[_Seen],
    settings: BackwardSettings | None,
    cancel: Cancel | None,
) -> Iterator[_Seen]:
    """The same with projections, as many at a time as the network runs best."""
    blank = torch.zeros(1, *network.program.graph.layers[0].output_shape[1:])
    size = network.program.batch or passes_of(network.program).batch_size(blank)
    while part := list(islice(found, size)):
        good = [seen for seen in part if seen.view is not None]
        signals = iter(_signals(network, layer, good, settings, cancel) if good else ())
        for seen in part:
            yield seen if seen.view is None else seen._replace(patch=_with_signal(seen.patch, next(signals)))


def _signals(
    network: LoadedNetwork,
    layer: str,
    seen: Sequence[_Seen],
    settings: BackwardSettings | None,
    cancel: Cancel | None,
) -> Tensor:
    """The signals of units at the pixels, [N, C, H, W], one of each picture, in its order of colours."""
    parameter = next(network.module.parameters(), None)
    views = torch.from_numpy(np.stack([each.view for each in seen if each.view is not None]))
    images = network.preprocessing.normalised(views.to("cpu" if parameter is None else parameter.device))
    images = images.to(image_dtype(network.module))
    channels, positions = [each.channel for each in seen], [each.patch.position for each in seen]
    signals = project_each(network.program, images, layer, channels, positions, settings, cancel=cancel)
    return network.preprocessing.in_rgb(signals).float().cpu()


def _with_signal(patch: Patch, signal: Tensor) -> Patch:
    top, left, bottom, right = patch.box
    return replace(patch, projection=(patch.value * signal[:, top:bottom, left:right]).permute(1, 2, 0).numpy())


def field_boxes(graph: LayerGraph, layer: str) -> np.ndarray:
    """What each unit of a layer sees of the input, clipped to it: top, left, bottom, right, [4, rows, columns].

    Gates and global pools aside, which see all; all of it also where the layer's positions are not known.
    """
    field, shape = receptive_fields(graph)[layer], torch.empty(graph[layer].output_shape, device="meta")
    rows, columns = arrangement(graph, layer).maps(shape).shape[2:]
    if field.is_map and field.certainty != "unknown":
        return field.local.every_box((rows, columns))
    height, width = graph.layers[0].output_shape[2:]
    return np.broadcast_to(np.array([0, 0, height, width])[:, None, None], (4, rows, columns))


def _box(boxes: np.ndarray, cell: Cell, layer: str) -> Box:
    if not (cell[0] < boxes.shape[1] and cell[1] < boxes.shape[2]):
        size = f"{boxes.shape[1]}×{boxes.shape[2]}"
        raise UserError(f"position={cell}: the maps of layer {layer!r} are {size}; the scan is of another network.")
    top, left, bottom, right = boxes[:, *cell].tolist()
    return top, left, bottom, right


def _stoppable(found: Iterator[_Seen], cancel: Cancel | None) -> Iterator[_Seen]:
    for each in found:
        if cancel is not None and cancel():
            raise Cancelled
        yield each
