"""Fetches a published checkpoint once, checks its hash and keeps it as safetensors."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import torch

from explorer.errors import Cancelled
from explorer.whole_file import drafts
from models.errors import WeightsError
from models.weights.convert_checkpoint import convert
from models.weights.safetensors_file import is_whole

CHUNK_BYTES = 256 * 1024
POLL_S = 0.1
TIMEOUT_S = 30.0

ByteProgress = Callable[[int, int], None]  # bytes done, bytes in all (0 where the server does not say)


def cache_dir() -> Path:
    """Where downloads are kept: $CNN_EXPLORER_CACHE, otherwise torch.hub's own directory of checkpoints."""
    chosen = os.environ.get("CNN_EXPLORER_CACHE")
    return Path(chosen).expanduser() if chosen else Path(torch.hub.get_dir()) / "checkpoints"


def cached(url: str) -> Path:
    """Where the converted file of this URL is, or would be."""
    return cache_dir() / f"{Path(urlsplit(url).path).stem}.safetensors"


def is_cached(url: str) -> bool:
    """Whether `fetch` needs no network: the file is in the cache, converted or as it was published."""
    target = cached(url)
    return is_whole(target) or target.with_suffix(".pth").exists()


def fetch(url: str, progress: ByteProgress, cancel: Callable[[], bool]) -> Path:
    """The checkpoint at `url` as a safetensors file in the cache, which asks the network for nothing it has.

    A .pth that somebody put into the cache is used in place of a download, if its hash is right; a damaged safetensors
    file is replaced. `progress` and `cancel` are called in this thread. Raises WeightsError that says what to do, or
    Cancelled within a second.
    """
    target = cached(url)
    if is_whole(target):
        return target
    with _room(target.parent) as room:  # of its own, so that two downloads at once do not meet
        checkpoint = target.with_suffix(".pth")
        if checkpoint.exists():
            _check_hash(checkpoint, url)
        else:
            checkpoint = room / checkpoint.name
            _download(url, checkpoint, progress, cancel)
        try:
            convert(checkpoint, target, cancel)
        except WeightsError as error:
            raise WeightsError(f"The checkpoint could not be converted: {error}") from None
    return target


@contextlib.contextmanager
def _room(folder: Path) -> Iterator[Path]:
    """A folder in the cache for what is not whole yet; what killed downloads left there is removed."""
    with contextlib.ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            room = held.enter_context(drafts(folder))
        except OSError as error:
            why = f"{folder} cannot be written ({error.strerror}); name another with CNN_EXPLORER_CACHE"
            raise WeightsError(f"The weights cannot be kept: {why}.") from None
        yield room


@dataclass
class _Transfer:
    """What the downloading thread and the one that waits for it share."""

    done: int = 0
    total: int = 0
    error: Exception | None = None
    stop: threading.Event = field(default_factory=threading.Event)


def _download(url: str, draft: Path, progress: ByteProgress, cancel: Callable[[], bool]) -> None:
    """Download in a thread of its own: a connection that stalls must not keep a cancel waiting."""
    state = _Transfer()
    # Opened here: a thread that is given up must not make the file anew after it has been removed.
    with draft.open("wb") as file:
        thread = threading.Thread(target=_transfer, args=(url, file, state), daemon=True)
        thread.start()
        try:
            while thread.is_alive():
                thread.join(POLL_S)
                progress(state.done, state.total)
                if cancel():
                    raise Cancelled
        finally:
            state.stop.set()
    progress(state.done, state.total)
    if state.error is not None:
        raise WeightsError(_advice(url, _reason(state.error)))
    if state.total and state.done < state.total:
        raise WeightsError(_advice(url, f"the connection ended after {state.done:,} of {state.total:,} bytes"))
    _check_hash(draft, url)


def _transfer(url: str, file: BinaryIO, state: _Transfer) -> None:
    try:
        request = Request(url, headers={"User-Agent": "cnn-explorer"})
        with urlopen(request, timeout=TIMEOUT_S) as response:
            state.total = int(response.headers.get("Content-Length") or 0)
            while not state.stop.is_set() and (chunk := response.read(CHUNK_BYTES)):
                file.write(chunk)
                state.done += len(chunk)
    except (OSError, http.client.HTTPException, ValueError) as error:
        state.error = error


def _reason(error: Exception) -> str:
    if isinstance(error, HTTPError):
        return f"the server answered {error.code} {error.reason}"
    cause = error.reason if isinstance(error, URLError) else error
    if isinstance(cause, TimeoutError):
        return f"no answer in {TIMEOUT_S:.0f} s"
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__


def _advice(url: str, why: str) -> str:
    name = Path(urlsplit(url).path).name
    return (
        f"{name} could not be downloaded from {urlsplit(url).netloc}: {why}; "
        f"put the file at {cache_dir() / name} or choose other weights."
    )


def _check_hash(path: Path, url: str) -> None:
    """Compare with the start of the SHA-256 that torch.hub's convention puts in the file name, before the suffix."""
    wanted = re.search(r"-([0-9a-f]{8,64})\.[^.]+$", urlsplit(url).path)
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if wanted and not found.startswith(wanted[1]):
        why = f"its SHA-256 starts with {found[:8]} and should start with {wanted[1]}"
        if path.parent != cache_dir():
            raise WeightsError(_advice(url, why))
        raise WeightsError(f"{path} is not the published file: {why}; delete it or choose other weights.")
