"""What tests of the graph do with it: open it, find its boxes and frames, wait until it is drawn again."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page


def open_graph(page: Page, graphs: str, network: str = "resnet50", query: str = "") -> None:
    page.goto(f"{graphs}/?network={network}{query}")
    drawn(page, 1)


def drawn(page: Page, times: int) -> None:
    """Waits until the graph has been drawn so often."""
    page.wait_for_selector("[data-drawn]", timeout=60_000)
    page.wait_for_function(
        """times => [...document.querySelectorAll("*")].some(
          (host) => Number(host.shadowRoot?.querySelector("[data-drawn]")?.dataset.drawn) >= times)""",
        arg=times,
    )


def count(page: Page) -> int:
    return int(page.locator("[data-drawn]").get_attribute("data-drawn") or 0)


def boxes(page: Page) -> Locator:
    return page.locator("svg.canvas .box")


def box(page: Page, text: str | re.Pattern[str]) -> Locator:
    return boxes(page).filter(has_text=text).first


def frame(page: Page, text: str | re.Pattern[str]) -> Locator:
    return page.locator("svg.canvas .frame").filter(has=page.locator(".title", has_text=text)).first


def focused(page: Page) -> str:
    return page.locator("svg.canvas :focus").get_attribute("aria-label") or ""


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def redrawn(page: Page, act: object) -> None:
    """Does what draws the graph anew, and waits for it."""
    before = count(page)
    act()  # type: ignore[operator]
    drawn(page, before + 1)
