"""The figures of the paper in a browser: the slider over epochs moves the units, and a link opens the same figure."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.driver import wait_until_idle

LONG = 90_000  # ms: eight networks are run on a busy machine


def sources(page: Page) -> list[str | None]:
    """The pictures of the projections, as the browser shows them."""
    return [tile.get_attribute("src") for tile in page.locator(".st-key-grown-Projection img").all()]


def test_the_slider_over_epochs_moves_the_units_and_is_in_the_link(server: str, page: Page) -> None:
    page.goto(f"{server}/?preset=zfnet_mini&view=paper&paper_figure=evolution&epoch=1&grown_layer=4&grown=7,2,9")
    expect(page.get_by_text("Projection, after epoch 1", exact=True)).to_be_visible(timeout=LONG)
    expect(page.locator(".st-key-grown-Projection img")).to_have_count(3)
    wait_until_idle(page)
    young = sources(page)
    slider = page.get_by_role("slider")
    slider.focus()
    for _ in range(3):
        slider.press("ArrowRight")
    expect(page.get_by_text("Projection, after epoch 10", exact=True)).to_be_visible()
    expect(page).to_have_url(re.compile(r"epoch=10\b"))
    wait_until_idle(page)
    grown = sources(page)
    assert len(grown) == 3
    assert all(one != other for one, other in zip(young, grown, strict=True))
    page.goto(page.url)
    expect(page.get_by_text("Projection, after epoch 10", exact=True)).to_be_visible(timeout=LONG)
    wait_until_idle(page)
    assert sources(page) == grown


def test_the_figures_are_chosen_by_the_switch(server: str, page: Page) -> None:
    page.goto(f"{server}/?preset=zfnet_mini&view=paper&paper_figure=invariance&move=scale")
    expect(page.get_by_text("the same, moved").first).to_be_visible(timeout=LONG)
    expect(page.get_by_text("×1.8")).to_be_visible()
    page.get_by_role("radio", name="First-layer filters").click()
    expect(page.get_by_text(re.compile("27 aliased"))).to_be_visible(timeout=LONG)
    expect(page).to_have_url(re.compile("paper_figure=first_layer"))
