"""Text from outside (a link, a file's name, its header) inside Streamlit's Markdown: shown, never read as marks."""

from __future__ import annotations

import re

JOINER = "\u2060"  # shown as nothing; escapes alone do not keep bare addresses and icons from being recognised
_MARKS = re.compile(r"[\\`*\[\]<>$~&]|(?<![^\W_])_|_(?![^\W_])")
_AT_START = re.compile(r"^(?:[#+=-]|\d+(?=[.)]))")  # headings, lists
_ADDRESS = re.compile(r"(:|@|\bwww\.)(?=\S)", re.IGNORECASE)


def markdown_safe(text: str) -> str:
    """The text on one line, so that Markdown shows it as it is: no image, link, icon, formula or emphasis."""
    line = _MARKS.sub(r"\\\g<0>", " ".join(text.split()))
    return _ADDRESS.sub(rf"\1{JOINER}", _AT_START.sub(rf"{JOINER}\g<0>{JOINER}", line))
