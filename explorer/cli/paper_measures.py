"""The commands for figures of Zeiler and Fergus (2014): evolution, invariance, equivariance, filters, probes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from explorer.analysis.equivariance import equivariance
from explorer.analysis.evolution import Evolution, GrownUnit, evolution, grown_units
from explorer.analysis.first_layer import first_layer
from explorer.analysis.invariance import Invariance, invariance
from explorer.analysis.mean import Mean
from explorer.analysis.moving import MOVES, UNITS, Move, amounts
from explorer.analysis.outputs import Output
from explorer.analysis.probes import linear_probes
from explorer.analysis.structure import report
from explorer.analysis.trunk import trunk
from explorer.atlas.picture_sets import UnseenPictures, picture_set
from explorer.cli.json_text import json_text
from explorer.cli.picture_inputs import pictures_of
from explorer.cli.pictures import Chosen
from explorer.errors import UserError
from explorer.figures import evolution as evolution_figures
from explorer.figures import first_layer as filter_figures
from explorer.graph.names import find_layer
from explorer.graph.trace import TracedProgram
from explorer.images.codec import encode_png
from explorer.images.preprocess import to_pixels
from explorer.training.batches import EVALUATION_ITEMS
from explorer.training.dataset import CLASSES, MEAN, STD
from explorer.training.epochs import EVOLVED, SHIPPED_EPOCHS, load_epochs
from explorer.training.unseen import unseen_items
from explorer.types import Box
from explorer.whole_file import write_whole

Rows = Sequence[Mapping[str, Any]]
SHOWN_LAYER = 2  # of the layers of depth: the third, which sees parts
SHOWN_CHANNELS = 6  # channels


def evolution_command(
    preset: str | None, folder: Path | None, layer: str | None, channels: Sequence[int] | None, items: int,
    out: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """Follow a network through its epochs, and write a sheet of the units where it is asked for. Raises UserError."""
    programs = load_epochs(preset or EVOLVED, folder or (SHIPPED_EPOCHS if preset in (None, EVOLVED) else Path()))
    graph = next(iter(programs.values())).graph
    images = unseen_items(items, graph.layers[0].output_shape[2]).images
    layers = trunk(graph)
    shown = find_layer(graph, layer).id if layer is not None else layers[min(SHOWN_LAYER, len(layers) - 1)]
    found = evolution(programs, images, tuple(dict.fromkeys((*layers, shown))))
    rows = [
        {"layer": name, "settled": found.settled(name),
         **{str(epoch): float(found.similarity[i, j]) for i, epoch in enumerate(found.epochs)}}
        for j, name in enumerate(found.layers)
    ]  # fmt: skip
    chosen = _channels(found, shown, channels)
    _print(rows, as_json)
    if out is not None:
        _write(out, _sheet(programs, found, images, chosen, grown_units(found, programs, images, shown, chosen)))
    return 0


def _channels(found: Evolution, layer: str, channels: Sequence[int] | None) -> tuple[int, ...]:
    count = found.top[found.epochs[-1], layer].channels
    wrong = next((channel for channel in channels or () if channel >= count), None)
    if wrong is not None:
        raise UserError(f"channels: {wrong} is not a channel of {layer}: they go from 0 to {count - 1}.")
    return tuple(channels or found.strongest(layer, SHOWN_CHANNELS))


def _sheet(
    programs: Mapping[int, TracedProgram], found: Evolution, images: Tensor, channels: Sequence[int],
    units: Sequence[GrownUnit],
) -> Any:  # fmt: skip
    program = next(iter(programs.values()))
    fields = report(program, program.module)

    def seen(unit: GrownUnit) -> Box:
        layer = fields[unit.projection.layer]
        whole = (0, 0, images.shape[2], images.shape[3])
        return layer.local_receptive_field.box(*unit.projection.position) if layer.is_map else whole

    pictures = evolution_figures.grown_pictures(units, lambda number: to_pixels(images[number], MEAN, STD), seen)
    return evolution_figures.growth_sheet(found, channels, units, [projection for projection, _ in pictures])


def invariance_command(
    moves: Sequence[Move] | None, layers: Sequence[str] | None, pictures: str, items: int, output: Output | None,
    as_json: bool, **network: Any,
) -> int:  # fmt: skip
    """Print the mean distance of features and the mean probability at each amount of each move. Raises UserError."""
    loaded = Chosen.of(network).load()
    images, targets = pictures_of(loaded, picture_set(pictures, items if pictures == "unseen" else None))
    every = trunk(loaded.program.graph)
    chosen = tuple(layers or dict.fromkeys(every[:1] + every[-1:]))
    rows = list[dict[str, Any]]()
    for move in dict.fromkeys(moves or MOVES):
        by = amounts(move, images.shape[2])
        rows += _amount_rows(invariance(loaded.program, images, chosen, move, by, targets, output=output))
    _print(rows, as_json)
    return 0


def _amount_rows(found: Invariance) -> Iterable[dict[str, Any]]:
    distances = {layer: found.distance_means(layer) for layer in found.layers}
    for number, (amount, probability) in enumerate(zip(found.amounts, found.probability_means(), strict=True)):
        means = {layer: each[number] for layer, each in distances.items()}
        yield {"move": found.move, "by": amount, "unit": UNITS[found.move], **means, "probability": probability}


def equivariance_command(layers: Sequence[str] | None, shift: int | None, as_json: bool, **network: Any) -> int:
    """Print how far maps of a shifted picture are from the maps shifted. Raises UserError."""
    loaded = Chosen.of(network).load()
    graph = loaded.program.graph
    images, _ = pictures_of(loaded, UnseenPictures(1, max(loaded.preprocessing.crop)))
    names = [find_layer(graph, layer).id for layer in layers] if layers else trunk(graph)
    pair = None if shift is None else (shift, shift)
    found = [each for name in names if (each := equivariance(loaded.program, images, name, pair)) is not None]
    if not found:
        raise UserError("The units of none of these layers look at places of the picture that lie whole pixels apart.")
    _print(
        [
            {"layer": each.layer, "stride_px": each.stride_px[0], "shift_px": each.shift_px[0],
             "units": each.positions, "difference": each.error, "unmoved": each.still}
            for each in found
        ],
        as_json,
    )  # fmt: skip
    return 0


def filters_command(items: int, out: Path | None, as_json: bool, **network: Any) -> int:
    """Print which filters of the first layer are dead or aliased, and write them as a picture. Raises UserError."""
    loaded = Chosen.of(network).load()
    images, _ = pictures_of(loaded, UnseenPictures(items, max(loaded.preprocessing.crop)))
    found = first_layer(loaded.program, images)
    if not as_json:
        print(f"{found.layer}, {filter_figures.plan(found)}: {filter_figures.summary(found)}")
    order = filter_figures.order(found)
    _print(
        [
            {"filter": i, "mark": filter_figures.mark(found, i), "beyond": float(found.beyond[i]),
             "strongest": float(found.strongest[i])}
            for i in order
        ],
        as_json,
    )  # fmt: skip
    if out is not None:
        _write(out, filter_figures.sheet(found, loaded.preprocessing.order))
    return 0


def probes_command(items: int, as_json: bool, **network: Any) -> int:
    """Print how many classes a linear classifier tells from each layer. Raises UserError."""
    if not 1 <= items <= EVALUATION_ITEMS // 2:
        raise UserError(f"items={items} is not from 1 to {EVALUATION_ITEMS // 2:,}, half of the unseen items.")
    loaded = Chosen.of(network).load()
    drawn = UnseenPictures(2 * items, max(loaded.preprocessing.crop))
    images, _ = pictures_of(loaded, drawn)
    labels = torch.tensor([CLASSES.index(drawn.label(number)) for number in range(len(drawn))])
    found = linear_probes(loaded.program, images, labels, items, trunk(loaded.program.graph))
    _print([{"layer": each.layer, "features": each.features, "right": each.accuracy} for each in found], as_json)
    return 0


# -- on stdout --------------------------------------------------------------------------------------------------------


def _print(rows: Rows, as_json: bool) -> None:
    """A Markdown table, or a list of objects."""
    if as_json:
        print(json_text(rows))
        return
    names = list(rows[0]) if rows else []
    print("| " + " | ".join(names) + " |")
    print("|---" * len(names) + "|")
    for row in rows:
        print("| " + " | ".join(_cell(row[name]) for name in names) + " |")


def _cell(value: Any) -> str:
    match value:
        case None:
            return "–"
        case Mean(mean, error):
            return f"{mean:.4f}" if error is None else f"{mean:.4f} ± {error:.4f}"
        case float():
            return f"{value:.4g}"
    return f"{value}"


def _write(path: Path, picture: Any) -> None:
    write_whole(path, lambda draft: draft.write_bytes(encode_png(picture)))
