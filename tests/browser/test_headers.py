"""What the server answers: headers that keep a browser from guessing types and others from framing, no open metrics."""

from __future__ import annotations

from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Page, Response

from tests.browser.driver import wait_until_idle

WANTED = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "SAMEORIGIN",
    "content-security-policy": "frame-ancestors 'self'",
    "referrer-policy": "same-origin",
}


def asked(url: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    """Status, headers by their names in small letters, and body."""
    try:
        with urlopen(Request(url, method=method), timeout=10) as answer:
            return answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.read()
    except HTTPError as error:
        return error.code, {name.lower(): value for name, value in error.headers.items()}, error.read()


@pytest.mark.parametrize("path", ["/", "/?view=blocks", "/_stcore/health", "/_stcore/host-config", "/nothing.js",
                                  "/media/nothing.png", "/../etc/passwd", "/_stcore/metrics"])  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_every_answer_has_the_headers_errors_included(server: str, path: str, method: str) -> None:
    _, headers, _ = asked(server + path, method)
    assert {name: headers.get(name) for name in WANTED} == WANTED


def test_all_that_a_page_loads_has_the_headers_scripts_and_pictures_included(server: str, page: Page) -> None:
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer))
    page.goto(f"{server}/?preset=zfnet_mini&view=maps")
    wait_until_idle(page, 60)
    ours = [one for one in answers if one.url.startswith(server)]  # the page makes some itself: blob:…
    assert [one.url for one in ours if not set(WANTED.items()) <= set(one.headers.items())] == []
    loaded = " ".join(one.url for one in ours)
    assert "/static/js/" in loaded
    assert "/media/" in loaded


@pytest.mark.parametrize("path", ["/_stcore/metrics", "/_stcore/metrics/", "/%5fstcore/metrics?families=x"])
def test_metrics_are_closed(server: str, path: str) -> None:
    status, _, body = asked(server + path)
    assert (status, body) == (404, b"Not Found")


def test_the_servers_health_is_still_told(server: str) -> None:
    assert asked(f"{server}/_stcore/health")[0::2] == (200, b"ok")
