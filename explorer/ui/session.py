"""What the person has chosen, and what follows from it: structure, network, input. Heavy parts are cached and shared.

Cached modules are in eval mode and never changed; the executor leaves them as they were.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import streamlit as st
import torch
from torch import nn

import models
from explorer import datasets, device, images, trace
from explorer.analyze import Analysis, analyze
from explorer.errors import MemoryLimitError, SpecError, UserError
from explorer.images import LoadedImage
from explorer.preprocessing import Preprocessing
from explorer.trace import TracedProgram
from explorer.ui import settings, state
from models.registry import Architecture
from models.spec import NetSpec

SAMPLES = Path(__file__).parents[2] / "assets" / "samples"
FIRST_SAMPLE = "cat"


@dataclass(frozen=True)
class Session:
    """One run of the page: frozen choices, and properties that are worked out when first asked for.

    spec: the newest that can be built; where the knobs at hand cannot, spec_error says why and `spec` is the last
    good one. image_error: why there is no image.
    """

    architecture: Architecture
    preset: str
    spec: NetSpec
    spec_error: str | None
    weights: str
    seed: int
    image: LoadedImage | None
    image_error: str | None
    device: str

    @property
    def preset_spec(self) -> NetSpec:
        """The preset as it was before any knob was changed."""
        return self.architecture.presets[self.preset].spec

    @property
    def input_size(self) -> tuple[int, int, int]:
        """(channels, height, width) of the network's input."""
        return self.spec.in_channels, self.spec.image_size, self.spec.image_size

    @cached_property
    def analysis(self) -> Analysis:
        """Graph, shapes, fields and costs of `spec`; nothing is allocated. Raises TraceError."""
        return analysis_of(self.spec)

    @cached_property
    def preset_analysis(self) -> Analysis:
        """The same of the preset, for the differences. Raises TraceError."""
        return analysis_of(self.preset_spec)

    @cached_property
    def built(self) -> Built:
        """The network with its weights, on the device. Raises MemoryLimitError before anything is allocated."""
        return _build_in_memory(self.spec, self.weights, self.seed, self.device)

    @property
    def module(self) -> nn.Module:
        """The network with its weights, in eval mode."""
        return self.built.module

    @property
    def program(self) -> TracedProgram:
        """The runnable program of `module`, for the executor."""
        return self.built.program

    @property
    def categories(self) -> tuple[str, ...]:
        """The classes' names, numbers where the weights name none."""
        known = datasets.CLASSES if self.spec.num_classes == len(datasets.CLASSES) else ()
        return known or tuple(f"class {i}" for i in range(self.spec.num_classes))

    @cached_property
    def preprocessing(self) -> Preprocessing:
        """What the weights expect of a picture. Raises UserError where the network takes no picture."""
        channels, side = self.spec.in_channels, self.spec.image_size
        if channels not in (1, 3):
            raise UserError(f"in_channels={channels}: a picture has 3 channels, or 1 in gray.")
        return Preprocessing(side, (side, side), datasets.MEAN[:channels], datasets.STD[:channels], channels)

    @property
    def picture(self) -> LoadedImage:
        """The image. Raises UserError where there is none."""
        if self.image is None:
            raise UserError(self.image_error or "Choose a picture in the sidebar first.")
        return self.image

    @cached_property
    def input(self) -> torch.Tensor:
        """The image as the network's input on the device, float32 [1, C, H, W]. Raises UserError."""
        return self.preprocessing.tensor(self.picture.pixels).to(self.device)

    @property
    def layer(self) -> str:
        """The chosen layer's id; the last feature map where none, or one that is not there, is chosen."""
        chosen = state.get("layer")
        return chosen if chosen in self.analysis.graph else self.analysis.head_layer

    @property
    def channel(self) -> int | None:
        """The chosen channel of the layer; None where a view should choose."""
        chosen = state.get("channel")
        return chosen if 0 <= chosen < self.analysis[self.layer].output_shape[1] else None

    @property
    def key(self) -> tuple[str, ...]:
        """What names this network and input in caches and jobs: equal keys give equal results."""
        digest = self.image.digest if self.image else ""
        return spec_key(self.spec), self.weights, str(self.seed), self.device, digest


@dataclass(frozen=True, eq=False)
class Built:
    """A network with weights, and its program."""

    module: nn.Module
    program: TracedProgram


def current() -> Session:
    """The session of this run, from the state. Raises nothing: what is wrong is kept as a sentence."""
    preset = state.get("preset")
    architecture = models.architecture_of(preset)
    spec, spec_error = _spec(architecture.presets[preset].spec, preset)
    image, image_error = _image()
    return Session(
        architecture, preset, spec, spec_error, _weights(), state.get("seed"), image, image_error, _device()
    )


def _spec(base: NetSpec, preset: str) -> tuple[NetSpec, str | None]:
    """The Spec of the knobs; the last good one of this preset, with the reason, where they have none."""
    try:
        spec = type(base).parse({**settings.plain(base), **state.knobs()})
        models.check(spec)  # pyright: ignore[reportArgumentType] (frozen, so hashable)
    except SpecError as error:
        last_preset, last = st.session_state.get("last good", (preset, base))
        return (last if last_preset == preset else base), str(error)
    st.session_state["last good"] = preset, spec
    return spec, None


def _weights() -> str:
    return state.get("weights") or "random"


def _device() -> str:
    names = [info.device for info in devices()]
    return state.get("device") if state.get("device") in names else device.default().device


@st.cache_resource
def devices() -> list[device.DeviceInfo]:
    """The processors of this machine."""
    return device.available()


# -- pictures ---------------------------------------------------------------------------------------------------------


@st.cache_data
def samples() -> dict[str, str]:
    """The sample pictures: name in the link, file."""
    return {path.stem: str(path) for path in sorted(SAMPLES.glob("*.png"))}


@st.cache_data(max_entries=32, show_spinner=False)
def _sample(path: str) -> LoadedImage:
    return images.load(path)


def sample_name() -> str:
    """The sample chosen, the first one where none is."""
    chosen = state.get("image")
    return chosen if chosen in samples() else FIRST_SAMPLE


def _image() -> tuple[LoadedImage | None, str | None]:
    if state.get("image") in ("upload", "camera"):
        return st.session_state.get("uploaded", (None, None))
    try:
        return _sample(samples()[sample_name()]), None
    except UserError as error:
        return None, str(error)


def take_picture(data: bytes, name: str) -> None:
    """Make an uploaded file the picture, or keep the sentence that says why it is none."""
    try:
        st.session_state["uploaded"] = images.load(data, name), None
    except UserError as error:
        st.session_state["uploaded"] = None, str(error)


# -- what is cached for all sessions ----------------------------------------------------------------------------------


def spec_key(spec: NetSpec) -> str:
    """A text that is equal for equal Specs only."""
    return f"{type(spec).__name__} {spec.model_dump_json()}"


def analysis_of(spec: NetSpec, unchecked: bool = False) -> Analysis:
    """The analysis of a Spec; with `unchecked` up to the layer that fails. Raises TraceError."""
    return _analysis(spec_key(spec), unchecked, spec)


@st.cache_resource(max_entries=128, show_spinner=False)
def _analysis(key: str, unchecked: bool, _spec: NetSpec) -> Analysis:
    module = models.build(_spec, device="meta", unchecked=unchecked)
    return analyze(module, (_spec.in_channels, _spec.image_size, _spec.image_size), partial=unchecked)


def _build_in_memory(spec: NetSpec, weights: str, seed: int, where: str) -> Built:
    figures = analysis_of(spec)
    needed = figures.weight_bytes + figures.peak_bytes
    arguments: tuple[Any, ...] = (spec_key(spec), weights, seed, where, needed, spec)
    try:
        return _built(*arguments)
    except MemoryLimitError:
        _built.clear()  # networks that nobody looks at may hold the memory
        return _built(*arguments)


@st.cache_resource(max_entries=4, show_spinner="Building the network…")
def _built(key: str, weights: str, seed: int, where: str, _needed: int, _spec: NetSpec) -> Built:
    device.ensure_fits(_needed, where, "This network")
    module = models.build(_spec, seed=seed).to(where)
    return Built(module, trace.trace(module, (_spec.in_channels, _spec.image_size, _spec.image_size)))
