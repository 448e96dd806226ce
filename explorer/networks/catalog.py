"""A network by name: one of our presets or blocks, or `torchvision:NAME`, `timm:NAME`; and the same with weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import models
from explorer.analysis.structure import Analysis, analyze
from explorer.errors import UnknownNameError, UserError, listed
from explorer.exchange.network_file import is_network_file, open_network_file
from explorer.graph.shapes import image_dtype
from explorer.graph.trace import TracedProgram, trace
from explorer.images.preprocess import Preprocessing
from explorer.networks import libraries
from explorer.networks.knob_text import decode_knob
from explorer.networks.picture_input import fitted
from explorer.networks.spec_file import read_spec, spec_input_size
from explorer.run import device as devices
from explorer.run.cancel import Cancellable
from explorer.types import InputSize
from models.errors import SpecError
from models.spec import NetSpec, Spec
from models.weights import sources
from models.weights.expected_input import ExpectedInput, InputChoices, imagenet_normalisation
from models.weights.fit import fit
from models.weights.header import header_of
from models.weights.kept import Kept, Shapes, shapes_of
from models.weights.recognise import shapes_of_spec
from models.weights.safetensors_file import shown_name
from models.weights.sources import WeightsSource


@dataclass(frozen=True)
class Network:
    """What a name stands for. `build(device)` makes it ("meta" allocates nothing).

    spec: None where it is not ours. own_weights: those that it comes with, where it is no name alone: a module that a
    person hands over, a file. digest: what tells it from others of its name. dtype: of the images that it takes.
    device: where it is, if it stays there.
    """

    name: str
    build: Callable[[str], nn.Module]
    input_size: InputSize
    spec: Spec | None = None
    own_weights: WeightsSource | None = None
    digest: str = ""
    dtype: torch.dtype = torch.float32
    device: str | None = None

    @property
    def key(self) -> str:
        """A text that is equal for equal networks only, whatever their weights that are not their own."""
        return f"{self.name} {self.digest}" if self.spec is None else spec_key(self.spec)

    def analysis(self, input_size: InputSize | None = None) -> Analysis:
        """Its structure, worked out without allocating. Raises TraceError, SpecError."""
        size, own = input_size or self.input_size, getattr(self.spec, "in_channels", None)
        if own not in (None, size[0]):
            raise SpecError(f"in_channels={own} cannot read an input of {size[0]} channels.")
        return analyze(self.build("meta"), size) if self.spec is None else structure(self.spec, size)


def spec_key(spec: Spec) -> str:
    """A text that is equal for equal Specs only."""
    return f"{type(spec).__name__} {spec.model_dump_json()}"


def structure(spec: Spec, size: InputSize) -> Analysis:
    """The analysis of a Spec on inputs (C, H, W). Raises SpecError where maps vanish on the way, TraceError.

    The network is built unchecked: the analysis itself finds out what a check would, which then only says it better.
    """
    module = models.build(spec, device="meta", unchecked=True)
    found = analyze(module, size, partial=True)  # without torch.export, which lets pass what a run refuses
    if found.graph.failure is None:
        return found
    models.check(spec)  # pyright: ignore[reportArgumentType]  (frozen, so hashable)
    return analyze(module, size)


@dataclass(frozen=True, eq=False)
class LoadedNetwork:
    """A network with its weights, ready to run: `preprocessing` and `classes` are those of the weights.

    kept: which tensors are those of the weights, and which are as initialised; None where the weights are random.
    """

    module: nn.Module
    program: TracedProgram
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    kept: Kept | None = None

    @property
    def fresh(self) -> tuple[str, ...]:
        """The layers that the weights do not have, which are as initialised; of those new in part, the tensors."""
        return self.kept.new if self.kept else ()

    def input(self, pixels: Any) -> Tensor:
        """A picture, uint8 [H, W, 3], as the network's input on its device: [1, C, H, W]."""
        parameter = next(self.module.parameters(), None)
        return self.preprocessing.tensor(pixels).to("cpu" if parameter is None else parameter.device)


def find(
    name: str, knobs: Mapping[str, str] | None = None, seed: int = 0, options: Mapping[str, Any] | None = None
) -> Network:
    """The network of that name, with knobs given as text. Raises UnknownNameError, SpecError.

    options: knobs as plain values, over the others; of other libraries' networks what their builder is told, such as
    num_classes.
    """
    source = name.rpartition(":")[0]
    knobs, options = knobs or {}, options or {}
    if _is_file(name):
        if knobs:
            raise UserError(f"--set {next(iter(knobs))}: a network in a file has no knobs; they belong to the presets.")
        return network_in_file(name, Path(name))
    if source in ("torchvision", "timm") and knobs:
        raise UserError(f"--set {next(iter(knobs))}: {name} has no knobs; they belong to the presets of this program.")
    match source:
        case "":
            return of_spec(name, _changed(models.preset(name).spec, knobs).replace(**options), seed)
        case "block":
            return _block(name, knobs, seed)
        case "torchvision" | "timm":
            return _of_library(name, seed, options)
    raise UnknownNameError(f"{name!r} is not a preset, block:NAME, torchvision:NAME or timm:NAME.")


def broken_files() -> tuple[str, ...]:
    """A sentence for each file of networks that fails on import."""
    return tuple(models.broken_files())


def _changed(spec: Spec, knobs: Mapping[str, str]) -> Spec:
    return spec.replace(**{knob: decode_knob(type(spec), knob, text) for knob, text in knobs.items()})


def of_spec(name: str, spec: Spec, seed: int = 0) -> Network:
    """The network of a preset's Spec, whose knobs may have been changed."""
    assert isinstance(spec, NetSpec)
    size = (spec.in_channels, spec.image_size, spec.image_size)
    return Network(name, lambda device: models.build(spec, device=device, seed=seed), size, spec)


def _is_file(name: str) -> bool:
    """Whether a name is a path; what a link may name, as torchvision:…, never is."""
    return is_network_file(name) and name.partition(":")[0] not in (*libraries.LIBRARIES, "block")


def network_in_file(name: str, content: bytes | Path) -> Network:
    """The network of a file, uploaded (bytes) or on disk, under the name that it is to have; one of JSON holds a Spec.

    Raises UserError, one sentence that names the file, SpecError.
    """
    shown_as = Path(name).name
    if name.lower().endswith(".json"):
        spec = read_spec(shown_as, content)
        return Network(name, lambda device: models.build(spec, device=device), spec_input_size(spec), spec)
    found = open_network_file(shown_as, content)
    said = header_of(found.metadata)
    channels, height, width = found.input_size
    side = min(height, width)
    usual = ExpectedInput(side, side, *imagenet_normalisation(channels), origin="the usual, as the file says nothing")
    expected, notes = said.described(usual)
    weights = WeightsSource(
        "held", "held", "In the file", expected, "Weights as the file has them.", said.classes, notes=notes
    )
    dtype = image_dtype(found.build("meta")) or torch.float32
    return Network(name, found.build, found.input_size, None, weights, found.digest, dtype)


def _of_library(name: str, seed: int, options: Mapping[str, Any]) -> Network:
    libraries.check_name(name)
    channels, height, width = libraries.library_input_size(name)
    return Network(
        name, lambda device: libraries.library_module(name, device, seed, options),
        (options.get("in_chans", channels), height, width), digest=str(dict(options)) if options else "",
    )  # fmt: skip


def _block(name: str, knobs: Mapping[str, str], seed: int) -> Network:
    block = models.block(name.partition(":")[2])
    spec = _changed(block.spec(), knobs)
    size = (getattr(spec, "in_channels", block.input_size[0]), *block.input_size[1:])
    return Network(name, lambda device: models.build(spec, device=device, seed=seed), size, spec)


# -- with weights -----------------------------------------------------------------------------------------------------


def weights_source(name: str, choice: str | None = None) -> WeightsSource:
    """A network's weights by name; the best that need no download by default. Raises UnknownNameError."""
    found = available(name)
    if choice is None:
        return found[0]
    for source in found:
        if source.name == choice:
            return source
    raise UnknownNameError(f"weights={choice!r} of {name} is not one of {', '.join(s.name for s in found)}.")


def available(name: str) -> list[WeightsSource]:
    """The weights that a network can have: torchvision's own for its networks, random ones alone for timm's."""
    if _is_file(name):
        return [_in_file(name)]
    library, _, inner = name.rpartition(":")
    match library:
        case "torchvision":
            return _torchvisions(inner)
        case "timm":
            return [_random(_timms_preprocessing(inner))]
        case "block":
            raise UserError(f"{name} takes no picture: choose a whole network.")
    return sources.available(name)


def _torchvisions(inner: str) -> list[WeightsSource]:
    task, side = libraries.torchvision_kinds().get(inner), libraries.library_input_size(f"torchvision:{inner}")[1]
    published = {"classification": lambda: sources.imagenet(inner, side), "segmentation": lambda: sources.coco(inner)}
    if found := published[task]() if task in published else []:
        return [_random(found[0].preprocessing), *found]
    origin = f"a guess, as torchvision:{inner} has no weights"
    random = _random(ExpectedInput(side, side, *imagenet_normalisation(3), origin=origin))
    of_whole = " torchvision's weights are of the whole detector, of which this is a part."
    return [replace(random, note=random.note + of_whole) if task == "detection" else random]


def usual_input(name: str) -> ExpectedInput:
    """What the weights of that network usually expect of a picture. Raises UnknownNameError, UserError for a block."""
    library, _, inner = name.rpartition(":")
    if not library:
        return sources.usual_input(name)
    found = available(name)
    return (sources.usual_of(found, inner) if len(found) > 1 else found[0]).preprocessing


def _in_file(name: str) -> WeightsSource:
    network = find(name)
    if network.own_weights is not None:
        return network.own_weights
    if not isinstance(network.spec, NetSpec):
        raise UserError(f"{name} takes no picture: choose a whole network.")
    return _random(sources.default_input(network.spec))


def _random(expected: ExpectedInput) -> WeightsSource:
    return WeightsSource("random", "random", "Random", expected, "As initialised, untrained.")


def _timms_preprocessing(name: str) -> ExpectedInput:
    import timm  # pyright: ignore[reportMissingImports]

    described: Any = timm.get_pretrained_cfg(name)
    side = min(described.input_size[1:])
    how = described.interpolation if described.interpolation in ("bilinear", "bicubic") else "bilinear"
    fit = "stretch" if getattr(described, "crop_mode", "") == "squash" else "crop"
    return ExpectedInput(
        int(side / described.crop_pct), side, described.mean, described.std, how, fit, f"timm's weights of {name}"
    )


def load(
    network: Network,
    source: WeightsSource,
    device: str | None = None,
    *,
    choices: InputChoices | None = None,
    partial: bool = False,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] = lambda: False,
) -> LoadedNetwork:
    """Build a network that takes pictures on a device, with weights; what does not fit in memory is refused before.

    choices: of preprocessing, over what the weights say. partial: of the weights take what fits, as for a preset whose
    knobs were changed. progress: of a download, in bytes. Raises MemoryLimitError, WeightsError, UserError, Cancelled.
    """
    prepared, target = fitted(source.preprocessing, network.input_size, choices), devices.resolve(device)
    figures = network.analysis()
    devices.ensure_fits(figures.weight_bytes + figures.peak_bytes, target, network.name)
    with Cancellable(cancel):
        module = network.build("cpu")
    kept = None
    if network.own_weights is None:
        kept = sources.load(module, source, progress=progress, cancel=cancel, partial=partial)
    module = module.to(target)
    names = classes_of(source, figures)
    return LoadedNetwork(module, trace(module, network.input_size), prepared, names, kept)


def shapes_of_network(network: Network) -> Shapes:
    """The shapes in a network's state dict; nothing is allocated."""
    if isinstance(network.spec, NetSpec):
        return shapes_of_spec(network.spec)
    return shapes_of(network.build("meta"))


def keeps(network: Network, source: WeightsSource) -> Kept | None:
    """What a network keeps of weights that need not be its own, before they are loaded.

    None where it has to have exactly those, or they are random. Raises WeightsError where nothing of a person's file
    fits.
    """
    if isinstance(network.spec, NetSpec):
        return sources.keeps(source, network.name, network.spec)
    if not source.partial or source.shapes is None:
        return None
    return fit(source.shapes, shapes_of_network(network)).kept


def kept_in_words(kept: Kept, source: WeightsSource, preset: str, seed: int) -> str:
    """What a changed network keeps of the weights of its preset, where the rest comes from, and what is not known."""
    new = f" What is new is untrained, from seed {seed}." if kept.fresh else ""
    accuracy = "" if source.kind == "file" else f" Its accuracy is not known; that of {preset} is another network's."
    return kept.sentence(source.title) + new + _left_in_words(kept, source) + accuracy


def _left_in_words(kept: Kept, source: WeightsSource) -> str:
    """What of a person's file no tensor of the network takes."""
    if source.kind != "file" or not kept.left:
        return ""
    return f" Left out of the file: {listed(map(shown_name, kept.left), 100)}."


def preprocessing(source: WeightsSource, spec: NetSpec, choices: InputChoices | None = None) -> Preprocessing:
    """As the weights expect it but for the choices, at the size and channels of the network. Raises UserError."""
    return fitted(source.preprocessing, (spec.in_channels, spec.image_size, spec.image_size), choices)


def classes(source: WeightsSource, spec: NetSpec) -> tuple[str, ...]:
    """The names of the classes, without building; numbers where the weights name none for this many."""
    return _names(source, {spec.num_classes})


def classes_of(source: WeightsSource, analysis: Analysis) -> tuple[str, ...]:
    """The same of any network: as many as its largest output has values, where the weights name none of an output."""
    outputs = [analysis[name].output_shape for name in analysis.graph.outputs]
    return _names(source, {shape[1] for shape in outputs if len(shape) > 1} or {1})


def _names(source: WeightsSource, counts: set[int]) -> tuple[str, ...]:
    named = source.classes or ()
    return named if len(named) in counts else tuple(f"class {i}" for i in range(max(counts)))
