"""The page of a module that is open in Python, served by the same process: beside its own work, to its person alone."""

from __future__ import annotations

import asyncio
import importlib
import secrets
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import cache
from http.cookies import SimpleCookie
from time import monotonic, sleep
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import streamlit as st
import uvicorn
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from streamlit import config, runtime
from streamlit.logger import set_log_level
from torch import nn

import models
from explorer.errors import UserError
from explorer.graph import doors
from explorer.images.own_pictures import own_pictures
from explorer.networks import live
from explorer.networks.given_input import expected_input
from explorer.networks.live import LiveModule
from explorer.resources import app_script
from explorer.ui import server

STARTING_S, STOPPING_S = 20.0, 5.0
TOKEN = "token"
REFUSED = "This page opens with the whole link that explorer.open gave, token and all.\n"


class LivePage:
    """What is open: its link. A notebook shows it as one."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __repr__(self) -> str:
        return f"CNN Architecture Explorer: {self.url}"

    def _repr_html_(self) -> str:
        return f'<a href="{self.url}" target="_blank" rel="noopener">CNN Architecture Explorer: {self.url}</a>'


class Gate:
    """ASGI middleware: nothing is answered before the token of the link was shown, which a cookie keeps."""

    def __init__(self, app: ASGIApp, token: str, cookie: str) -> None:
        self.app, self.token, self.cookie = app, token, cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what has the cookie; give it for the token; refuse the rest."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope.get("headers", ())}
        kept = SimpleCookie(headers.get("cookie", "")).get(self.cookie)
        if kept is not None and self._is_token(kept.value):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._let_in(dict(parse_qsl(scope["query_string"].decode("latin-1"))))(scope, receive, send)

    def _let_in(self, query: dict[str, str]) -> Response:
        """To the page, without the token in its address, where the link has it."""
        if not self._is_token(query.pop(TOKEN, "")):
            return PlainTextResponse(REFUSED, 403)
        opened = live.current()
        query = query or ({"preset": opened.name} if opened else {})
        answer = RedirectResponse(f"/?{urlencode(query, quote_via=quote)}", 303)
        answer.set_cookie(self.cookie, self.token, httponly=True, samesite="lax")
        return answer

    def _is_token(self, text: str) -> bool:
        return secrets.compare_digest(text.encode(), self.token.encode())


class _Serving:
    """A server on a free port of this machine, in the thread of the page."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        port, token = self.socket.getsockname()[1], secrets.token_urlsafe(24)
        gate = Gate(server.Hardened(_app()), token, f"explorer-{port}")
        options: Any = {
            "lifespan": "off",
            "log_config": None,
            "access_log": False,
            "log_level": "error",
            "ws": "websockets-sansio",
        }
        self.server = uvicorn.Server(uvicorn.Config(gate, timeout_graceful_shutdown=1, **options))
        self.ended: Future[None] = asyncio.run_coroutine_threadsafe(self.server.serve([self.socket]), _loop())
        self.page = LivePage(f"http://127.0.0.1:{port}/?{TOKEN}={token}")
        until = monotonic() + STARTING_S
        while not self.server.started and not self.ended.done() and monotonic() < until:
            sleep(0.01)
        if not self.server.started:
            raise UserError(f"The page could not be served on port {port} of 127.0.0.1.")

    def stop(self) -> None:
        self.server.should_exit = True
        self.ended.result(STOPPING_S)


_serving: list[_Serving] = []


def open_module(
    module: nn.Module, pictures: Any, classes: Sequence[str] | Mapping[int, str] | None, preprocessing: Any,
    input_size: Sequence[int] | None,
) -> LivePage:  # fmt: skip
    """Show a module in the page, in place of the one before; see `explorer.open`."""
    if runtime.exists() and not _app.cache_info().currsize:
        raise UserError("explorer.open: this process serves a page of Streamlit already; it can serve one alone.")
    _app()
    size = live.found_size(module, input_size)
    inner = doors.unwrapped(module)
    expected = expected_input(inner, size, preprocessing)
    live.keep(LiveModule(inner, size, expected, live.class_names(classes), own_pictures(pictures)))
    if not _serving:
        _serving.append(_Serving())
    return _serving[0].page


def close() -> None:
    """Stop serving, and let the module go; nothing where nothing is open."""
    live.keep(None)
    while _serving:
        _serving.pop().stop()
    st.cache_resource.clear()


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """Of a thread that lives as long as the process: Streamlit cannot be begun twice in one."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="explorer page", daemon=True).start()
    return loop


@cache
def _app() -> ASGIApp:
    server.keep_main(sys.modules["__main__"])
    app: Any = st.App(str(app_script()))
    config.set_option("server.fileWatcherType", "none")
    set_log_level("ERROR")  # a notebook would show each visit
    # All that is found by itself is imported now, while `models` is this program's; the pages are a floor above.
    models.architectures()
    importlib.import_module("explorer.views").discover()
    return app
