"""A page with the graph's own code, without Streamlit: what is done there is timed, and what is laid out is kept."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Browser, Page

from explorer.figures.graph_page import source, style

THEME = "--st-text-color: #1c2733; --st-background-color: #fff; --st-secondary-background-color: #f3f6f9;"
BLANK = "<!doctype html><style>:root {{ {theme} --height: 860px }} {style}</style><div class=root></div>"
# `watched(act)`: milliseconds until what it does is painted, and the longest time the page's thread did nothing else.
WATCH = """
window.root = document.querySelector(".root");
window.watched = (act) => new Promise((done, fail) => {
  setTimeout(() => fail(new Error("nothing was drawn in 60 s")), 60_000);
  const before = Number(root.dataset.drawn ?? 0);
  const channel = new MessageChannel();
  const began = performance.now();
  let [last, gap, goes] = [began, 0, true];
  channel.port1.onmessage = () => {
    gap = Math.max(gap, performance.now() - last);
    last = performance.now();
    if (goes) channel.port2.postMessage(0);
  };
  channel.port2.postMessage(0);
  act();
  const end = () => {
    const took = performance.now() - began;
    setTimeout(() => { goes = false; done([took, gap]); }, 100);
  };
  const look = () => {
    if (Number(root.dataset.drawn ?? 0) > before) requestAnimationFrame(() => setTimeout(end));
    else setTimeout(look, 1);
  };
  look();
});
window.level = (value) => () => {
  const select = root.querySelector("[aria-label=Open]");
  select.value = value;
  select.dispatchEvent(new Event("change"));
};
window.toggle = (part) => () => {
  const groups = [...root.querySelectorAll(".box.group, .frame.group > .title")];
  const box = groups.find((group) => group.textContent.startsWith(part));
  box.dispatchEvent(new MouseEvent("click", { bubbles: true }));
};
window.show = (payload) => () => {
  window.close_?.();
  window.close_ = kit.alone(root, payload, { values: {}, shares: [] }, "", {});
};
"""


def empty(browser: Browser) -> Page:
    """A page with the graph's code and no graph."""
    page = browser.new_page(viewport={"width": 1000, "height": 900})
    page.set_content(BLANK.format(theme=THEME, style=style()))
    page.evaluate(
        """([code, css]) => {
          window.kit = new Function("SOURCE", "STYLE", `${code}; return explorerGraph(SOURCE, STYLE)`)(code, css);
        }""",
        [source(), style()],
    )
    page.evaluate(WATCH)
    return page


def watched(page: Page, act: str, argument: Any = None) -> tuple[float, float]:
    """Seconds until what `act` does is painted, and the longest gap on the page's thread."""
    took, gap = page.evaluate(f"(argument) => watched({act})", argument)
    return took / 1000, gap / 1000
