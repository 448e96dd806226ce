"""Drives a Streamlit app in Chromium: a server, watched pages, and waiting until the app rests."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from playwright.sync_api import Browser, BrowserType, Error, Page, sync_playwright

from tests.support.places import ROOT

EXECUTABLES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",  # a camera that shows a moving disc, and asks nobody
    "--use-fake-ui-for-media-stream",
]
# When the page last asked the server for something, and when it was last told something.
SOCKET = """
const Plain = window.WebSocket;
window.WebSocket = class extends Plain {
  constructor(...given) {
    super(...given);
    this.addEventListener("message", () => { window.toldAt = performance.now(); });
  }
  send(data) {
    window.askedAt = performance.now();
    super.send(data);
  }
};
"""
# Streamlit keeps its script's state on the root element, and sets it when the server's answer to a click has come: on a
# busy machine long after the click. What a click asks for is asked a moment after it, hence 300 ms, in which the page
# has to have had its turn some times.
IS_IDLE = """() => {
  const idle = document.querySelector(
    '[data-testid=stApp][data-test-script-state=notRunning][data-test-connection-state=CONNECTED]');
  const now = performance.now();
  const waits = window.askedAt > (window.toldAt ?? -1) && now - window.askedAt < 10_000;
  if (!idle || waits || document.querySelector('[data-testid=stSkeleton], [data-testid=stAppSkeleton]')) {
    window.idleSince = undefined;
    return false;
  }
  if (window.idleSince === undefined) [window.idleSince, window.idleLooks] = [now, 0];
  window.idleLooks += 1;
  return now - window.idleSince > 300 && window.idleLooks > 5;
}"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A Chromium of our own, closed at the end."""
    with sync_playwright() as playwright:
        browser = launch(playwright.chromium)
        yield browser
        browser.close()


def launch(chromium: BrowserType) -> Browser:
    """Starts the system's Chromium, or Playwright's own; raises RuntimeError where there is neither."""
    path = next(filter(None, map(shutil.which, EXECUTABLES)), None)
    try:
        return chromium.launch(executable_path=path, args=FLAGS)
    except Error as error:
        if path is None and "playwright install" in error.message:
            raise RuntimeError("No Chromium was found: run `make browser` to install one.") from None
        raise


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serve(script: Path, log: Path, timeout_s: float = 60) -> Iterator[str]:
    """Serves a Streamlit script with the project's settings on a free port; yields the address."""
    port = free_port()
    options = ["--server.port", str(port), "--server.headless", "true", "--server.fileWatcherType", "none"]
    command = [sys.executable, "-m", "streamlit", "run", str(script), *options]
    with log.open("wb") as out:
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT)
        try:
            wait_for_health(server, f"http://127.0.0.1:{port}", log, timeout_s)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def wait_for_health(server: subprocess.Popen, url: str, log: Path, timeout_s: float) -> None:
    """Returns once the server answers; raises RuntimeError with its log if it exits or stays silent."""
    deadline = time.monotonic() + timeout_s
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with urlopen(f"{url}/_stcore/health", timeout=1):
                return
        except (URLError, TimeoutError):
            time.sleep(0.1)
    raise RuntimeError(f"The server does not answer. Its log:\n{log.read_text(errors='replace')}")


def wait_until_idle(page: Page, timeout_s: float = 30) -> None:
    """Waits until Streamlit's script has finished and nothing on the page is a placeholder."""
    page.evaluate("window.idleSince = undefined")
    page.wait_for_function(IS_IDLE, timeout=timeout_s * 1000)


def wait_until(
    page: Page, holds: Callable[[], bool], timeout_s: float = 30, told: Callable[[], str] = lambda: "",
) -> None:  # fmt: skip
    """Waits until something holds that no `expect` of Playwright says; fails where it does not in time, with what is
    `told` of it then."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, f"it did not come to hold {told()}".rstrip()
        page.wait_for_timeout(100)


def exceptions(page: Page) -> list[str]:
    """The texts of the exceptions that the app shows."""
    return page.get_by_test_id("stException").all_inner_texts()


@contextmanager
def watched_page(browser: Browser, width: int, height: int, dark: bool = False, touch: bool = False) -> Iterator[Page]:
    """A page in its own browser context, so in its own session.

    On leaving, it asserts that the app showed no exception, that the console holds no error, and that nothing
    but the local server was asked for anything.
    """
    size, scheme = {"width": width, "height": height}, "dark" if dark else "light"
    context = browser.new_context(viewport=size, color_scheme=scheme, has_touch=touch, is_mobile=touch)  # pyright: ignore[reportArgumentType]
    context.add_init_script(SOCKET)
    page = context.new_page()
    problems = record_problems(page)
    try:
        yield page
        problems += [f"exception: {text}" for text in exceptions(page)]
    finally:
        context.close()
    assert not problems, "\n".join(problems)


def record_problems(page: Page) -> list[str]:
    """A list that grows as the page runs: uncaught and console errors, requests to other machines."""
    problems: list[str] = []

    def note(problem: str, wrong: bool = True) -> None:
        if wrong:
            problems.append(problem)

    page.on("pageerror", lambda error: note(f"uncaught: {error.message}"))
    page.on("console", lambda line: note(f"console: {line.text}", line.type == "error"))
    page.on("request", lambda request: note(f"request to {request.url}", is_foreign(request.url)))
    return problems


def is_foreign(url: str) -> bool:
    """Whether the address is on another machine; `data:` and `blob:` addresses have no host."""
    return urlsplit(url).hostname not in {None, "127.0.0.1", "localhost"}
