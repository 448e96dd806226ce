"""`python -m models.weights.convert_checkpoint IN.pth OUT.safetensors`: a checkpoint's tensors, without its code.

A pickle is never opened in the app's process: a child opens it, with limits of memory and time, and with
`weights_only`, which refuses everything but tensors and plain containers.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from explorer.errors import Cancelled
from explorer.whole_file import write_whole
from models.errors import WeightsError

ROOT = Path(__file__).parents[2]  # the folder that models lies in
LOOK_S = 0.1
START_S, BYTES_PER_S = 60, 10_000_000  # of a processor's time for any file, and how fast it is read at least
LONGEST_PATH = 120  # characters of it in a sentence


def convert(
    source: str | Path, target: str | Path, cancel: Callable[[], bool] = lambda: False, name: str | None = None
) -> None:
    """Write the state dict in `source` to `target` as safetensors, whole or not at all.

    name: what sentences call the source, else its path. Raises WeightsError, one sentence that names the file, or
    Cancelled soon after `cancel()` turned true.
    """
    origin = Path(source)
    named = _named(origin) if name is None else name
    try:
        with origin.open("rb") as file:  # found out here, with the system's own reason
            file.read(1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its path is no valid one"
        raise WeightsError(f"{named} cannot be read: {reason}.") from None
    try:
        write_whole(Path(target), lambda draft: _in_a_child(origin, draft, cancel, named))
    except (OSError, ValueError) as error:
        if isinstance(error, WeightsError):
            raise
        reason = getattr(error, "strerror", None) or "its path is no valid one"
        raise WeightsError(f"{_named(Path(target))} cannot be written: {reason}.") from None


def _in_a_child(source: Path, draft: Path, cancel: Callable[[], bool], named: str) -> None:
    seconds = START_S + source.stat().st_size // BYTES_PER_S
    names = (str(source.resolve()), str(draft.resolve()), str(seconds))
    command = [sys.executable, "-m", "models.weights.unpickle", *names]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL) as child:
        try:
            _wait(child, time.monotonic() + 5 * seconds, cancel)  # a slow disk takes longer than the processor
        except subprocess.TimeoutExpired:
            raise WeightsError(f"{named} is refused: reading it takes too long.") from None
        finally:
            child.kill()
        assert child.stdout is not None
        said = child.stdout.read(10_000).decode(errors="replace")
    if said:
        raise WeightsError(f"{named} {said}")
    if child.returncode:
        raise WeightsError(f"{named} {_how_it_ended(child.returncode)}.")


def _wait(child: subprocess.Popen[bytes], deadline: float, cancel: Callable[[], bool]) -> None:
    """Until the child has ended. Raises TimeoutExpired after the deadline, or Cancelled."""
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=LOOK_S)
            return
        if cancel():
            raise Cancelled
        if time.monotonic() > deadline:
            raise subprocess.TimeoutExpired(child.args, deadline)


def _how_it_ended(code: int) -> str:
    if code == -getattr(signal, "SIGXCPU", 0):
        return "is refused: reading it takes too long"
    if code < 0:
        return f"cannot be converted: the process that read it was ended (signal {-code}), as where memory is short"
    return "cannot be converted: the process that read it failed"


def _named(path: Path) -> str:
    """A path as a sentence may show it: the end of a long one, without what a terminal cannot show."""
    text = str(path)
    text = text if text.isprintable() else ascii(text)
    return text if len(text) <= LONGEST_PATH else f"…{text[1 - LONGEST_PATH :]}"


def main(arguments: list[str]) -> int:
    """Exit code 0, or 2 with one line on stderr."""
    try:
        if len(arguments) != 2:
            raise WeightsError("usage: python -m models.weights.convert_checkpoint IN.pth OUT.safetensors")
        source, target = arguments
        convert(source, target)
    except WeightsError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
