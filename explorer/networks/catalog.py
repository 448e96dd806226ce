"""A network by name: one of our presets or blocks, or `torchvision:NAME`, `timm:NAME`; and the same with weights."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import models
from explorer.analysis.structure import Analysis, analyze
from explorer.errors import UnknownNameError, UserError
from explorer.graph.trace import TracedProgram, trace
from explorer.images.preprocess import Preprocessing
from explorer.networks.knob_text import decode_knob
from explorer.networks.picture_input import fitted
from explorer.run import device as devices
from explorer.run.cancel import Cancellable
from explorer.types import InputSize
from models.errors import SpecError
from models.spec import NetSpec, Spec
from models.weights import sources
from models.weights.expected_input import ExpectedInput, InputChoices, imagenet_normalisation
from models.weights.kept import Kept
from models.weights.sources import WeightsSource


@dataclass(frozen=True)
class Network:
    """What a name stands for. `build(device)` makes it ("meta" allocates nothing); spec is None if it is not ours."""

    name: str
    build: Callable[[str], nn.Module]
    input_size: InputSize
    spec: Spec | None = None

    def analysis(self, input_size: InputSize | None = None) -> Analysis:
        """Its structure, worked out without allocating. Raises TraceError, SpecError."""
        size, own = input_size or self.input_size, getattr(self.spec, "in_channels", None)
        if own not in (None, size[0]):
            raise SpecError(f"in_channels={own} cannot read an input of {size[0]} channels.")
        return analyze(self.build("meta"), size) if self.spec is None else structure(self.spec, size)


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
        parameter = next(self.module.parameters())
        return self.preprocessing.tensor(pixels).to(parameter.device)


def find(name: str, knobs: Mapping[str, str] | None = None, seed: int = 0) -> Network:
    """The network of that name, with knobs given as text. Raises UnknownNameError, SpecError."""
    source, _, inner = name.rpartition(":")
    knobs = knobs or {}
    if source in ("torchvision", "timm") and knobs:
        raise UserError(f"--set {next(iter(knobs))}: {name} has no knobs; they belong to the presets of this program.")
    match source:
        case "":
            return _ours(name, _changed(models.preset(name).spec, knobs), seed)
        case "block":
            return _block(name, knobs, seed)
        case "torchvision":
            return _torchvision(inner, seed)
        case "timm":
            return _timm(inner, seed)
    raise UnknownNameError(f"{name!r} is not a preset, block:NAME, torchvision:NAME or timm:NAME.")


def _changed(spec: Spec, knobs: Mapping[str, str]) -> Spec:
    return spec.replace(**{knob: decode_knob(type(spec), knob, text) for knob, text in knobs.items()})


def _ours(name: str, spec: Spec, seed: int) -> Network:
    assert isinstance(spec, NetSpec)
    size = (spec.in_channels, spec.image_size, spec.image_size)
    return Network(name, lambda device: models.build(spec, device=device, seed=seed), size, spec)


def _block(name: str, knobs: Mapping[str, str], seed: int) -> Network:
    block = models.block(name.partition(":")[2])
    spec = _changed(block.spec(), knobs)
    size = (getattr(spec, "in_channels", block.input_size[0]), *block.input_size[1:])
    return Network(name, lambda device: models.build(spec, device=device, seed=seed), size, spec)


def _torchvision(name: str, seed: int = 0) -> Network:
    import torchvision

    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        raise UnknownNameError(_unknown(f"torchvision:{name}", (f"torchvision:{other}" for other in known)))
    entries = list(torchvision.models.get_model_weights(name))
    crop = getattr(entries[0].transforms(), "crop_size", [224])[0] if entries else 224
    make = torchvision.models.get_model
    return Network(f"torchvision:{name}", lambda device: _quietly(make, name, device, seed), (3, crop, crop))


def _timm(name: str, seed: int = 0) -> Network:
    try:
        import timm  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise UnknownNameError(
            f"timm:{name} needs timm, which is not installed: pip install 'cnn-explorer[timm]'."
        ) from None
    if not timm.is_model(name):
        raise UnknownNameError(_unknown(f"timm:{name}", (f"timm:{other}" for other in timm.list_models())))
    size = timm.get_pretrained_cfg(name).input_size  # type: ignore[union-attr]
    return Network(f"timm:{name}", lambda device: _quietly(timm.create_model, name, device, seed), size)


def _quietly(make: Callable[..., nn.Module], name: str, device: str, seed: int) -> nn.Module:
    """Build on a device; some builders compute their widths with tensors, which "meta" cannot: those allocate first."""
    import warnings

    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        try:
            with torch.device(device):
                return make(name).eval()
        except NotImplementedError:
            return make(name).eval().to(device)


def _unknown(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"There is no network {name!r}" + (f"; did you mean {near[0]!r}?" if near else ".")


# -- with weights -----------------------------------------------------------------------------------------------------


def weights_source(name: str, choice: str | None = None) -> WeightsSource:
    """A network's weights by name, or a .safetensors file for a preset; the best that need no download by default."""
    found = _available(name)
    if choice is None:
        return found[0]
    if choice.endswith(".safetensors") and ":" not in name:
        return sources.file_source(Path(choice).name, Path(choice), name)
    for source in found:
        if source.name == choice:
            return source
    raise UnknownNameError(f"weights={choice!r} of {name} is not one of {', '.join(s.name for s in found)}.")


def _available(name: str) -> list[WeightsSource]:
    """The weights that a network can have: torchvision's own for its networks, random ones alone for timm's."""
    library, _, inner = name.rpartition(":")
    match library:
        case "torchvision":
            side = _torchvision(inner).input_size[1]
            published = sources.imagenet(inner, side)
            usual = ExpectedInput(side, side, *imagenet_normalisation(3), origin=f"a guess, as {name} has no weights")
            return [_random(published[0].preprocessing if published else usual), *published]
        case "timm":
            return [_random(_timms_preprocessing(inner))]
        case "block":
            raise UserError(f"{name} takes no picture: choose a whole network.")
    return sources.available(name)


def _random(expected: ExpectedInput) -> WeightsSource:
    return WeightsSource("random", "random", "Random", expected)


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
    kept = sources.load(module, source, progress=progress, cancel=cancel, partial=partial)
    module = module.to(target)
    names = _names(source, figures.layers[-1].output_shape[1])
    return LoadedNetwork(module, trace(module, network.input_size), prepared, names, kept)


def kept_in_words(kept: Kept, source: WeightsSource, preset: str, seed: int) -> str:
    """What a changed network keeps of the weights of its preset, where the rest comes from, and what is not known."""
    new = f" What is new is untrained, from seed {seed}." if kept.fresh else ""
    accuracy = "" if source.kind == "file" else f" Its accuracy is not known; that of {preset} is another network's."
    return kept.sentence(source.title) + new + accuracy


def preprocessing(source: WeightsSource, spec: NetSpec, choices: InputChoices | None = None) -> Preprocessing:
    """As the weights expect it but for the choices, at the size and channels of the network. Raises UserError."""
    return fitted(source.preprocessing, (spec.in_channels, spec.image_size, spec.image_size), choices)


def classes(source: WeightsSource, spec: NetSpec) -> tuple[str, ...]:
    """The names of the classes, without building; numbers where the weights name none for this many."""
    return _names(source, spec.num_classes)


def _names(source: WeightsSource, count: int) -> tuple[str, ...]:
    named = source.classes or ()
    return named if len(named) == count else tuple(f"class {i}" for i in range(count))
