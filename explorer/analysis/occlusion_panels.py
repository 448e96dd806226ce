"""The five panels of Zeiler and Fergus (2014), figure 7: what hiding each place does to one map and to the answer.

(a) the picture with the square; (b) the sum of the strongest map of a layer by position of the square; (c) what excites
that map, projected to pixels, in this picture and in others; (d) the probability of the class; (e) the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from explorer.analysis.attribution_settings import layer_of_maps
from explorer.analysis.deconvnet import Projection, project
from explorer.analysis.layer_features import features_of
from explorer.analysis.occlusion import OcclusionMap, OcclusionSettings, occlusion_steps
from explorer.errors import UserError
from explorer.graph.trace import TracedProgram
from explorer.receptive_field.map_layout import arrangement

BESIDE_THE_PICTURE = 3  # pictures beside the one at hand, as in the paper


@dataclass(frozen=True, eq=False)
class ElsewhereProjection:
    """What excites a map in another picture: its number among those looked through, and the projection."""

    picture: int
    projection: Projection


@dataclass(frozen=True, eq=False)
class OcclusionPanels:
    """The figure of one picture, as far as it is there.

    occlusion: (b) `activation` of the map `channel`, (d) `probability`, (e) `top_class`. layer: whose map that is.
    projection, others: (c); None and empty while they are not known.
    """

    occlusion: OcclusionMap
    layer: str
    projection: Projection | None = None
    others: tuple[ElsewhereProjection, ...] = ()

    @property
    def channel(self) -> int:
        """The map with the greatest sum in the picture without a square."""
        assert self.occlusion.channel is not None, "a layer's maps are summed"
        return self.occlusion.channel


def occlusion_panels(
    program: TracedProgram,
    image: Tensor,
    target: int | None = None,
    settings: OcclusionSettings | None = None,
    pictures: Tensor | None = None,
    *,
    cancel: Callable[[], bool] | None = None,
) -> Iterator[OcclusionPanels]:
    """The panels of an image [C, H, W] or [1, C, H, W] as they fill in: projections first, then the maps.

    target: a class, the most probable by default. settings: of the square; without a layer, the last maps before the
    last pools. pictures: others [N, C, H, W] in which what excites the map is looked for. Raises UserError, Cancelled.
    """
    asked = settings or OcclusionSettings()
    layer = layer_of_maps(program, asked.layer)
    steps = occlusion_steps(program, image, target, replace(asked, layer=layer), cancel=cancel)
    found = OcclusionPanels(next(steps), layer)
    yield found
    found = replace(found, projection=project(program, image, layer, found.channel, cancel=cancel))
    yield found
    if pictures is not None:
        others = strongest_elsewhere(program, pictures, layer, found.channel, cancel=cancel)
        found = replace(found, others=tuple(others))
        yield found
    for occlusion in steps:
        yield replace(found, occlusion=occlusion)


def strongest_elsewhere(
    program: TracedProgram,
    pictures: Tensor,
    layer: str,
    channel: int,
    count: int = BESIDE_THE_PICTURE,
    *,
    cancel: Callable[[], bool] | None = None,
) -> list[ElsewhereProjection]:
    """A channel projected in those of many pictures [N, C, H, W] that excite it most, the strongest first.

    Raises UserError (no such channel), Cancelled.
    """
    channels = arrangement(program.graph, layer).channels(program.graph[layer].output_shape)
    if not 0 <= channel < channels:
        raise UserError(f"channel={channel}: layer {layer!r} has channels 0 to {channels - 1}.")
    batches = features_of(program, pictures, [layer], cancel=cancel)
    found = [maps[layer][:, channel].flatten(1).amax(1) for _, maps in batches]
    best = torch.cat(found).nan_to_num(nan=-torch.inf).topk(min(count, len(pictures))).indices
    return [
        ElsewhereProjection(number, project(program, pictures[number], layer, channel, cancel=cancel))
        for number in map(int, best)
    ]
