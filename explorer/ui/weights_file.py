"""A person's file of weights on the page: read beside it, and the network at hand given the knobs that it shows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import streamlit as st

import models
from explorer.errors import UserError
from explorer.networks import catalog, identify
from explorer.networks.catalog import Network
from explorer.networks.knob_text import plain
from explorer.networks.own_weights import builder_of, own_source
from explorer.ui import awaited, jobs, state
from explorer.ui.jobs import Job
from models.errors import WeightsError
from models.spec import NetSpec
from models.weights.class_names import read_class_names
from models.weights.own_file import OwnFile, open_upload
from models.weights.recognise import NetworkMatch, adapted, match_of
from models.weights.safetensors_file import difference
from models.weights.sources import WeightsSource

FILE = "file"
READING, SEARCHING = "file of weights", "network of the file"
_UPLOADED = "uploaded weights"


@dataclass(frozen=True)
class Upload:
    """A person's file of weights, with its digest.

    partial: the person wants what fits of it. settled: the network that has had the knobs which the file shows; shown:
    those knobs, with the reasons. everywhere: networks of other libraries are looked at too. classes: their names, of a
    file beside it, or classes_error says why there are none.
    """

    name: str
    data: bytes = field(repr=False)
    digest: str
    partial: bool = False
    settled: str = ""
    shown: NetworkMatch | None = field(default=None, repr=False, compare=False)
    everywhere: bool = False
    classes: tuple[str, ...] | None = None
    classes_error: str | None = None


def uploaded() -> Upload | None:
    """The file that this session uploaded."""
    return st.session_state.get(_UPLOADED)


def take(data: bytes | None, name: str) -> None:
    """Keep an uploaded file of weights; None takes it away."""
    state.name_own(FILE, name if data else None)
    _keep(Upload(name, data, hashlib.sha256(data).hexdigest()) if data else None)


def take_classes(data: bytes | None, name: str) -> None:
    """Keep the class names of a file that was uploaded beside the weights; None takes them away."""
    try:
        change(classes=read_class_names(name, data) if data is not None else None, classes_error=None)
    except UserError as error:
        change(classes=None, classes_error=str(error))


def _keep(upload: Upload | None) -> None:
    st.session_state[_UPLOADED] = upload


def change(**changes: Any) -> None:
    """Change what is wanted of the uploaded file."""
    if (upload := uploaded()) is not None:
        _keep(replace(upload, **changes))


def reading(upload: Upload) -> Job:
    """The job that makes the file ready, whose result is an OwnFile. Raises UserError where no job may run."""

    def work(job: Job) -> OwnFile:
        return open_upload(upload.data, upload.name, job.should_stop)

    job = jobs.start(READING, (upload.digest,), work)
    job.wait(awaited.GRACE_S)
    return job


def searching(upload: Upload, file: OwnFile) -> Job:
    """The job that looks for the networks that a file may belong to."""

    def work(job: Job) -> list[NetworkMatch]:
        return identify.identify(file, job.progress, upload.everywhere)

    job = jobs.start(SEARCHING, (upload.digest, upload.everywhere), work)
    job.wait(awaited.GRACE_S)
    return job


def settle() -> None:
    """Give the preset at hand the classes, channels and size that a file which just came shows, in one step that can
    be undone; nothing where it is another network's."""
    upload = uploaded()
    if state.get("weights") != FILE or upload is None or upload.settled == state.get("preset"):
        return
    job = reading(upload)
    if not job.finished:
        return
    found = _shown_by(job.result, state.get("preset")) if job.result is not None else None
    change(settled=state.get("preset"), shown=found, partial=False)
    if found is not None and found.name in models.presets():
        state.open_network(found.name, {name: plain(value) for name, value in found.knobs.items()})


def _shown_by(file: OwnFile, name: str) -> NetworkMatch | None:
    """The network at hand as the file shows it, with the knobs that were set, else without them; None if neither is."""
    held, network = file.header.shapes, builder_of(name)
    for knobs in (state.knobs() if name in models.presets() else {}, {}):
        try:
            found = adapted(held, network, _checked(name, knobs))
        except models.SpecError:  # knobs that make no network
            continue
        if found.fit.is_whole:
            return found
    return None


def _checked(name: str, knobs: Mapping[str, Any]) -> dict[str, Any]:
    """The knobs, as a Spec has them."""
    if not knobs:
        return {}
    own = models.spec(name)
    return type(own).parse({**plain(own), **knobs}).changes_from(own)


def options(name: str, wanted: str) -> dict[str, Any]:
    """What the builder of another library's network is told, so that the uploaded file fits."""
    upload = uploaded()
    is_wanted = wanted.partition(":")[0] == FILE and upload is not None and upload.shown is not None
    return dict(upload.shown.knobs) if is_wanted and upload and upload.shown and upload.shown.name == name else {}


def source_for(network: Network, upload: Upload) -> WeightsSource | None:
    """The file as weights of the network; None while it is being read. Raises UserError where it does not fit."""
    job = reading(upload)
    if not job.finished:
        return None
    if job.result is None:
        raise WeightsError(job.error or f"{upload.name} was not read: it was stopped.")
    match = match_at_hand(network, upload, job.result)
    if not (match.fit.is_whole or upload.partial or _is_changed(network)):
        raise WeightsError(f"{upload.name} holds the weights of another network: {difference(match.fit)}.")
    usual = catalog.usual_input(network.name)
    found = own_source(job.result, network.name, match, usual, upload.partial)
    return replace(found, classes=upload.classes) if upload.classes else found


def match_at_hand(network: Network, upload: Upload, file: OwnFile) -> NetworkMatch:
    """How the file fits the network as it is."""
    found = _match(upload.digest, network.key, network, file)
    if upload.shown is None or upload.shown.name != network.name:
        return found
    if network.spec is None:  # which was built with them
        return replace(found, knobs=upload.shown.knobs, reasons=upload.shown.reasons)
    same = {name: why for name, why in upload.shown.reasons.items()
            if found.knobs.get(name) == upload.shown.knobs[name]}  # fmt: skip
    return replace(found, reasons=same)


@st.cache_resource(max_entries=64, show_spinner=False)
def _match(digest: str, key: str, _network: Network, _file: OwnFile) -> NetworkMatch:
    """Cached, as every click asks for it."""
    return match_of(_file.header.shapes, _network.name, catalog.shapes_of_network(_network), _knobs(_network))


def _knobs(network: Network) -> dict[str, Any]:
    if isinstance(network.spec, NetSpec):
        return network.spec.changes_from(models.spec(network.name))
    return {}


def _is_changed(network: Network) -> bool:
    """Whether a person changed knobs, of which the file then gives what fits."""
    upload = uploaded()
    shown = dict(upload.shown.knobs) if upload and upload.shown and upload.shown.name == network.name else {}
    return _knobs(network) not in ({}, shown)
