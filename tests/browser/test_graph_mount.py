"""A graph whose element the page replaces: its successor is fed, whichever of the two comes or goes first."""

from __future__ import annotations

from playwright.sync_api import Browser, expect

from explorer.figures.graph_payload import graph_payload
from tests.support.graph_alone import empty
from tests.support.graph_page import analysis_of

REPLACE = """payload => {
  const own = () => globalThis.explorerGraphs.get("graph");
  window.feed = (value) => { own().feeds.payload = value; own().take?.("payload"); };
  const second = root.cloneNode();
  const goes = kit.mount("graph", root, {});
  feed(payload);
  root.after(second);
  kit.mount("graph", second, {});
  goes();
  root.remove();
}"""


def test_an_element_that_goes_after_its_successor_has_come_leaves_it_alive(browser: Browser) -> None:
    page = empty(browser)
    before, after = (graph_payload(analysis_of(name), title=name) for name in ("resnet18", "alexnet"))
    page.evaluate(REPLACE, before)
    boxes = page.locator("g.box")
    expect(boxes.filter(has_text="BasicBlock")).not_to_have_count(0)
    page.evaluate("payload => feed(payload)", after)
    expect(boxes.filter(has_text="BasicBlock")).to_have_count(0)
    expect(boxes).not_to_have_count(0)
    page.close()
