"""Why a network could not be traced, in one sentence: torch's reason, or ours where torch's is pages long."""

from __future__ import annotations

import re
import sys
import traceback
from pathlib import Path

import torch

_LONGEST = 200  # characters
_LIBRARIES = tuple(str(Path(place).parent) for place in (torch.__file__, __file__))
_NEEDS_VALUES = re.compile(
    r"data-dependent|inputs to control flow|item\(\) cannot be called on meta|meta tensor|\.numpy\(\) is not supported"
)


def reason(error: BaseException) -> str:
    """What an error says, without line breaks and at most 200 characters long."""
    if isinstance(error, RecursionError):
        return f"its code calls itself more than {sys.getrecursionlimit()} times"
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    if _NEEDS_VALUES.search(said):
        return (
            f"it needs the values of a tensor{where(error)}; a trace has only sizes, and cannot follow what they decide"
        )
    return said[:_LONGEST] if said else f"{type(error).__name__}{where(error)}"


def where(error: BaseException) -> str:
    """The last line of a person's own code that an error passed, as " (file.py, line 12)"; empty if there is none."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((*_LIBRARIES, "<"))
    ]
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
