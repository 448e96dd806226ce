"""Errors of a part of the page become a sentence in its place; the rest of the page goes on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TypeVar

import streamlit as st

from explorer.errors import UserError
from explorer.ui.jobs import log, unexpected
from explorer.ui.markdown import markdown_safe

_T = TypeVar("_T")


@contextlib.contextmanager
def guard() -> Iterator[None]:
    """Show what a person caused as its own sentence, and what we caused as one without a traceback."""
    try:
        yield
    except UserError as error:
        st.error(markdown_safe(str(error)), icon=":material/error:")
    except Exception as error:  # Streamlit's own control flow is no Exception
        log(error)
        st.error(unexpected(error), icon=":material/bug_report:")


def attempt(work: Callable[[], _T]) -> _T | None:
    """What the work returns; None, with a sentence on the page, where it fails."""
    with guard():
        return work()
    return None
