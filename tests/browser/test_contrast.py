"""Links can be read: their contrast with what lies behind them, in both themes, as the browser paints them."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tests.browser.driver import wait_until_idle

LEAST = 4.5  # WCAG 2.2, 1.4.3
# The colour over the grounds of all that an element lies in, with every opacity on the way; then WCAG's formula.
CONTRAST = """link => {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 1;
  const pen = canvas.getContext('2d', {willReadFrequently: true});
  const chain = [];
  for (let node = link; node; node = node.parentElement) chain.unshift(getComputedStyle(node));
  const over = (below, colour, opacity) => {
    pen.globalAlpha = 1; pen.fillStyle = `rgb(${below.join(',')})`; pen.fillRect(0, 0, 1, 1);
    pen.globalAlpha = opacity; pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  let ground = [255, 255, 255], opacity = 1;
  for (const style of chain) {
    opacity *= Number(style.opacity);
    ground = over(ground, style.backgroundColor, opacity);
  }
  const ink = over(ground, getComputedStyle(link).color, opacity);
  const luminance = rgb => {
    const [r, g, b] = rgb.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const [low, high] = [luminance(ink), luminance(ground)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}"""


@pytest.mark.parametrize("fixture", ["page", "dark_page"])
@pytest.mark.parametrize("view", ["workbench", "blocks", "deconvnet"])
def test_every_link_can_be_read(server: str, fixture: str, view: str, request: pytest.FixtureRequest) -> None:
    page: Page = request.getfixturevalue(fixture)
    page.goto(f"{server}/?preset=resnet50&view={view}")
    wait_until_idle(page, 60)
    links = page.locator("[data-testid=stMarkdownContainer] a[href^=http]")
    assert links.count() >= (2 if view == "blocks" else 1)
    assert {link.inner_text(): ratio for link in links.all() if (ratio := link.evaluate(CONTRAST)) < LEAST} == {}


def test_the_contrast_of_a_faded_link_is_seen(server: str, page: Page) -> None:
    page.goto(server)
    wait_until_idle(page, 60)
    link = page.locator("[data-testid=stSidebar] a[href^=http]")
    before = link.evaluate(CONTRAST)
    link.evaluate("link => link.parentElement.style.opacity = 0.6")
    assert link.evaluate(CONTRAST) < before
