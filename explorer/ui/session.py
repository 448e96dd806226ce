"""What the person has chosen, and what follows from it: structure, network, input. Heavy parts are cached and shared.

Cached modules are in eval mode and never changed; the executor leaves them as they were.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from weakref import WeakValueDictionary

import streamlit as st
import torch

import models
from explorer.analysis.structure import Analysis, analyze
from explorer.errors import Cancelled, MemoryLimitError, TraceError, UserError
from explorer.graph.names import layer_or_none
from explorer.images.codec import LoadedImage
from explorer.images.preprocess import Preprocessing
from explorer.networks import catalog
from explorer.networks.catalog import LoadedNetwork, Network
from explorer.networks.picture_input import fitted
from explorer.networks.variants import Variant
from explorer.run import device
from explorer.types import InputSize
from explorer.ui import input_choices, jobs, opened, pictures, server, state, weights, weights_file
from explorer.ui.markdown import markdown_safe
from explorer.ui.settings import KnobSet, Setting
from models.draft import draft
from models.errors import SpecError
from models.registry import Architecture
from models.spec import NetSpec
from models.weights.expected_input import InputChoices
from models.weights.kept import Kept
from models.weights.sources import WeightsSource

SETTINGS = (
    Setting("image", "", choices=lambda: ("", *pictures.names()), instead=f"the sample {pictures.FIRST}"),
    Setting("device", "", choices=lambda: ("", *(info.device for info in devices()))),
    *input_choices.SETTINGS,
)
ALL_PICTURES = "all pictures"  # the kind of a job that goes on while a person steps through them


@dataclass(frozen=True)
class Session:
    """One run of the page: frozen choices, and properties that are worked out when first asked for.

    network: the newest that can be built; where the knobs at hand make none, spec_error says why and it is the last
    good one. weights_error: why `source` is not what was asked for. image_error: why there is no image.
    weights_digest: what tells these weights from all others. choices: of preprocessing, over what the weights expect;
    choices_error: why those that were made do not do.
    """

    network: Network
    spec_error: str | None
    source: WeightsSource
    weights_error: str | None
    weights_digest: str
    seed: int
    image: LoadedImage | None
    image_error: str | None
    device: str
    choices: InputChoices = InputChoices()
    choices_error: str | None = None

    @property
    def preset(self) -> str:
        """The name of the network: a preset's, or one of another source, as torchvision:resnet18."""
        return self.network.name

    @property
    def is_ours(self) -> bool:
        """Whether the network is a preset, which has a Spec with knobs, and an architecture."""
        return self.network.spec is not None

    @property
    def spec(self) -> NetSpec:
        """The preset with its knobs. Raises UserError where the network is none of ours."""
        if isinstance(self.network.spec, NetSpec):
            return self.network.spec
        raise UserError(f"{self.preset} is no preset of this program: it has no knobs that could be changed.")

    @property
    def is_changed(self) -> bool:
        """Whether a knob of a preset was changed."""
        return self.is_ours and self.spec != self.preset_spec

    @property
    def architecture(self) -> Architecture:
        """What the preset is one of. Raises UserError where the network is none of ours."""
        _ = self.spec
        return models.architecture_of(self.preset)

    @property
    def title(self) -> str:
        """What stands above the page."""
        if self.is_ours:
            return f"{self.architecture.title} · {self.preset}"
        return markdown_safe(opened.title(self.preset))

    @property
    def preset_spec(self) -> NetSpec:
        """The preset as it was before any knob was changed. Raises UserError where the network is none of ours."""
        return self.architecture.presets[self.preset].spec

    @property
    def input_size(self) -> InputSize:
        """(channels, height, width) of the network's input."""
        return self.network.input_size

    @cached_property
    def analysis(self) -> Analysis:
        """Graph, shapes, fields and costs of the network; nothing is allocated. Raises TraceError."""
        return analysis_of(self.network)

    @cached_property
    def preset_analysis(self) -> Analysis | None:
        """The same of the preset, for the differences; None where the network is none of ours. Raises TraceError."""
        return analysis_of(catalog.of_spec(self.preset, self.preset_spec)) if self.is_ours else None

    def load(self, cancel: Callable[[], bool] = lambda: False) -> LoadedNetwork:
        """The network with its weights, on the device: seconds of work the first time, so it is called in jobs.

        Its preprocessing is the one at hand, with a person's choices, which a cached network knows nothing of.
        Raises MemoryLimitError before anything is allocated, WeightsError, UserError where a download comes first,
        Cancelled.
        """
        if self.source.needs_download:
            raise UserError(f"The weights {self.source.title} are not here yet: download them in the sidebar.")
        return replace(_load(self, cancel), preprocessing=self.preprocessing)

    @cached_property
    def kept(self) -> Kept | None:
        """What a changed network keeps of the weights; None where these are random, or the network is the preset."""
        return catalog.keeps(self.network, self.source)

    @property
    def kept_sentence(self) -> str | None:
        """The same in words: which layers are new, and whose accuracy is told."""
        return self.kept and catalog.kept_in_words(self.kept, self.source, self.preset, self.seed)

    @property
    def has_seed(self) -> bool:
        """Whether some weights are as the seed initialises them."""
        return self.source.kind == "random" or bool(self.kept and self.kept.fresh)

    @property
    def categories(self) -> tuple[str, ...]:
        """The classes' names, numbers where the weights name none."""
        if self.is_ours:
            return catalog.classes(self.source, self.spec)
        return catalog.classes_of(self.source, self.analysis)

    @property
    def preprocessing(self) -> Preprocessing:
        """What the weights expect of a picture, or a person chose, without building. Raises UserError where none can be
        shown."""
        return fitted(self.source.preprocessing, self.input_size, self.choices)

    @property
    def picture(self) -> LoadedImage:
        """The image. Raises UserError where there is none."""
        if self.image is None:
            raise UserError(self.image_error or "Choose a picture in the sidebar first.")
        return self.image

    @cached_property
    def view(self) -> Any:
        """The part of the picture that the network sees, uint8 [H, W, 3]. Raises UserError."""
        return self.preprocessing.view(self.picture.pixels)

    @cached_property
    def input(self) -> torch.Tensor:
        """The image as the network's input on the device, [1, C, H, W] in the type of its weights. Raises UserError."""
        return self.preprocessing.tensor(self.picture.pixels).to(self.device, self.network.dtype)

    @property
    def layer(self) -> str:
        """The chosen layer's id; the last feature map where none, or one that is not there, is chosen."""
        chosen = state.get("layer")
        return (chosen and layer_or_none(self.analysis.graph, chosen)) or self.analysis.head_layer

    @property
    def channel(self) -> int | None:
        """The chosen channel of the layer; None where a view should choose."""
        chosen, shape = state.get("channel"), self.analysis[self.layer].output_shape
        return chosen if len(shape) > 1 and 0 <= chosen < shape[1] else None

    @property
    def network_key(self) -> tuple[str, ...]:
        """What names this network in caches and jobs: equal keys give equal results."""
        seed = str(self.seed) if self.has_seed else ""
        return self.network.key, self.weights_digest, seed, self.device

    @property
    def reader_key(self) -> tuple[str, ...]:
        """The same of the network and how pictures come to it, whichever picture is at hand."""
        return (*self.network_key, self._prepared)

    @property
    def key(self) -> tuple[str, ...]:
        """The same of network and picture together."""
        return (*self.network_key, (self.image.digest if self.image else "") + self._prepared)

    @property
    def _prepared(self) -> str:
        return str(self.choices) if self.choices.named else ""


def begin(settings: Iterable[Setting], knob_sets: Iterable[KnobSet]) -> Session:
    """Start a run: the state from the link, and the session from the state."""
    server.restore_main()
    state.begin(settings, knob_sets)
    return _at_hand()


def resume() -> Session:
    """The session of a run of a part of the page alone, from the state."""
    server.restore_main()
    state.resume()
    return _at_hand()


def start_over() -> Session:
    """The session of the first preset, where that of the link could not be opened."""
    state.start_over()
    return _at_hand()


def _at_hand() -> Session:
    """The session of this run; jobs for another network or picture are stopped."""
    session = current()
    anyway = [weights.DOWNLOAD, weights_file.READING, weights_file.SEARCHING, ALL_PICTURES]
    jobs.retain(session.key, session.reader_key, besides=anyway)
    return session


def current() -> Session:
    """The session of this run, from the state. Raises nothing: what is wrong is kept as a sentence."""
    weights_file.settle()
    name, seed = state.get("preset"), state.get("seed")
    network, spec_error = _network(name, seed)
    session = _of(network, spec_error, state.get("weights"), seed)
    if state.is_fresh():
        _check_layer(session)
    return session


def of_variant(variant: Variant) -> Session:
    """The session as if this were the chosen network. Raises SpecError where its knobs make none, UserError."""
    name, seed = variant.preset, variant.seed
    is_ours = name in models.presets()
    network = catalog.of_spec(name, variant.spec, seed) if is_ours else _opened(name, seed, variant.weights)
    return _of(network, None, variant.weights, seed)


def _network(name: str, seed: int) -> tuple[Network, str | None]:
    if name not in models.presets():
        return _opened(name, seed, state.get("weights")), None
    spec, spec_error = _spec(models.preset(name).spec, name)
    return catalog.of_spec(name, spec, seed), spec_error


def _opened(name: str, seed: int, wanted: str) -> Network:
    return opened.named(name, seed, weights_file.options(name, wanted))


def _of(network: Network, spec_error: str | None, wanted: str, seed: int) -> Session:
    source, weights_error = weights.chosen(network, wanted)
    chosen = network.device or state.get("device") or device.default().device
    return Session(
        network, spec_error, source, weights_error, weights.digest(source), seed, *pictures.current(), chosen,
        *_choices(source, network.input_size),
    )  # fmt: skip


def _choices(source: WeightsSource, size: InputSize) -> tuple[InputChoices, str | None]:
    """What was chosen of preprocessing; nothing, with the reason, where that does not do for this network."""
    try:
        found = input_choices.chosen()
        if found.named:
            fitted(source.preprocessing, size, found)
    except UserError as error:
        return InputChoices(), str(error)
    return found, None


def _check_layer(session: Session) -> None:
    """Refuse a layer or channel of the link that this network does not have."""
    with contextlib.suppress(UserError):
        if state.get("layer") and layer_or_none(session.analysis.graph, state.get("layer")) is None:
            state.refuse("layer", "is not a layer of this network; the view chooses one")
        if state.get("channel") >= 0 and not state.get("layer"):
            state.refuse("channel", "is of no layer, as the link names none")
        elif state.get("channel") >= 0 and session.channel is None:
            state.refuse("channel", f"is not a channel of {session.layer}")


def _spec(base: NetSpec, preset: str) -> tuple[NetSpec, str | None]:
    """The Spec of the knobs; the last good one of this preset, with the reason, where they have none."""
    try:
        spec = type(base).parse(state.knob_values())
        analysis_of(catalog.of_spec(preset, spec))
    except (SpecError, TraceError) as error:
        last_preset, last = st.session_state.get("last good", (preset, base))
        return (last if last_preset == preset else base), str(error)
    st.session_state["last good"] = preset, spec
    return spec, None


def partial_analysis(session: Session) -> Analysis | None:
    """What can be said of the knobs that make no network, up to the layer that fails; None where that is nothing."""
    values = state.knob_values()
    return _partial(f"{session.preset} {values}", session, values)


@st.cache_resource(max_entries=8, show_spinner=False)
def _partial(key: str, _session: Session, _values: dict[str, Any]) -> Analysis | None:
    try:
        spec, module = draft(_session.architecture, _values)
        return analyze(module, catalog.of_spec(_session.preset, spec).input_size, partial=True)
    except Exception:  # whatever a builder makes of values that its Spec refuses: there is just no picture
        return None


@st.cache_resource
def devices() -> list[device.DeviceInfo]:
    """The processors of this machine."""
    return device.available()


# -- what is cached for all sessions ----------------------------------------------------------------------------------


def analysis_of(network: Network) -> Analysis:
    """The analysis of a network, which takes no memory to speak of. Raises SpecError, TraceError."""
    return (_analysis if network.own_weights is None else _own_analysis)(network.key, network)


@st.cache_resource(max_entries=128, show_spinner=False)
def _analysis(key: str, _network: Network) -> Analysis:
    return _network.analysis()


@st.cache_resource(max_entries=4, show_spinner=False)  # each holds the weights
def _own_analysis(key: str, _network: Network) -> Analysis:
    return _network.analysis()


def _load(session: Session, cancel: Callable[[], bool]) -> LoadedNetwork:
    lock = _loading.setdefault(session.network_key, threading.Lock())
    while not lock.acquire(timeout=0.1):  # the cache has a lock of its own, which asks nobody whether to go on
        if cancel():
            raise Cancelled
    try:
        return _loaded(session.network_key, session, cancel)
    except MemoryLimitError:
        _loaded.clear()  # networks that nobody looks at may hold the memory
        return _loaded(session.network_key, session, cancel)
    finally:
        lock.release()


_loading: WeakValueDictionary[tuple[str, ...], threading.Lock] = WeakValueDictionary()


@st.cache_resource(max_entries=4, show_spinner=False)
def _loaded(key: tuple[str, ...], _session: Session, _cancel: Callable[[], bool]) -> LoadedNetwork:
    partial = _session.kept is not None
    return catalog.load(_session.network, _session.source, _session.device, partial=partial, cancel=_cancel)
