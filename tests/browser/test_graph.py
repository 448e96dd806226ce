"""The graph in a browser: opening, searching, colours, choosing, keyboard; the page never stands still."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Page, WebSocket, expect

from tests.browser.driver import wait_until, wait_until_idle
from tests.browser.graph_hands import box, boxes, focused, frame, open_graph, press, redrawn
from tests.support import graph_page


def test_one_group_of_resnet50_opens_and_closes_where_it_stands(graphs: str, page: Page) -> None:
    open_graph(page, graphs)
    expect(boxes(page)).to_have_count(14)
    group = box(page, re.compile("Bottleneck.*0"))
    before = group.bounding_box()
    redrawn(page, group.click)
    expect(boxes(page)).to_have_count(14 - 1 + 5)
    opened = frame(page, re.compile("^Bottleneck"))
    after = opened.locator(".title").bounding_box()
    assert before
    assert after
    assert abs(after["y"] - before["y"]) < 3
    redrawn(page, opened.locator(".title").click)
    expect(boxes(page)).to_have_count(14)


def test_repeats_unfold_to_each_copy(graphs: str, page: Page) -> None:
    open_graph(page, graphs)
    badge = page.locator("svg.canvas .box .badge").first
    expect(badge).to_have_text("× 2")
    redrawn(page, badge.click)
    expect(boxes(page)).to_have_count(15)
    redrawn(page, frame(page, "× 2").locator(".title").click)
    expect(boxes(page)).to_have_count(14)


def test_a_click_chooses_a_layer_and_a_choice_from_elsewhere_is_shown(graphs: str, page: Page) -> None:
    open_graph(page, graphs)
    box(page, "conv 7×7").click()
    expect(page.get_by_test_id("stCode")).to_contain_text("picked conv1")
    expect(page.locator("svg.canvas .chosen")).to_contain_text("conv 7×7")
    wait_until_idle(page)
    field = page.get_by_label("Choose")
    field.fill("layer3.4.conv2")
    field.press("Enter")
    chosen = page.locator("svg.canvas .chosen")
    expect(chosen).to_contain_text("conv 3×3 · 256")
    expect(chosen).to_have_attribute("aria-label", re.compile(r"^layer3\.4\.conv2: "))
    expect(chosen).to_be_in_viewport()


def test_hits_of_a_search_are_marked_and_stepped_through(graphs: str, page: Page) -> None:
    open_graph(page, graphs)
    search = page.get_by_label("Search layers")
    search.fill("layer4.2.conv")
    expect(page.locator(".hits")).to_have_text("3")
    expect(page.locator("svg.canvas .hit")).to_have_count(1)  # the closed module that holds all three
    redrawn(page, lambda: search.press("Enter"))
    expect(page.locator(".hits")).to_have_text("1 of 3")
    expect(page.locator("svg.canvas .hit")).to_have_count(3)
    hit = page.locator("svg.canvas .hit.at")
    expect(hit).to_have_attribute("aria-label", re.compile(r"^layer4\.2\.conv1: "))
    expect(hit).to_be_in_viewport()
    search.press("Shift+Enter")
    expect(hit).to_have_attribute("aria-label", re.compile(r"^layer4\.2\.conv3: "))


def test_boxes_are_filled_by_a_figure(graphs: str, page: Page) -> None:
    """MACs of ResNet-50's first convolution: 112² · 64 · 7² · 3 = 118,013,952."""
    open_graph(page, graphs)
    page.get_by_label("Colour").select_option("macs")
    stem = box(page, "conv 7×7")
    expect(stem.locator(".quiet")).to_have_text("118 M")
    shares = {
        b.text_content() or "": b.evaluate("b => parseFloat(b.style.getPropertyValue('--share'))")
        for b in boxes(page).all()
    }
    loudest = max(shares, key=lambda text: shares[text])
    assert shares[loudest] == 100
    assert "× 5" in loudest
    page.get_by_label("Colour").select_option("Latency")
    expect(box(page, re.compile("Bottleneck.*1.50"))).to_be_visible()


def test_what_has_outgrown_the_picture_has_a_corner_and_a_word_in_the_legend(graphs: str, page: Page) -> None:
    open_graph(page, graphs, "outgrown")
    if (badge := page.locator(".badge")).count():
        redrawn(page, badge.first.click)
    marked = boxes(page).filter(has=page.locator(".corner.unproductive"))
    expect(marked).to_have_count(1)
    assert "unproductive: its input sees the whole picture already" in (marked.get_attribute("aria-label") or "")
    expect(boxes(page).filter(has=page.locator(".corner.exceeding"))).to_contain_text("max pool")
    expect(page.locator(".legend")).to_contain_text("unproductive")
    open_graph(page, graphs, "vgg16")
    expect(page.locator(".corner")).to_have_count(0)
    expect(page.locator(".legend")).not_to_contain_text("exceeds")


def test_lines_are_lighter_the_coarser_the_map(graphs: str, page: Page) -> None:
    open_graph(page, graphs, "vgg16")
    shades = page.locator("svg.canvas .line").evaluate_all(
        "lines => lines.map((line) => parseFloat(line.style.getPropertyValue('--shade')))"
    )
    assert shades[0] == max(shades)
    assert min(shades) < shades[0] - 20


def test_what_reaches_a_box_and_what_it_reaches_lights_up(graphs: str, page: Page) -> None:
    open_graph(page, graphs, "googlenet")
    redrawn(page, box(page, "inception3a").click)
    box(page, "branch1").hover()
    lit = page.locator("svg.canvas .box.on")
    expect(lit.filter(has_text="concat")).to_have_count(1)
    expect(lit.filter(has_text=re.compile("^branch2"))).to_have_count(0)
    expect(lit.filter(has_text="branch1")).to_have_count(1)


def test_the_whole_by_keyboard(graphs: str, page: Page) -> None:
    open_graph(page, graphs)
    page.get_by_label("Search layers").focus()
    press(page, "Escape")  # leaves the search for the graph
    assert focused(page).startswith("input")
    press(page, "ArrowDown", "ArrowDown", "ArrowDown")
    assert focused(page).startswith("Bottleneck")
    redrawn(page, lambda: press(page, "Enter"))
    press(page, "ArrowDown")
    assert focused(page).startswith("layer1.0.conv1")
    press(page, "ArrowRight")
    assert focused(page).startswith("layer1.0.downsample.0")
    press(page, "ArrowDown")
    assert focused(page).startswith("layer1.0.add")
    press(page, "ArrowUp")
    press(page, "Enter")
    expect(page.get_by_test_id("stCode")).to_contain_text(re.compile(r"picked layer1\.0\.(conv3|downsample\.0)"))
    wait_until_idle(page)
    redrawn(page, lambda: press(page, "o"))  # a unit's own layers
    expect(boxes(page).filter(has_text="batch norm")).to_have_count(1)
    redrawn(page, lambda: press(page, "Escape"))
    expect(boxes(page).filter(has_text="batch norm")).to_have_count(0)
    redrawn(page, lambda: press(page, "Escape"))
    assert focused(page).startswith("Bottleneck")
    expect(boxes(page)).to_have_count(14)
    press(page, "/")
    expect(page.get_by_label("Search layers")).to_be_focused()


def test_keys_lead_from_a_search_to_its_hits_and_on(graphs: str, page: Page) -> None:
    open_graph(page, graphs)
    page.get_by_label("Search layers").focus()
    page.keyboard.type("layer4.2.conv")
    redrawn(page, lambda: press(page, "Enter"))
    press(page, "Enter", "Escape")
    assert focused(page).startswith("layer4.2.conv2")
    press(page, "ArrowDown")
    assert focused(page).startswith("layer4.2.conv3")
    expect(page.locator("svg.canvas.lit")).to_have_count(1)
    press(page, "Tab")
    expect(page.locator("svg.canvas.lit")).to_have_count(0)


def test_what_is_opened_is_told_and_a_link_brings_it_back(graphs: str, page: Page) -> None:
    open_graph(page, graphs)
    redrawn(page, box(page, re.compile("Bottleneck.*0")).click)
    code = page.get_by_test_id("stCode")
    expect(code).to_contain_text(re.compile(r"fold \w+\.[\w-]+"))
    text = code.inner_text().partition("fold ")[2].strip()
    assert len(text) < 60
    open_graph(page, graphs, query=f"&fold={text}")
    expect(boxes(page)).to_have_count(18)
    for damaged in ("zz.AAAA", "..", "%3Cscript%3E", text + "AAAAAAAAAAAAAAAAAAAAAAAA"):
        open_graph(page, graphs, query=f"&fold={damaged}")
        expect(boxes(page)).to_have_count(14)


@pytest.mark.parametrize("network", ["densenet201", "torchvision:densenet201"])
def test_dense_connections_are_a_ladder(graphs: str, page: Page, network: str) -> None:
    """The first dense block of six: its own library writes the concatenations differently, the picture is the same."""
    open_graph(page, graphs, network)
    redrawn(page, box(page, "denseblock1").click)
    buses = page.locator("svg.canvas .line.bus")
    expect(buses).to_have_count(6)
    expect(boxes(page).filter(has_text=re.compile("^denselayer"))).to_have_count(6)


def test_names_are_text_and_never_markup(graphs: str, page: Page) -> None:
    open_graph(page, graphs, "hostile")
    page.get_by_label("Open").select_option("all modules")
    expect(page.locator("svg.canvas")).to_contain_text("</script>")
    page.get_by_label("Open").select_option("every layer")
    expect(box(page, "<img src=x onerror=alert(1)>")).to_be_visible()
    assert page.locator("[data-drawn] img, [data-drawn] script").count() == 0


def test_a_refused_network_opens_at_what_fails(graphs: str, page: Page) -> None:
    open_graph(page, graphs, "broken")
    failed = box(page, "Conv2d cannot run")
    expect(failed).to_be_in_viewport()
    expect(failed).to_have_attribute("aria-label", re.compile("Invalid channel dimensions"))


def test_five_thousand_layers_stay_usable(graphs: str, page: Page) -> None:
    open_graph(page, graphs, "chain")
    assert boxes(page).count() < 100
    redrawn(page, lambda: page.get_by_label("Open").select_option("every layer"))
    assert boxes(page).count() <= 320
    expect(page.locator(".notice")).to_contain_text("at most 320 are drawn at once")


def test_two_graphs_pan_zoom_and_fold_together(graphs: str, page: Page) -> None:
    open_graph(page, graphs, query="&beside=resnet101")
    first, second = (page.locator("svg.canvas").nth(place) for place in (1, 2))
    expect(second.locator(".box")).to_have_count(14)
    first.locator(".box", has_text="conv 7×7").hover()
    page.mouse.wheel(0, -240)
    for graph in (first, second):
        expect(graph.locator(".scene")).not_to_have_attribute("transform", re.compile(r"scale\(1\.0000\)"))
    entrances = [graph.locator(".box", has_text="input") for graph in (first, second)]
    left = "box => Math.round(box.getBoundingClientRect().x)"
    wait_until(page, lambda: len({box.evaluate(left) for box in entrances}) == 1)
    second.locator(".frame .title", has_text="layer1").click()
    for graph in (first, second):
        expect(graph.locator(".box")).to_have_count(13)
    expect(second.locator(".m-changed", has_text="conv 7×7")).to_have_count(1)
    expect(second.locator(".m-removed", has_text="linear")).to_have_count(1)
    expect(second.locator(".m-changed", has_text=re.compile("^Bottleneck0"))).to_have_count(
        1
    )  # one of its layers is new
    expect(page.locator(".legend").nth(2)).to_contain_text("addedchangedremoved")


# Words and what they stand on, as the browser computes them, by WCAG's formula.
CONTRASTS = """(scene) => {
  const pen = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d");
  const seen = (...colours) => {
    pen.clearRect(0, 0, 1, 1);
    colours.forEach((colour) => { pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1); });
    return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (rgb) => rgb.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const page = getComputedStyle(document.querySelector("[data-testid=stApp]")).backgroundColor;
  return [...scene.querySelectorAll("text")].map((text) => {
    const body = text.closest(".box")?.querySelector(".body");
    const ground = light(seen(page, ...(body ? [getComputedStyle(body).fill] : [])));
    const ink = light(seen(page, getComputedStyle(text).fill));
    return [text.textContent, (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05)];
  });
}"""


@pytest.mark.parametrize("fixture", ["page", "dark_page"])
def test_words_can_be_read_in_either_theme(graphs: str, fixture: str, request: pytest.FixtureRequest) -> None:
    page: Page = request.getfixturevalue(fixture)
    open_graph(page, graphs)
    redrawn(page, lambda: page.get_by_label("Open").select_option("every layer"))
    for figure in ("kind", "macs", "channels"):
        page.get_by_label("Colour").select_option(figure)
        found = page.locator("svg.canvas .scene").evaluate(CONTRASTS)
        assert len(found) > 150
        assert [(text, ratio) for text, ratio in found if ratio < 4.5] == []  # WCAG 2.2, 1.4.3


def test_a_choice_sends_the_network_again_in_neither_direction(graphs: str, page: Page) -> None:
    frames: list[int] = []

    def watch(socket: WebSocket) -> None:
        socket.on("framereceived", lambda frame: frames.append(len(frame)))
        socket.on("framesent", lambda frame: frames.append(len(frame)))

    page.on("websocket", watch)
    open_graph(page, graphs, "densenet201")
    wait_until_idle(page)
    whole = len(json.dumps(graph_page.shown("densenet201")[0]))
    assert sum(frames) > 80_000
    frames.clear()
    box(page, "conv 7×7").click()
    expect(page.get_by_test_id("stCode")).to_contain_text("picked features.conv0")
    wait_until_idle(page)
    assert whole > 80_000
    assert sum(frames) < 10_000  # the page's own messages are in it: each element of the script is confirmed


# The longest time in which the page's thread did nothing else, while the graph is opened to a level.
GAP = """(level) => new Promise((done) => {
  const inside = (host) => host.shadowRoot?.querySelector("[data-drawn]");
  const root = [...document.querySelectorAll("*")].map(inside).find(Boolean);
  const before = Number(root.dataset.drawn);
  const select = root.querySelector("[aria-label=Open]");
  const channel = new MessageChannel();
  let [last, gap, goes] = [performance.now(), 0, true];
  channel.port1.onmessage = () => {
    gap = Math.max(gap, performance.now() - last);
    last = performance.now();
    if (goes) channel.port2.postMessage(0);
  };
  channel.port2.postMessage(0);
  select.value = level;
  select.dispatchEvent(new Event("change"));
  const look = () => {
    if (Number(root.dataset.drawn) <= before) return setTimeout(look, 5);
    return setTimeout(() => { goes = false; done(gap); }, 200);
  };
  look();
})"""


@pytest.mark.parametrize("network", ["densenet201", "torchvision:densenet201", "efficientnet_b7"])
def test_the_page_never_stands_still(graphs: str, page: Page, network: str) -> None:
    """Goal: 100 ms on a quiet machine; here three times that, as other tests run beside it; the best of three."""
    open_graph(page, graphs, network)
    levels = [option.get_attribute("value") for option in page.get_by_label("Open").locator("option").all()][1:]
    for level in levels:
        assert min(page.evaluate(GAP, level) for _ in range(3)) < 300, level
