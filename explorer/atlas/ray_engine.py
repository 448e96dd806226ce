"""A scan by the workers of a Ray cluster, or of one that is started on this machine: the same file as by this process.

Files are read and decoded by tasks and run by one actor a device; each picture's greatest activations are a row of a
Parquet file. Rows that are written are checkpoints. The nine are taken from all rows at the end, on this machine.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from explorer.analysis.top_nine import TopNine
from explorer.analysis.top_nine_run import maxima
from explorer.atlas.picture_sets import FolderPictures
from explorer.atlas.scan import ScanJob, empty_scan, with_names
from explorer.atlas.scan_file import MOST_BROKEN, BrokenPicture, Scan
from explorer.atlas.scan_folder import CHECKPOINTS, ROWS
from explorer.errors import ImageError, UserError, shown
from explorer.graph.reasons import reason
from explorer.graph.shapes import image_dtype
from explorer.graph.trace import trace
from explorer.images import codec
from explorer.images.preprocess import Preprocessing
from explorer.types import InputSize

LEAST_SLOTS = 4  # of processors: with fewer, a run that goes on has no room for both its reads and its actor
MOST_LOST = 100  # blocks of files that no worker could read, before the scan gives up; their pictures are listed
ROWS_AT_A_TIME = 256
ANSWER_S = 5.0
LOST = "no worker of Ray could read it."


def ray_scan(folder: Path, job: ScanJob, module: nn.Module, every: int, device: str | None = None) -> Scan:
    """Scan into a folder, which all workers reach under this path; the rows that are there already are kept.

    A cluster is joined where RAY_ADDRESS names one, else one is started here, and ended. every: pictures after which
    rows are written. device: "cpu" leaves its GPUs alone. Raises UserError.
    """
    if not isinstance(job.pictures, FolderPictures):
        raise UserError("--engine ray reads files: it takes a folder, and --engine local the embedded set.")
    folder, files = folder.resolve(), _files(job.pictures)
    with _cluster() as ray:
        _write_rows(ray, _Rows.settings(job, module), list(files), folder, every, device)
    return with_names(_merged(folder / ROWS, job, files), job.pictures)


def _files(pictures: FolderPictures) -> dict[str, int]:
    """The pictures' numbers, by absolute path."""
    folder = pictures.folder.resolve()
    return {str(folder / name): number for number, name in enumerate(pictures.names)}


@contextlib.contextmanager
def _cluster() -> Iterator[Any]:
    """Ray, joined or started. What fails there is one sentence."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report this run to its makers
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what fails is raised as well
    try:
        import ray
        import ray.data
        import ray.exceptions
    except ImportError:
        raise UserError("--engine ray needs Ray: pip install '.[ray]'.") from None
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    address = os.environ.get("RAY_ADDRESS")
    _check_answers(address or "auto")
    slots = None if address else max(LEAST_SLOTS, torch.get_num_threads() + 2)
    try:
        ray.init(address, num_cpus=slots, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        yield ray
    except (ray.exceptions.RayError, ConnectionError) as error:
        raise UserError(f"Ray could not scan: {reason(error)}") from None
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Raises UserError where nothing is at HOST:PORT: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S).close()
        except (OSError, OverflowError):
            raise UserError(f"RAY_ADDRESS={shown(address)}: no Ray cluster answers there.") from None


# -- rows: on the workers ---------------------------------------------------------------------------------------------


def _write_rows(
    ray: Any, settings: dict[str, Any], files: Sequence[str], folder: Path, every: int, device: str | None
) -> None:
    """A row for each file, but for those of an earlier run."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = sys.stderr.isatty()
    context.max_errored_blocks = MOST_LOST
    context.use_datasource_v2 = False  # it would start 32 actors to read the few files of an earlier run's checkpoints
    context.checkpoint_config = ray.data.checkpoint.CheckpointConfig(
        id_column="path", checkpoint_path=str(folder / CHECKPOINTS), delete_checkpoint_on_success=False
    )
    resources, threads, batch = ray.cluster_resources(), settings["threads"], settings["batch"]
    gpus = 0 if device == "cpu" else int(resources.get("GPU", 0))
    read = ray.data.read_binary_files(list(files), include_paths=True, override_num_blocks=-(-len(files) // every))
    decoded = read.map_batches(_decoded, batch_size=batch, fn_kwargs={"preprocessing": settings["preprocessing"]})
    decoded.map_batches(
        _Rows,
        fn_constructor_kwargs=settings,
        batch_size=batch,
        compute=ray.data.ActorPoolStrategy(size=gpus or max(1, int(resources["CPU"]) // (threads + 2))),
        **({"num_gpus": 1} if gpus else {"num_cpus": threads}),
    ).write_parquet(str(folder / ROWS), mode="append")


def _decoded(batch: dict[str, Any], preprocessing: Preprocessing) -> dict[str, Any]:
    """Files as the network sees them, and why not of those that are no pictures."""
    views = np.zeros((len(batch["path"]), *preprocessing.crop, 3), np.uint8)
    problems = [""] * len(views)
    for number, (path, content) in enumerate(zip(batch["path"], batch["bytes"], strict=True)):
        try:
            views[number] = preprocessing.view(codec.picture_of(content, path))
        except ImageError as error:
            problems[number] = str(error)
    return {"path": batch["path"], "view": views, "problem": np.array(problems, dtype=object)}


class _Rows:
    """The network on a device of a worker, that makes a row of each picture of a batch."""

    def __init__(
        self, module: nn.Module, size: InputSize, preprocessing: Preprocessing, layers: Sequence[str], batch: int,
        threads: int,
    ) -> None:  # fmt: skip
        torch.set_num_threads(threads)  # as many as a scan without Ray has here: how torch adds up depends on it
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.program, self.dtype = trace(module.to(self.device), size), image_dtype(module)
        self.preprocessing, self.layers, self.batch = preprocessing, layers, batch

    @staticmethod
    def settings(job: ScanJob, module: nn.Module) -> dict[str, Any]:
        """What a worker needs of a job, by name."""
        return {
            "module": module, "size": job.program.graph.layers[0].output_shape[1:], "layers": job.subject.layers,
            "preprocessing": job.preprocessing, "batch": job.subject.batch, "threads": torch.get_num_threads(),
        }  # fmt: skip

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        views = np.zeros((self.batch, *batch["view"].shape[1:]), np.uint8)  # filled up, as in a scan without Ray
        views[: len(batch["path"])] = batch["view"]
        images = self.preprocessing.normalised(torch.from_numpy(views).to(self.device)).to(self.dtype)
        rows: dict[str, Any] = {"path": batch["path"], "problem": batch["problem"]}
        for number, (values, places, columns) in enumerate(maxima(self.program, images, self.layers).values()):
            rows[f"values{number}"] = [row.tobytes() for row in values[: len(batch["path"])]]
            rows[f"places{number}"] = [row.tobytes() for row in places[: len(batch["path"])]]
            rows[f"columns{number}"] = np.full(len(batch["path"]), columns)
        return rows


# -- the nine of all rows: on this machine ----------------------------------------------------------------------------


def _merged(folder: Path, job: ScanJob, places: dict[str, int]) -> Scan:
    """The scan that the rows make up; a picture that has several counts once."""
    from pyarrow import dataset

    top, problems = dict(empty_scan(job).top), dict[int, str]()
    seen = np.zeros(len(places), bool)
    for batch in dataset.dataset(folder, format="parquet").to_batches(batch_size=ROWS_AT_A_TIME):
        rows = batch.to_pydict()
        numbers = np.array([places[path] for path in rows["path"]], np.int64)
        seen[numbers] = True
        problems |= {int(n): text for n, text in zip(numbers, rows["problem"], strict=True) if text}
        good = np.flatnonzero([not text for text in rows["problem"]])
        numbers, kept = np.unique(numbers[good], return_index=True)
        if len(numbers):
            top = _raised(top, rows, good[kept], numbers)
    problems |= {int(number): f"{job.pictures.name(int(number))}: {LOST}" for number in np.flatnonzero(~seen)}
    broken = tuple(BrokenPicture(job.pictures.name(n), problems[n]) for n in sorted(problems)[:MOST_BROKEN])
    return Scan(job.subject, top, len(places), broken, len(problems))


def _raised(
    top: dict[str, TopNine], rows: dict[str, list[Any]], kept: np.ndarray, numbers: np.ndarray
) -> dict[str, TopNine]:
    found = dict[str, TopNine]()
    for number, layer in enumerate(top):
        values = np.stack([np.frombuffer(rows[f"values{number}"][row], np.float32) for row in kept])
        positions = np.stack([np.frombuffer(rows[f"places{number}"][row], np.int32) for row in kept])
        columns = rows[f"columns{number}"][0]
        found[layer] = top[layer].merged(TopNine.of_maxima(values, positions, numbers, columns))
    return found
