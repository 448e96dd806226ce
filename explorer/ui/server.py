"""What stands around the page when it is served: headers on every answer, closed metrics, and what begins with it."""

from __future__ import annotations

import gc
import sys
import webbrowser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from types import ModuleType
from typing import Any

import pandas  # noqa: F401  (plotly takes it half imported where the first pages are drawn at the same time)
from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import config
from streamlit.web.server.server_util import get_display_address, get_url

# Types are not guessed, other sites may not frame the page, and are not told the link, which holds a person's choices.
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Content-Security-Policy": "frame-ancestors 'self'",
    "Referrer-Policy": "same-origin",
}
CLOSED = "/_stcore/metrics"  # Streamlit shows there how many sessions there are and what they hold, to anybody


class Hardened:
    """ASGI middleware: `HEADERS` on every answer, and 404 for `CLOSED`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request as the app does, but for that."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        is_closed = scope["path"].rstrip("/").endswith(CLOSED)
        answer = PlainTextResponse("Not Found", 404) if is_closed else self.app
        await answer(scope, receive, send_with_headers)


_programs_main: list[ModuleType] = []


def keep_main(module: ModuleType) -> None:
    """Remember the module `__main__` of the program that serves the page beside its own work, as a notebook."""
    _programs_main[:] = [module]


def restore_main() -> None:
    """Give that program its `__main__` back, in whose place Streamlit puts the page's script: a class that was defined
    there could not be pickled any more."""
    if _programs_main:
        sys.modules["__main__"] = _programs_main[0]


def pass_over() -> None:
    """Let garbage be looked for in what is made from now on: all that is there by now is imported, and stays.

    Not in a program with work of its own, as a notebook: what is garbage there would never be collected.
    """
    if _programs_main:
        return
    gc.collect()
    gc.freeze()


pass_over_first_page = cache(pass_over)  # half of all is imported when the first page is drawn: once, after that


@asynccontextmanager
async def beginning(_: Any) -> AsyncIterator[None]:
    """Open the page in a person's browser, as Streamlit does only for scripts without a server of their own.

    Streamlit collects garbage after every run of the page, while everybody waits: what was imported is passed over.
    """
    pass_over()
    if not config.get_option("server.headless"):
        webbrowser.open(get_url(get_display_address(config.get_option("server.address") or "localhost")))
    yield
