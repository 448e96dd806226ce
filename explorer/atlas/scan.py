"""A scan by this process: decoded by threads, run in batches of one size, in memory that does not grow with the set."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from explorer.analysis.passes import Cancel
from explorer.analysis.top_nine import TopNine
from explorer.analysis.top_nine_run import TopNineRun, channels_of
from explorer.atlas.picture_sets import PictureSet
from explorer.atlas.scan_file import MOST_BROKEN, BrokenPicture, Scan, ScanSubject
from explorer.errors import ImageError
from explorer.graph.shapes import image_dtype
from explorer.graph.trace import TracedProgram
from explorer.images.ahead import ahead
from explorer.images.preprocess import Preprocessing
from explorer.networks.catalog import LoadedNetwork
from explorer.networks.picture_input import describe
from explorer.run.digest import weights_digest

BATCHES_AHEAD = 2  # that are decoded while one is run


@dataclass(frozen=True, eq=False)
class ScanJob:
    """A network, the pictures that it is to see, and what of it is looked at. layers: ids; batch: pictures a pass."""

    program: TracedProgram
    preprocessing: Preprocessing
    pictures: PictureSet
    subject: ScanSubject

    @classmethod
    def of(cls, name: str, network: LoadedNetwork, pictures: PictureSet, layers: Sequence[str], batch: int) -> ScanJob:
        """name: what the network is called; layers: their ids; batch: the most pictures that are run at a time."""
        subject = ScanSubject(
            name, weights_digest(network.module), pictures.title, pictures.digest, len(pictures),
            describe(network.preprocessing), tuple(layers), min(batch, len(pictures)),
        )  # fmt: skip
        return cls(network.program, network.preprocessing, pictures, subject)

    @property
    def device(self) -> torch.device:
        """Where the network's weights are."""
        parameter = next(self.program.module.parameters(), None)
        return torch.device("cpu") if parameter is None else parameter.device

    def view(self, number: int) -> np.ndarray:
        """A picture as the network sees it, uint8 [H, W, 3]. Raises ImageError."""
        return self.pictures.view(number, self.preprocessing)

    def images(self, views: Sequence[np.ndarray]) -> Tensor:
        """The network's input [batch, C, H, W] on its device, filled up to a whole batch with black pictures."""
        full = np.zeros((self.subject.batch, *self.preprocessing.crop, 3), np.uint8)
        if views:
            full[: len(views)] = views
        found = self.preprocessing.normalised(torch.from_numpy(full).to(self.device))
        return found.to(image_dtype(self.program.module))


def scan_steps(
    job: ScanJob, before: Scan | None = None, workers: int | None = None, cancel: Cancel | None = None
) -> Generator[Scan]:
    """Go through the pictures, batch by batch; each step is what there is so far, without the names of pictures.

    before: an unfinished scan of the same subject, with which to go on. workers: threads that decode, one a core by
    default. Raises UserError, Cancelled.
    """
    done = before or empty_scan(job)
    run = TopNineRun(job.program, job.subject.layers, done.top)
    size = job.subject.batch
    decoded = ahead(job.view, range(done.seen, job.subject.total), BATCHES_AHEAD * size, workers)
    try:
        while batch := list(islice(decoded, size)):
            done = _with_batch(job, run, done, batch, cancel)
            yield done
    finally:
        decoded.close()


def empty_scan(job: ScanJob) -> Scan:
    """The scan before its first picture."""
    graph = job.program.graph
    return Scan(job.subject, {layer: TopNine.empty(channels_of(graph, layer)) for layer in job.subject.layers})


def _with_batch(
    job: ScanJob, run: TopNineRun, done: Scan, batch: Sequence[np.ndarray | ImageError], cancel: Cancel | None
) -> Scan:
    """The scan after one more batch, in which each picture that could be decoded keeps its number."""
    good = [(number, each) for number, each in enumerate(batch, done.seen) if not isinstance(each, ImageError)]
    if good:
        run.look(job.images([view for _, view in good]), np.array([number for number, _ in good]), cancel)
    problems = [
        BrokenPicture(job.pictures.name(number), str(each))
        for number, each in enumerate(batch, done.seen)
        if isinstance(each, ImageError)
    ]
    return replace(
        done, top=dict(run.top), seen=done.seen + len(batch), broken_count=done.broken_count + len(problems),
        broken=(*done.broken, *problems)[:MOST_BROKEN],
    )  # fmt: skip


def with_names(scan: Scan, pictures: PictureSet) -> Scan:
    """The scan with the names of the pictures in it."""
    numbers = {int(number) for top in scan.top.values() for number in np.unique(top.pictures)} - {-1}
    return replace(scan, names={number: pictures.name(number) for number in sorted(numbers)})
