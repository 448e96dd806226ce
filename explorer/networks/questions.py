"""What can be asked of a network, and of what it makes of a picture: each in Python and as a command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


def _said(**options: Any) -> str:
    """Keyword arguments as Python has them, of those that are not None."""
    return "".join(f", {name}={value!r}" for name, value in options.items() if value is not None)


def _options(**options: Any) -> list[str]:
    """The same as a command has them."""
    given = {name: value for name, value in options.items() if value is not None}
    return [part for name, value in given.items() for part in (f"--{name}", str(value))]


@dataclass(frozen=True)
class StructureQuestion:
    """Layers, shapes, receptive fields and costs of the network alone."""

    imports: ClassVar[Sequence[str]] = ()
    of_picture: ClassVar[bool] = False

    def answer(self) -> list[str]:
        return [
            "analysis = network.analysis()",
            "analysis.params, analysis.macs, analysis.receptive_field",
        ]

    def show(self) -> list[str]:
        return [
            "for layer in analysis.layers:",
            "    print(layer.id, layer.kind, layer.output_shape, layer.params, layer.macs, layer.receptive_field.size)",
        ]

    def arguments(self) -> tuple[str, list[str]]:
        return "describe", []


@dataclass(frozen=True)
class FeaturesQuestion:
    """The maps of a layer."""

    layer: str
    imports: ClassVar[Sequence[str]] = (
        "from explorer.figures.maps import grid",
        "from explorer.figures.raster import limits",
    )
    of_picture: ClassVar[bool] = True

    def answer(self) -> list[str]:
        return [
            f"maps = explorer.feature_maps(loaded.module, image, {self.layer!r}).numpy()  # [channels, rows, columns]"
        ]

    def show(self) -> list[str]:
        return ["shown = grid(maps, [limits(channel) for channel in maps], columns=round(len(maps) ** 0.5))"]

    def arguments(self) -> tuple[str, list[str]]:
        return "features", ["--layer", self.layer, "--out", "maps.png"]


_FILLING = (
    "mean, std = torch.tensor(loaded.preprocessing.mean), torch.tensor(loaded.preprocessing.std)",
    "filling = fill_values(image[None], {fill!r}, mean, std)",
)


@dataclass(frozen=True)
class OcclusionQuestion:
    """The probability of a class (None: the most probable) with a square slid over the picture.

    channel: a map of the layer that is summed beside the strongest; memory: the most that the run may take, in bytes.
    """

    target: int | None
    window: int
    stride: int
    fill: str
    layer: str | None
    method: str
    output: str | None
    channel: int | None = None
    memory: int | None = None
    imports: ClassVar[Sequence[str]] = (
        "import torch",
        "from explorer.analysis.occluder import fill_values",
        "from explorer.figures import occlusion as figures",
    )
    of_picture: ClassVar[bool] = True

    def answer(self) -> list[str]:
        options = _said(target=self.target, window=self.window, stride=self.stride, layer=self.layer,
                        method=self.method, output=self.output, memory_bytes=self.memory)  # fmt: skip
        sums = [] if self.channel is None else [f"found.activation_of({self.channel})[0]  # of that map of the layer"]
        return [
            *(line.format(fill=self.fill) for line in _FILLING),
            f"found = explorer.occlusion_map(loaded.module, image{options}, fill_value=filling)",
            "found.probability  # [rows, columns], low where the picture matters",
            *sums,
        ]

    def show(self) -> list[str]:
        return [
            "seen = loaded.preprocessing.view(picture)",
            "at = figures.placement(found, seen.shape[:2])",
            "scale = figures.scale(found.probability, found.baseline)",
            "shown = figures.over(seen, found.probability, found.done, at, scale, opacity=0.6, smooth=False)",
        ]

    def arguments(self) -> tuple[str, list[str]]:
        options = _options(target=self.target, window=self.window, stride=self.stride, fill=self.fill,
                           layer=self.layer, channel=self.channel, method=self.method, output=self.output,
                           memory=self.memory)  # fmt: skip
        return "occlude", [*options, "--out", "occlusion"]


@dataclass(frozen=True)
class DeconvnetQuestion:
    """What in the picture excites a unit (None: the strongest), by a method and its changed rules."""

    layer: str
    channel: int | None
    position: tuple[int, int] | None
    method: str
    rules: Mapping[str, str]
    imports: ClassVar[Sequence[str]] = ("from explorer.figures.attribution import signal_picture",)
    of_picture: ClassVar[bool] = True

    def answer(self) -> list[str]:
        unit = _said(channel=self.channel, position=self.position, method=self.method, rules=dict(self.rules) or None)
        return [f"signal = explorer.deconvnet(loaded.module, image, {self.layer!r}{unit})  # [C, H, W]"]

    def show(self) -> list[str]:
        return ["shown = signal_picture(loaded.preprocessing.in_rgb(signal))"]

    def arguments(self) -> tuple[str, list[str]]:
        unit = None if self.position is None else "{},{}".format(*self.position)
        options = _options(layer=self.layer, channel=self.channel, position=unit, method=self.method)
        rules = [part for kind, rule in self.rules.items() for part in ("--rule", f"{kind}={rule}")]
        return "deconvnet", [*options, *rules, "--out", "projection"]


@dataclass(frozen=True)
class AttributionQuestion:
    """Which pixels the score of a class (None: of the most probable) is due to, by several methods."""

    methods: Sequence[str]
    target: int | None
    layer: str | None
    fill: str
    output: str | None
    imports: ClassVar[Sequence[str]] = (
        "import numpy as np",
        "import torch",
        "from explorer.analysis.attribution import attribute",
        "from explorer.analysis.attribution_settings import AttributionSettings",
        "from explorer.analysis.occluder import fill_values",
        "from explorer.figures import attribution as figures",
    )
    of_picture: ClassVar[bool] = True

    def answer(self) -> list[str]:
        layer = "" if self.layer is None else f"layer={self.layer!r}, "
        settings = f"{layer}fill={self.fill!r}, fill_value=filling{_said(output=self.output)}"
        return [
            *(line.format(fill=self.fill) for line in _FILLING),
            f"settings = AttributionSettings({settings})",
            f"methods = {list(self.methods)!r}",
            f"found = [attribute(loaded.program, image[None], method, {self.target}, settings) for method in methods]",
            "[each.map for each in found]  # one map [H, W] for each method",
        ]

    def show(self) -> list[str]:
        return [
            "seen = loaded.preprocessing.view(picture)",
            "maps = [figures.over_picture(seen, each.map, figures.strength(each.map)) for each in found]",
            "shown = np.concatenate(maps, 1)",
        ]

    def arguments(self) -> tuple[str, list[str]]:
        methods = [part for method in self.methods for part in ("--method", method)]
        options = _options(target=self.target, layer=self.layer, fill=self.fill, output=self.output)
        return "attribute", [*methods, *options, "--out", "attribution"]
