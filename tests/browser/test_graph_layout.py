"""Where the graph puts things: nothing overlaps, no line runs through a box or across a title, at any fold."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from explorer.figures.graph_payload import graph_payload
from tests.support.graph_alone import empty, watched
from tests.support.graph_page import analysis_of

NETWORKS = ["resnet50", "googlenet", "densenet121", "torchvision:densenet121", "efficientnet_b0", "shufflenet_v2_x1_0",
            "vit_b_16", "nl_resnet50", "convnext_tiny", "inception_resnet_v2"]  # fmt: skip
# Keeps every layout beside what was asked of the worker that made it.
KEEP = """
window.laid = [];
window.Worker = class extends Worker {
  constructor(url) {
    super(url);
    this.tasks = new Map();
    this.addEventListener("message", ({ data }) => laid.push({ task: this.tasks.get(data.id), placed: data.placed }));
  }
  postMessage(message) {
    this.tasks.set(message.id, message.task);
    super.postMessage(message);
  }
};
null;
"""
TURN = """() => root.querySelector("[aria-label^='Left to right']").click()"""
# How often boxes overlap, stick out of their frame, are run through by a line, or a line crosses a frame's title.
FAULTS = """() => {
  const { task: { tree, edges, isDown }, placed } = laid.at(-1);
  const at = new Map(placed.boxes.map((box) => [box.id, box]));
  const all = [];
  const walk = (box, parent) => {
    all.push({ ...box, parent, at: at.get(box.id) });
    box.children.forEach((child) => walk(child, box));
  };
  walk(tree, null);
  const [right, bottom] = [(area) => area.x + area.w - 0.1, (area) => area.y + area.h - 0.1];
  const apart = (a, b) => a.x >= right(b) || b.x >= right(a) || a.y >= bottom(b) || b.y >= bottom(a);
  const begins = (a, b) => a.x > b.x - 0.1 && a.y > b.y - 0.1;
  const within = (a, b) => begins(a, b) && right(a) < right(b) + 0.1 && bottom(a) < bottom(b) + 0.1;
  const beside = ({ lane }, [x, y]) => (isDown ? [lane[0][0], y] : [x, lane[0][1]]);
  const stop = (line, points) =>
    [beside(line, line.leave.at(-1)), beside(line, points.at(-1)), ...[...points].reverse()];
  const busWays = (line) => line.stops.map(({ points }) => [...line.leave, ...stop(line, points)]);
  const ways = placed.lines.flatMap((line) => (line.bus ? busWays(line) : [line.points]));
  const parts = ways.flatMap((way) => way.slice(1).map(([x, y], i) => ({
    x: Math.min(x, way[i][0]), y: Math.min(y, way[i][1]), w: Math.abs(x - way[i][0]), h: Math.abs(y - way[i][1]),
  })));
  const crosses = (area) => parts.some((part) => !apart({ ...part, w: part.w + 0.2, h: part.h + 0.2 }, area));
  const inner = ({ x, y, w, h }) => ({ x: x + 1, y: y + 1, w: w - 2, h: h - 2 });
  const title = ({ x, y }, width) => ({ x: x + 2, y: y + 3, w: width, h: 19 });
  const siblings = all.flatMap((box) => box.children.map((c, i) => [c, box.children.slice(i + 1)]));
  return {
    boxes: all.length,
    drawn: new Set(placed.lines.flatMap((line) => line.edges)).size === edges.length,
    overlaps: siblings.flatMap(([a, others]) => others.filter((b) => !apart(at.get(a.id), at.get(b.id)))).length,
    outside: all.filter(({ parent, at: own }) => parent && !within(own, at.get(parent.id))).length,
    through: all.filter(({ open, at: own }) => !open && crosses(inner(own))).length,
    titles: all.filter((box) => box.id && box.open && crosses(title(box.at, box.title))).length,
  };
}"""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = empty(browser)
    page.evaluate(KEEP)
    yield page
    page.close()


@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_overlaps_and_lines_keep_clear(name: str, page: Page) -> None:
    watched(page, "show(argument)", graph_payload(analysis_of(name), title=name))
    levels = page.locator("[aria-label=Open] option").evaluate_all("all => all.map((option) => option.value)")[1:]
    sizes = []
    for _ in ("down", "to the right"):
        for level in levels:
            watched(page, "level(argument)", level)
            found = page.evaluate(FAULTS)
            sizes.append(found.pop("boxes"))
            assert found == {"drawn": True, "overlaps": 0, "outside": 0, "through": 0, "titles": 0}, level
        watched(page, TURN)
    assert max(sizes) > 60


# Boxes below the small map, and whether there is a map at all.
BELOW_MAP = """() => {
  const map = root.querySelector(".map").getBoundingClientRect();
  const isBelow = ({ left, right, top, bottom }) =>
    left < map.right && right > map.left && top < map.bottom && bottom > map.top;
  const boxes = [...root.querySelectorAll(".box > .body")];
  return [map.width > 0, boxes.filter((box) => isBelow(box.getBoundingClientRect())).length];
}"""


@pytest.mark.parametrize(
    ("name", "part"), [("googlenet", "inception4b"), ("resnet50", "layer2"), ("densenet121", "denseblock1")]
)
def test_the_small_map_lies_beside_what_is_opened(name: str, part: str, page: Page) -> None:
    page.set_viewport_size({"width": 640, "height": 600})
    page.evaluate("root.style.setProperty('--height', '520px')")  # too low for any of them
    watched(page, "show(argument)", graph_payload(analysis_of(name), title=name))
    for _ in ("down", "to the right"):
        for _ in ("opened", "closed"):
            watched(page, "toggle(argument)", part)
            page.wait_for_timeout(50)  # the map is drawn with the next frame
            assert page.evaluate(BELOW_MAP) == [True, 0]
        watched(page, TURN)


# Whether the frame with this title lies within the canvas from side to side, and the space above the drawing.
WHOLE = """(title) => {
  const canvas = root.querySelector("svg.canvas").getBoundingClientRect();
  const frame = [...root.querySelectorAll(".frame")].find((one) => one.textContent.startsWith(title));
  const { left, right } = frame.querySelector(".body").getBoundingClientRect();
  const above = root.querySelector(".scene").getBoundingClientRect().top - canvas.top;
  return [left >= canvas.left && right <= canvas.right, above];
}"""


def test_the_frame_around_what_is_opened_stays_in_view_whole(page: Page) -> None:
    page.set_viewport_size({"width": 640, "height": 600})
    page.evaluate("root.style.setProperty('--height', '520px')")
    watched(page, "show(argument)", graph_payload(analysis_of("googlenet"), title="googlenet"))
    for part in ("inception3a", "branch2"):
        watched(page, "toggle(argument)", part)
        page.wait_for_timeout(50)
        is_whole, above = page.evaluate(WHOLE, "inception3a")
        assert is_whole, part
        assert above < 60, part
