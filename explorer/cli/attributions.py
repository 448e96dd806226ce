"""The commands that lead from an output back to the picture: deconvnet and attribute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from explorer.analysis.attribution import Attribution, attribute
from explorer.analysis.attribution_metrics import infidelity, pixel_curve, sensitivity
from explorer.analysis.attribution_settings import DEFAULT_METHODS, AttributionMethod, AttributionSettings, refusal
from explorer.analysis.deconvnet import Projection, project
from explorer.analysis.deconvnet_rules import MEANINGS, BackwardMethod, BackwardRule, BackwardSettings, rule_table
from explorer.analysis.occluder import Fill, fill_values
from explorer.analysis.outputs import Output
from explorer.cli.json_text import json_text
from explorer.cli.pictures import SUMMARY, Chosen, chosen_picture, class_number, show_progress
from explorer.errors import UserError
from explorer.figures import attribution as figures
from explorer.figures.maps import grid
from explorer.figures.raster import limits
from explorer.images import codec
from explorer.networks import picture_input
from explorer.networks.catalog import LoadedNetwork
from explorer.types import Cell
from explorer.whole_file import write_together

STEP_MAPS = 16  # channels shown of each step, those with the strongest signal


# -- deconvnet --------------------------------------------------------------------------------------------------------


def deconvnet_command(
    image: str, layer: str, channel: int | None, position: Cell | None, method: BackwardMethod,
    rules: Sequence[tuple[str, BackwardRule]], steps: bool, out: str, **network: Any,
) -> int:  # fmt: skip
    """Write what excites a unit, projected back to pixels (PNG, NPY), and a summary (JSON), which goes to stdout too.

    steps: also the signal at each layer on the way, its strongest channels as a picture; network: see `Chosen`.
    """
    chosen, folder, pixels = Chosen.of(network), Path(out), chosen_picture(image)
    settings = BackwardSettings(method, dict(rules))
    loaded = chosen.load()
    settings.check(loaded.program.graph)
    folder.mkdir(parents=True, exist_ok=True)  # before the work, which is in vain if it cannot be made
    found = project(loaded.program, loaded.input(pixels), layer, channel, position, settings, steps=steps)
    files = {
        "projection.npy": codec.encode_npy(found.signal.cpu().numpy()),
        "projection.png": codec.encode_png(figures.signal_picture(loaded.preprocessing.in_rgb(found.signal))),
        **(_step_pictures(found) if steps else {}),
    }
    rows = rule_table(loaded.program.graph, settings)
    summary = {
        "network": chosen.name, "image": image, "preprocessing": picture_input.describe(loaded.preprocessing),
        "layer": found.layer, "channel": found.channel, "position": list(found.position),
        "activation": found.activation, "method": method,
        "rules": {row.kind: f"{row.rule}: {MEANINGS[row.rule]}" for row in rows},
        "steps": [step.layer for step in found.steps], "files": sorted(files),
    }  # fmt: skip
    _write(folder, files, summary, ("step_*.png",))
    chosen.say_what_is_seen(loaded, pixels)
    chosen.say_if_random()
    return 0


def _step_pictures(found: Projection) -> dict[str, bytes]:
    """A picture of each step, numbered from the unit on."""
    return {f"step_{i:03}.png": codec.encode_png(_step_picture(step.signal)) for i, step in enumerate(found.steps)}


def _step_picture(signal: torch.Tensor) -> np.ndarray:
    values = signal.float().cpu().numpy()
    strongest = np.argsort(-np.abs(values).max((1, 2)), kind="stable")[:STEP_MAPS]
    shown = values[np.sort(strongest)]
    return grid(shown, [limits(shown)] * len(shown), columns=4)


# -- attribute --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AttributionOptions:
    """The options of an attribution; as `AttributionSettings` has them."""

    layer: str | None
    fill: Fill
    samples: int
    steps: int
    noise: float
    window: int | None
    stride: int | None
    output: Output | None

    def settings(self, image: torch.Tensor, loaded: LoadedNetwork, seed: int) -> AttributionSettings:
        """The settings for one input [1, C, H, W] of the network."""
        mean, std = (torch.tensor(values) for values in (loaded.preprocessing.mean, loaded.preprocessing.std))
        return AttributionSettings(
            self.layer, self.fill, fill_values(image, self.fill, mean, std), self.samples, self.noise, self.steps,
            seed, self.window, self.stride, self.output,
        )  # fmt: skip


def attribute_command(
    image: str, methods: Sequence[AttributionMethod] | None, target: str | None, judge: bool, out: str, *,
    layer: str | None, fill: Fill, samples: int, steps: int, noise: float, window: int | None, stride: int | None,
    output: Output | None, **network: Any,
) -> int:  # fmt: skip
    """Write the attributions of a class (PNG over the picture, NPY) and a summary (JSON), which goes to stdout too.

    methods: by default DEFAULT_METHODS; those that are not defined on the network are named in the summary, with the
    reason. judge: also the deletion and insertion curves, infidelity and sensitivity of each. The others: see
    `AttributionOptions` and `Chosen`.
    """
    chosen, folder, pixels = Chosen.of(network), Path(out), chosen_picture(image)
    asked = AttributionOptions(layer, fill, samples, steps, noise, window, stride, output)
    loaded = chosen.load()
    number = class_number(target, loaded.classes)
    tensor = loaded.input(pixels)
    settings = asked.settings(tensor, loaded, chosen.seed)
    wanted = dict.fromkeys(methods or DEFAULT_METHODS)
    refused = {each: why for each in wanted if (why := refusal(loaded.program, each, layer)) is not None}
    if len(refused) == len(wanted):
        raise UserError(next(iter(refused.values())))
    folder.mkdir(parents=True, exist_ok=True)
    found = [
        attribute(loaded.program, tensor, each, number, settings, progress=show_progress)
        for each in wanted
        if each not in refused
    ]
    files, picture = dict[str, bytes](), loaded.preprocessing.view(pixels)
    for each in found:
        files[f"{each.method}.npy"] = codec.encode_npy(each.map)
        over = figures.over_picture(picture, each.map, figures.strength(each.map))
        files[f"{each.method}.png"] = codec.encode_png(over)
    summary = {
        "network": chosen.name, "image": image, "preprocessing": picture_input.describe(loaded.preprocessing),
        "target": loaded.classes[found[0].target], "probability": found[0].probability, "fill": fill,
        "methods": {each.method: _figures(loaded, tensor, each, settings, judge) for each in found},
        "refused": refused, "files": sorted(files),
    }  # fmt: skip
    _write(folder, files, summary)
    chosen.say_what_is_seen(loaded, pixels)
    chosen.say_if_random()
    return 0


def _figures(
    loaded: LoadedNetwork, image: torch.Tensor, found: Attribution, settings: AttributionSettings, judge: bool
) -> dict[str, Any]:
    """What is told of one attribution."""
    told: dict[str, Any] = {"least": float(found.map.min()), "greatest": float(found.map.max())}
    if found.layer is not None:
        told["layer"] = found.layer
    if not judge:
        return told
    for kind in ("deletion", "insertion"):
        curve = pixel_curve(loaded.program, image, found, kind, settings)
        told[kind] = {
            "area": curve.area,
            "shares": curve.shares.tolist(),
            "probabilities": curve.probabilities.tolist(),
        }
    told["infidelity"] = infidelity(loaded.program, image, found, settings)
    told["sensitivity"] = sensitivity(loaded.program, image, found, settings)
    return told


def _write(folder: Path, files: dict[str, bytes], summary: dict[str, Any], patterns: Sequence[str] = ()) -> None:
    """The files, the summary last and on stdout; those of an earlier run that these patterns find go."""
    earlier = {path.name for pattern in patterns for path in folder.glob(pattern)}
    text = json_text(summary, indent=2) + "\n"
    write_together(folder, {**files, SUMMARY: text.encode()}, obsolete=earlier - files.keys())
    print(json_text(summary))
