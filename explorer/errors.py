"""The errors that a person may cause: each carries one clear sentence that names the field or file and its value.

Standard library only: models, which may be imported without the rest, builds on it. Those about Specs and weights are
in models/errors.py.
"""

from __future__ import annotations

from collections.abc import Iterable

LONGEST_SENTENCE = 300  # characters


def shown(value: object, length: int = 60) -> str:
    """Any value as a sentence may show it: its repr, cut; its type alone where that fails, or is too deep."""
    try:
        text = repr(value)
    except Exception:  # a list 3,000 levels deep, an integer of 5,000 digits, or whatever a class of theirs raises
        text = f"<{type(value).__name__}>"
    return text if len(text) <= length else f"{text[:length]}…"


def listed(names: Iterable[object], length: int = 120) -> str:
    """Names as a sentence lists them: as many as have room, and how many there are if those are not all."""
    texts = [str(name) for name in names]
    room = length
    for count, text in enumerate(texts):
        room -= len(text) + 2
        if room < 0:
            return f"{', '.join(texts[:count])}, … ({len(texts)} in all)"
    return ", ".join(texts)


def in_percent(share: float, digits: int = 0) -> str:
    """A share as a sentence says it: 46.6 %."""
    return f"{share:,.{digits}%}".replace("%", " %")


def printable(text: str) -> str:
    """One line that does nothing to a terminal: spaces for line breaks, escapes for other signs without a shape."""
    return text if text.isprintable() else "".join(map(_printable, text))


def _printable(character: str) -> str:
    if character.isprintable():
        return character
    return " " if character.isspace() else character.encode("unicode_escape").decode()


class UserError(ValueError):
    """Bad input. The message is shown as it stands: in the app as a notice, in the CLI on stderr with exit code 2.

    It is one printable line of at most LONGEST_SENTENCE characters, whatever text from outside it quotes: what is more
    is cut from its middle, since what to do about it stands at its end.
    """

    def __init__(self, sentence: str) -> None:
        line = printable(sentence)
        if len(line) > LONGEST_SENTENCE:
            line = f"{line[: LONGEST_SENTENCE - 101]}…{line[-100:]}"
        super().__init__(line)


class UnknownNameError(UserError):
    """An architecture, preset, block, layer or class that is not there; names it and the nearest that is."""


class ImageError(UserError):
    """A file that is not a picture we can show; names the file."""


class MemoryLimitError(UserError):
    """A request that would not fit in memory; names the estimate and what is free."""


class TraceError(UserError):
    """A module that neither torch.fx nor torch.export can trace, or that fails on this input; names the layer."""


class Cancelled(Exception):  # noqa: N818 (a request that was followed, not an error)
    """Raised inside long work when its cancel flag is set."""
