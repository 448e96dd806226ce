"""What switching off parts of a network does to its answer to one picture, and to its accuracy on many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from explorer.analysis.ablation import Ablation, run_ablated
from explorer.analysis.occluder import one_image
from explorer.analysis.outputs import Ends, Output, read
from explorer.analysis.passes import Cancel
from explorer.graph.trace import TracedProgram
from explorer.receptive_field.map_layout import arrangement
from explorer.run.execute import Execution, first_tensor

JUDGED_AT_ONCE = 50  # the maps of so many small pictures stay in a CPU's cache


@dataclass(frozen=True)
class Answers:
    """What the network says of each class, [classes], with all its parts and without some; `output` as of a Prediction.

    maps: of the layer that was asked for, [C, H, W], with all parts and without. Where parts are missing the values may
    be no numbers.
    """

    whole: Tensor
    ablated: Tensor
    output: Output
    maps: tuple[Tensor, Tensor] | None = None

    def leading(self, k: int) -> list[int]:
        """The k classes that either puts highest, those of the whole network first."""
        both = torch.cat(
            [values.nan_to_num().topk(min(k, len(values))).indices for values in (self.whole, self.ablated)]
        )
        return list(dict.fromkeys(map(int, both)))


def answers(
    program: TracedProgram,
    image: Tensor,
    ablations: Sequence[Ablation],
    *,
    layer: str | None = None,
    cancel: Cancel | None = None,
) -> Answers:
    """Both answers to one image [C, H, W] or [1, C, H, W]; layer: also its maps, by its id.

    Raises UserError where the network names no classes, a part is not there, or the layer has no maps; Cancelled.
    """
    picture, names = one_image(image), [] if layer is None else [layer]
    with Ends() as ends:
        before = run_ablated(program, picture, (), capture=names, cancel=cancel)
        reading = read(before.output, 1, ends)
    after = run_ablated(program, picture, ablations, capture=names, cancel=cancel)
    maps = None if layer is None else (_maps(program, layer, before), _maps(program, layer, after))
    return Answers(reading.values(before.output, 1)[0], reading.values(after.output, 1)[0], reading.output, maps)


def _maps(program: TracedProgram, layer: str, found: Execution) -> Tensor:
    return arrangement(program.graph, layer).maps(first_tensor(found.captured[layer]))[0].float().cpu()


def hits(
    program: TracedProgram,
    images: Tensor,
    labels: Tensor,
    ablations: Sequence[Ablation] = (),
    *,
    progress: Callable[[int], None] | None = None,
    cancel: Cancel | None = None,
) -> int:
    """Of how many images, float [N, C, H, W] as the network takes them, the right class gets the highest value.

    labels: [N]. progress hears how many were run. Raises Cancelled, UserError.
    """
    found = 0
    for start in range(0, len(images), JUDGED_AT_ONCE):
        batch = images[start : start + JUDGED_AT_ONCE]
        returned = run_ablated(program, batch, ablations, cancel=cancel).output
        values = read(returned, len(batch)).values(returned, len(batch))
        found += int((values.argmax(1) == labels[start : start + JUDGED_AT_ONCE].cpu()).sum())
        if progress:
            progress(start + len(batch))
    return found
