"""The scan that the atlas shows: one that is shipped, or one that is made here when a person asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st
import torch
from torch import Tensor

from explorer.analysis.passes import passes_of
from explorer.analysis.top_nine_run import scanned_layers
from explorer.atlas.patches import Patch, patches_and_projections
from explorer.atlas.picture_sets import PictureSet, UnseenPictures
from explorer.atlas.scan import ScanJob, scan_steps
from explorer.atlas.scan_file import Scan
from explorer.atlas.shipped import is_shipped, shipped
from explorer.networks.catalog import LoadedNetwork
from explorer.ui import awaited, jobs, state, unseen
from explorer.ui.jobs import Job
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session
from explorer.ui.settings import Setting

SCAN_COUNTS = (200, 500, 2000)
SETTINGS = (Setting("scanned", 500, choices=SCAN_COUNTS),)
KEPT_SCANS = 4  # of a session, the newest
_KIND = "scan"


@dataclass(frozen=True, eq=False)
class SessionScan:
    """A scan with the pictures that it is of, and the session whose network was scanned."""

    session: Session
    scan: Scan
    pictures: PictureSet

    @property
    def key(self) -> tuple[Any, ...]:
        """What names it in jobs and caches."""
        return (*self.session.reader_key, self.scan.subject.pictures_digest)

    def patches(
        self, layer: str, channels: list[int], cancel: Callable[[], bool], projections: bool = True
    ) -> Iterator[tuple[int, tuple[Patch, ...]]]:
        """For jobs: each channel with its patches, as soon as they are there. Raises UserError, Cancelled."""
        network, top = self.session.load(cancel), self.scan.of(layer)
        return patches_and_projections(
            network, self.pictures, top, layer, channels, projections=projections, cancel=cancel
        )  # fmt: skip

    def view(self, patch: Patch) -> np.ndarray:
        """The whole of what the network sees of a patch's picture, uint8 [H, W, 3]."""
        return self.pictures.view(patch.picture, self.session.preprocessing)

    def images(self, patches: Sequence[Patch]) -> Tensor:
        """The pictures of some patches as the network's input [N, C, H, W], on its device."""
        views = torch.from_numpy(np.stack([self.view(patch) for patch in patches]))
        return self.session.preprocessing.normalised(views).to(self.session.device, self.session.network.dtype)


class _KeptPictures(UnseenPictures):
    """The unseen pictures, each drawn once: sheets ask for the same ones again and again."""

    def pixels(self, number: int) -> np.ndarray:
        return unseen.item(number, self.size_px).image

    def parts(self, number: int) -> Mapping[str, np.ndarray]:
        return unseen.item(number, self.size_px).parts


def current(session: Session) -> SessionScan | None:
    """The scan of the network at hand; None while there is none, which the page then says, with the way to one."""
    if _has_shipped(session):
        return SessionScan(session, shipped(session.preset), _KeptPictures())
    count: int = state.get("scanned")
    kept = _kept().get((*session.reader_key, count))
    if kept is None:
        kept = _ask(session, count)
    return None if kept is None else SessionScan(session, kept, _KeptPictures(count))


def _has_shipped(session: Session) -> bool:
    """Whether the scan of this very network, with pictures prepared as its weights expect them, is shipped."""
    is_as_shipped = session.is_ours and not session.is_changed and session.source.kind == "shipped"
    return is_as_shipped and not session.choices.named and is_shipped(session.preset)


def _kept() -> dict[Any, Scan]:
    return st.session_state.setdefault("scans", {})


def _keep(key: Any, scan: Scan) -> None:
    kept = _kept()
    kept[key] = scan
    for old in list(kept)[:-KEPT_SCANS]:
        del kept[old]


def _ask(session: Session, count: int) -> Scan | None:
    """The button that scans, or the scan under way; its result once it is there. Raises UserError."""
    key = (*session.reader_key, count)
    job = jobs.current(_KIND, key)
    if job is not None:
        job.wait(awaited.GRACE_S)
    if job is not None and job.finished and job.result is not None:
        _keep(key, job.result)
        return job.result
    if job is not None and not job.finished:
        jobs.show(job, "Scanning the unseen pictures")
        return None
    if job is not None and job.error:
        st.error(markdown_safe(job.error), icon=":material/error:")
    st.markdown("Which pictures excite each unit most is not known of this network yet: a scan runs unseen pictures of "
                "the embedded set through it.")  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="bottom"):
        state.control(st.selectbox, "scanned", "Pictures", options=SCAN_COUNTS, format_func="{:,}".format, width=130)
        st.button(
            "Scan",
            key="atlas scan",
            icon=":material/travel_explore:",
            type="primary",
            on_click=_start,
            args=(session, key),
        )
    return None


def _start(session: Session, key: tuple[Any, ...]) -> None:
    count: int = key[-1]

    def work(job: Job) -> Scan:
        return _scanned(session, count, job)

    jobs.discard(_KIND)
    jobs.start(_KIND, key, work)


def _scanned(session: Session, count: int, job: Job) -> Scan:
    """For jobs: all layers over the first pictures. Raises UserError, Cancelled."""
    network: LoadedNetwork = session.load(job.should_stop)
    layers = scanned_layers(network.program.graph, ["all"])
    batch = passes_of(network.program).batch_size(network.preprocessing.tensor(np.zeros((1, 1, 3), np.uint8)))
    scanning = ScanJob.of(session.preset, network, _KeptPictures(count), layers, batch)
    found = None
    for found in scan_steps(scanning, cancel=job.should_stop):
        job.progress(found.seen, count)
    assert found is not None
    return found
