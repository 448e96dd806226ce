"""Which weights are chosen, out of those that the preset has and the person's own file."""

from __future__ import annotations

import streamlit as st

import models
from explorer.errors import UserError
from explorer.networks import catalog
from explorer.networks.catalog import Network
from explorer.run.device import format_bytes
from explorer.ui import jobs, weights_file
from explorer.ui.jobs import Job
from explorer.ui.weights_file import FILE
from models.weights import download
from models.weights.sources import WeightsSource

DOWNLOAD = "download"


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
    preset = network.name
    found = {source.name: source for source in offered(preset)}
    usual = next(iter(found.values()))
    if asked == FILE or (asked and asked == pinned_file()):
        return _own(network, usual)
    if asked.startswith(f"{FILE}:"):
        return usual, f"The file of weights of this variant of {preset} is not here any more; {usual.title} is used."
    if asked and asked not in found:
        return usual, f"weights={asked[:40]!r} of {preset} is not one of {', '.join(found)}."
    return found.get(asked, usual), None


def _own(network: Network, usual: WeightsSource) -> tuple[WeightsSource, str | None]:
    if not (upload := weights_file.uploaded()):
        return usual, None
    try:
        found = weights_file.source_for(network, upload)
        if found is not None:
            catalog.keeps(network, found)
        return found or usual, None
    except UserError as error:
        return usual, str(error)


def pinned_file() -> str:
    """What names the uploaded file, and no other, where a variant keeps its weights; "" where there is none."""
    upload = weights_file.uploaded()
    return f"{FILE}:{upload.digest[:12]}" if upload else ""


def digest(source: WeightsSource) -> str:
    """What tells these weights from all others, and whether they have been downloaded."""
    if source.kind == "file" and (upload := weights_file.uploaded()):
        return f"{upload.digest}{' in part' * source.partial} {', '.join(upload.classes or ())}"
    return f"{source.name} {source.url or source.path}" + (" to download" if source.needs_download else "")


def download_job(source: WeightsSource) -> Job:
    """Fetch published weights in the background."""
    url = source.url or ""

    def work(job: Job) -> None:
        download.fetch(url, job.progress, job.should_stop)

    return jobs.start(DOWNLOAD, (url,), work, show=format_bytes)
