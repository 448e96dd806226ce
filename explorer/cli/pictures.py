"""The commands that run a picture through a network: features and occlude."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import models
from explorer.analysis import activations, occlusion
from explorer.analysis.occluder import Fill, default_stride, default_window, fill_values
from explorer.analysis.occlusion import Method, OcclusionMap, OcclusionSettings
from explorer.analysis.outputs import Output
from explorer.cli.json_text import json_text
from explorer.errors import UnknownNameError, UserError
from explorer.figures import occlusion as figures
from explorer.figures.maps import grid
from explorer.figures.raster import colourise, enlarge, limits
from explorer.images import codec, samples
from explorer.networks import catalog, picture_input
from explorer.networks.catalog import LoadedNetwork, Network
from explorer.networks.knob_text import shorten
from explorer.networks.own_weights import own_weights
from explorer.resources import missing_assets
from explorer.run.device import format_bytes
from explorer.whole_file import write_together
from models.weights.class_names import check_count, read_class_names
from models.weights.expected_input import InputChoices
from models.weights.own_file import looks_like_a_file, open_own
from models.weights.sources import WeightsSource

OPACITY = 0.6  # of a map over the picture
SUMMARY = "summary.json"
OPTIONAL = ("activation.npy", "activation.png", "channel.npy", "channel.png")  # of runs with --layer and --channel
Knobs = list[tuple[str, str]]


@dataclass(frozen=True)
class Chosen:
    """The network of a command: name, knobs, weights and whether they may fit in part, seed of random ones, device, a
    file of class names, and what is said of the picture's way into it."""

    name: str
    knobs: Knobs
    weights: str | None
    partial: bool
    seed: int
    device: str | None
    classes: str | None
    choices: InputChoices

    @classmethod
    def of(cls, options: dict[str, Any]) -> Chosen:
        """From the options of the command line. Raises UserError."""
        said = {one.name: options.pop(one.name) for one in fields(InputChoices) if one.name in options}
        return cls(**options, choices=InputChoices(**said))

    def load(self) -> LoadedNetwork:
        """The network with its weights, with word on stderr of a download, of how a file is read, and of what changed
        knobs left of the weights.

        Raises UserError.
        """
        found, source = self._found()
        told = _Download()
        changed = bool(self.knobs) and found.spec != models.preset(self.name).spec
        partial = source.partial or changed
        try:
            loaded = catalog.load(found, source, self.device, choices=self.choices, partial=partial, progress=told)
        finally:
            told.end()
            for note in source.notes:
                print(note, file=sys.stderr)
        if partial and loaded.kept is not None:
            print(catalog.kept_in_words(loaded.kept, source, self.name, self.seed), file=sys.stderr)
        return loaded if self.classes is None else _with_classes(loaded, Path(self.classes))

    def _found(self) -> tuple[Network, WeightsSource]:
        """The network, for a file with the knobs that it shows, and the weights."""
        if self.weights is not None and looks_like_a_file(self.weights):
            own = own_weights(open_own(Path(self.weights)), self.name, dict(self.knobs), self.seed, self.partial)
            return own.network, own.source
        if self.partial:
            raise UserError(f"--partial is for a file of weights, and --weights is {self.weights or 'not given'}.")
        source = catalog.weights_source(self.name, self.weights)
        return catalog.find(self.name, dict(self.knobs), self.seed), source

    @staticmethod
    def say_what_is_seen(loaded: LoadedNetwork, pixels: np.ndarray) -> None:
        """Tell how the picture was prepared, and what of it the network does not see."""
        print(f"prepared: {picture_input.describe(loaded.preprocessing)}", file=sys.stderr)
        if (cut := picture_input.unseen(loaded.preprocessing, *pixels.shape[:2])) is not None:
            print(f"{cut} With --fit pad or --fit stretch it sees all.", file=sys.stderr)

    def say_if_random(self) -> None:
        """Tell of weights that nobody chose, of a network that has none of its own here."""
        if ":" in self.name and self.weights is None:
            print(f"{self.name} was run with random weights.", file=sys.stderr)


def _with_classes(loaded: LoadedNetwork, path: Path) -> LoadedNetwork:
    """The network with the class names of a file, which are as many as its own."""
    names = read_class_names(path.name, path.read_bytes())
    check_count(path.name, names, len(loaded.classes))
    return replace(loaded, classes=names)


def features_command(image: str, layer: str, out: str, **network: Any) -> int:
    """Write the maps of a layer: a picture of all channels, and the values as NPY beside it; network: see `Chosen`."""
    chosen, target = Chosen.of(network), writable(Path(out), ".png")
    pixels = chosen_picture(image)
    loaded = chosen.load()
    maps = activations.feature_maps(loaded.program, loaded.input(pixels), layer).cpu().numpy()
    columns = max(1, round(len(maps) ** 0.5))
    picture, values = grid(maps, [limits(channel) for channel in maps], columns), target.with_suffix(".npy")
    write_together(target.parent, {values.name: codec.encode_npy(maps), target.name: codec.encode_png(picture)})
    channels, rows, width = maps.shape
    print(f"{layer}: {channels} maps of {rows}×{width}, written to {target} and {values}")
    chosen.say_what_is_seen(loaded, pixels)
    chosen.say_if_random()
    return 0


@dataclass(frozen=True)
class Square:
    """The options of an occlusion: window and stride in px, memory in bytes, None for the default; the rest as
    `OcclusionSettings`."""

    window: int | None
    stride: int | None
    fill: Fill
    layer: str | None
    method: Method
    output: Output | None
    memory: int | None

    def settings(self, image: Tensor, loaded: LoadedNetwork) -> OcclusionSettings:
        """The settings for one input [1, C, H, W] of the network."""
        window = default_window(min(image.shape[2:])) if self.window is None else self.window
        stride = default_stride(window) if self.stride is None else self.stride
        mean, std = (torch.tensor(values) for values in (loaded.preprocessing.mean, loaded.preprocessing.std))
        filling = fill_values(image, self.fill, mean, std)
        return OcclusionSettings(
            window, stride, self.fill, self.layer, self.method, filling, output=self.output, memory_bytes=self.memory
        )


def occlude_command(
    image: str, target: str | None, out: str, *,
    channel: int | None, window: int | None, stride: int | None, fill: Fill, layer: str | None, method: Method,
    output: Output | None, memory: int | None, **network: Any,
) -> int:  # fmt: skip
    """Write the occlusion maps (PNG, NPY) and a summary (JSON), which goes to stdout as well.

    channel: a map of the layer whose sum is written beside that of the strongest. window, stride, fill, layer, method,
    output, memory: see `Square`; network: see `Chosen`.
    """
    chosen, folder, pixels = Chosen.of(network), Path(out), chosen_picture(image)
    square = Square(window, stride, fill, layer, method, output, memory)
    loaded = chosen.load()
    number = class_number(target, loaded.classes)
    folder.mkdir(parents=True, exist_ok=True)  # before the work, which is in vain if it cannot be made
    tensor = loaded.input(pixels)
    settings = square.settings(tensor, loaded)
    steps = occlusion.occlusion_steps(loaded.program, tensor, number, settings)
    empty = next(steps)
    if channel is not None:
        empty.activation_of(channel)  # refused before the work
    found = occlusion.to_the_end(chain([empty], steps), show_progress)
    files = encoded_maps(found, loaded.preprocessing.view(pixels), channel)
    legend = figures.class_legend(found, figures.class_colours(found), loaded.classes)
    summary = {
        "network": chosen.name, "image": image, "preprocessing": picture_input.describe(loaded.preprocessing),
        "window": settings.window, "stride": settings.stride, "fill": settings.fill,
        **summarise(found, loaded.classes, channel), "top_class_colours": legend, "files": sorted(files),
    }  # fmt: skip
    text = json_text(summary, indent=2) + "\n"
    write_together(folder, {**files, SUMMARY: text.encode()}, obsolete=set(OPTIONAL) - files.keys())
    print(json_text(summary))
    chosen.say_what_is_seen(loaded, pixels)
    chosen.say_if_random()
    return 0


def summarise(found: OcclusionMap, classes: Sequence[str], channel: int | None = None) -> dict[str, Any]:
    """The figures of an occlusion map as plain data; box: (top, left, bottom, right) in pixels of the input.

    channel: the map of the layer whose sum is told beside that of the strongest. The lowest position and its figures
    are None where the output is finite at no position.
    """
    lowest = found.lowest if np.isfinite(found.probability).any() else None
    return {
        "target": classes[found.target],
        "baseline_probability": found.baseline,
        "predicted": classes[found.baseline_class],
        "lowest_probability": None if lowest is None else float(found.probability[lowest]),
        "lowest_position": None if lowest is None else list(lowest),
        "lowest_box": None if lowest is None else list(found.box(*lowest)),
        "predicted_at_lowest": None if lowest is None else classes[found.top_class[lowest]],
        "positions": list(found.shape),
        "output": found.output,
        "output_tensor": found.tensor,
        "precision": found.precision,
        **_sums(found, channel),
    }


def _sums(found: OcclusionMap, channel: int | None) -> dict[str, Any]:
    """The maps of the layer that were summed, and their sums without a square."""
    if found.activation is None:
        return {}
    chosen = {} if channel is None else {"channel": channel, "baseline_of_channel": found.activation_of(channel)[1]}
    return {"strongest_channel": found.channel, "baseline_activation": found.baseline_activation, **chosen}


def encoded_maps(found: OcclusionMap, pixels: np.ndarray, channel: int | None = None) -> dict[str, bytes]:
    """Probability, top_class and (if there) activation, as NPY and as PNG: the contents of the files by name; with a
    channel also the sum of that map of the layer.

    The probability is drawn alone, and over the picture as overlay.png; the others only over the picture.
    """
    arrays = {"probability": found.probability, "top_class": found.top_class, "activation": found.activation}
    if channel is not None:
        arrays["channel"] = found.activation_of(channel)[0]
    there = {f"{name}.npy": codec.encode_npy(array) for name, array in arrays.items() if array is not None}
    there |= {f"{name}.png": codec.encode_png(picture) for name, picture in _pictures(found, pixels, channel).items()}
    return there


def _pictures(found: OcclusionMap, pixels: np.ndarray, channel: int | None) -> dict[str, np.ndarray]:
    """The maps as the page draws them, uint8 [H, W, 3]."""
    place = figures.placement(found, (pixels.shape[0], pixels.shape[1]))

    def over(values: np.ndarray, baseline: float | None) -> np.ndarray:
        return figures.over(pixels, values, found.done, place, figures.scale(values, baseline), OPACITY, smooth=False)

    alone = colourise(found.probability, limits(found.probability))
    shown = {
        "probability": enlarge(alone, max(1, 512 // max(found.shape))),
        "overlay": over(found.probability, found.baseline),
        "top_class": figures.classes(pixels, found, figures.class_colours(found), place, OPACITY),
    }
    if found.activation is not None:
        shown["activation"] = over(found.activation, found.baseline_activation)
    if channel is not None:
        shown["channel"] = over(*found.activation_of(channel))
    return shown


def chosen_picture(image: str) -> np.ndarray:
    """The pixels of a file, or of a sample by its name."""
    is_name = image.isalnum() and not Path(image).exists()
    if is_name and (image in samples.samples() or missing_assets()):
        return codec.load(samples.sample(image)).pixels
    return codec.load(Path(image)).pixels


def class_number(target: str | None, classes: Sequence[str]) -> int | None:
    """The number of a class given by number or name. Raises UnknownNameError."""
    if target is None:
        return None
    if target in classes:
        return classes.index(target)
    if target.isdecimal() and len(target) < 10 and int(target) < len(classes):
        return int(target)
    raise UnknownNameError(f"--target {shorten(target)} is no class: there are {len(classes)}, from {classes[0]} on.")


def writable(path: Path, suffix: str) -> Path:
    """The path, whose ending and folder are as they must be. Raises UserError that names it."""
    if path.suffix.lower() != suffix:
        raise UserError(f"--out {str(path)!r} does not end in {suffix}.")
    if not path.parent.is_dir():
        raise UserError(f"--out {str(path)!r}: there is no folder {str(path.parent)!r}.")
    return path


def show_progress(done: int, total: int, seconds_left: float) -> None:
    if sys.stderr.isatty():
        print(f"\r{done}/{total} positions, {seconds_left:.0f} s left ", end="", file=sys.stderr, flush=True)
        if done == total:
            print(file=sys.stderr)


class _Download:
    """Tells on stderr how far a download is: one line that is rewritten on a terminal, else a line each quarter."""

    def __init__(self) -> None:
        self.told = -1

    def __call__(self, done: int, total: int) -> None:
        quarter = 4 * done // total if total else 0
        text = f"downloading the weights: {format_bytes(done)}" + (f" of {format_bytes(total)}" if total else "")
        if sys.stderr.isatty():
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
        elif quarter > self.told:
            print(text, file=sys.stderr, flush=True)
        self.told = quarter

    def end(self) -> None:
        """Leave the line, so that what follows has one of its own."""
        if self.told >= 0 and sys.stderr.isatty():
            print(file=sys.stderr)
