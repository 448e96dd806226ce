"""Which weights are chosen, out of those that the preset has and the person's own file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import streamlit as st

import models
from explorer.errors import UserError
from explorer.networks import catalog
from explorer.networks.catalog import Network
from explorer.run.device import format_bytes
from explorer.ui import jobs, state
from explorer.ui.jobs import Job
from models.spec import NetSpec
from models.weights import download, sources
from models.weights.sources import WeightsSource

FILE = "file"
DOWNLOAD = "download"
_UPLOADED = "uploaded weights"
_ONLY_PRESETS = "A file of weights can be given to presets alone."


@dataclass(frozen=True)
class Upload:
    """A person's file of weights, with its digest."""

    name: str
    data: bytes
    digest: str


@st.cache_resource(max_entries=256, show_spinner=False)
def offered(preset: str) -> list[WeightsSource]:
    """What the network of this name has, the best that needs no download first."""
    return catalog.available(preset)


def trained(preset: str) -> str | None:
    """The preset of this architecture that comes with weights trained here: this one, else the first; None if none."""
    if preset not in models.presets():
        return None
    compact = (name for name, of in models.architecture_of(preset).presets.items() if of.compact)
    return next((name for name in (preset, *compact) if offered(name)[0].kind == "shipped"), None)


def chosen(network: Network, asked: str) -> tuple[WeightsSource, str | None]:
    """The source in use, with the sentence that says why it is not the one asked for.

    Where none was asked for: the best that the network has, of which a changed preset keeps what fits.
    """
    if network.own_weights is not None:
        return network.own_weights, None
    preset, spec = network.name, network.spec
    found = {source.name: source for source in offered(preset)}
    usual = next(iter(found.values()))
    if asked == FILE:
        return _own(preset, spec, usual) if isinstance(spec, NetSpec) else (usual, _ONLY_PRESETS)
    if asked.startswith(f"{FILE}:"):
        if asked == pinned_file() and isinstance(spec, NetSpec):
            return _own(preset, spec, usual)
        return usual, f"The file of weights of this variant of {preset} is not here any more; {usual.title} is used."
    if asked and asked not in found:
        return usual, f"weights={asked[:40]!r} of {preset} is not one of {', '.join(found)}."
    return found.get(asked, usual), None


def _own(preset: str, spec: NetSpec, usual: WeightsSource) -> tuple[WeightsSource, str | None]:
    if not (upload := uploaded()):
        return usual, None
    try:
        found = _read(preset, upload.digest, upload)
        sources.keeps(found, preset, spec)
        return found, None
    except UserError as error:
        return usual, str(error)


@st.cache_resource(max_entries=16, show_spinner=False)
def _read(preset: str, digest: str, _upload: Upload) -> WeightsSource:
    """A file's weights, whose header is read once and not at every click; `digest` tells files apart."""
    del digest
    return sources.file_source(_upload.name, _upload.data, preset)


def uploaded() -> Upload | None:
    """The file that this session uploaded."""
    return st.session_state.get(_UPLOADED)


def pinned_file() -> str:
    """What names the uploaded file, and no other, where a variant keeps its weights; "" where there is none."""
    upload = uploaded()
    return f"{FILE}:{upload.digest[:12]}" if upload else ""


def take(data: bytes | None, name: str) -> None:
    """Keep an uploaded file of weights; None takes it away."""
    state.name_own(FILE, name if data else None)
    upload = Upload(name, data, hashlib.sha256(data).hexdigest()) if data else None
    st.session_state[_UPLOADED] = upload


def digest(source: WeightsSource) -> str:
    """What tells these weights from all others, and whether they have been downloaded."""
    if source.kind == "file" and (upload := uploaded()):
        return upload.digest
    return f"{source.name} {source.url or source.path}" + (" to download" if source.needs_download else "")


def download_job(source: WeightsSource) -> Job:
    """Fetch published weights in the background."""
    url = source.url or ""

    def work(job: Job) -> None:
        download.fetch(url, job.progress, job.should_stop)

    return jobs.start(DOWNLOAD, (url,), work, show=format_bytes)
