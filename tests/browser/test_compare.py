"""A person pins ResNet-50, makes it ResNeXt-50, and sees which layers changed."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from tests.browser.driver import wait_until, wait_until_idle


def choose(page: Page, label: str, option: str) -> None:
    """Choose an entry of a list that can be typed into."""
    box = page.get_by_role("combobox", name=label)
    box.click()
    box.fill(option)
    page.get_by_role("option", name=option, exact=True).click()
    wait_until_idle(page)


def graphs(page: Page, number: int) -> list[Locator]:
    """The graphs, once there are so many."""
    found = page.locator(".root:has(svg .box)")
    expect(found).to_have_count(number, timeout=60_000)
    return found.all()


def test_resnet_50_is_pinned_and_made_a_resnext_50_whose_changes_are_marked(server: str, page: Page) -> None:
    page.goto(f"{server}/?view=compare&preset=resnet50")
    wait_until_idle(page, 60)
    page.get_by_role("button", name="Pin").click()
    wait_until_idle(page)
    expect(page).to_have_url(re.compile(r"pin1=resnet50"))
    choose(page, "Architecture", "2017 · ResNeXt")
    expect(page.get_by_text("B: 32 changed, 80 follow, 64 the same")).to_be_visible(timeout=30_000)
    for graph in graphs(page, 2):
        expect(graph.locator(".box.m-changed")).not_to_have_count(0)
        marked = graph.locator(".box.m-changed").all()
        assert all("Bottleneck" in (box.get_attribute("aria-label") or "") for box in marked)
        plain = graph.locator(".box:not(.m-changed)").filter(has_text="max pool")
        expect(plain).to_have_count(1)
        colours = {
            box.locator(".body").first.evaluate("body => getComputedStyle(body).stroke") for box in (marked[0], plain)
        }
        assert len(colours) == 2, "a mark is seen on a closed module too"


def test_a_link_with_pins_opens_the_same_comparison_in_a_fresh_browser(server: str, page: Page) -> None:
    link = f"{server}/?view=compare&preset=resnext50_32x4d&pin1=resnet50%21n%3Dbefore&part=table"
    page.goto(link)
    wait_until_idle(page, 60)
    expect(page.get_by_text("A before")).to_be_visible()
    expect(
        page.get_by_text("B · resnext50_32x4d beside A · before: 32 changed, 80 follow, 64 the same.")
    ).to_be_visible()


# How far a graph's first box stands from the middle of its frame, its scale, and where the frame begins.
MIDDLE = """svg => {
  const [frame, box] = [svg, svg.querySelector(".box")].map((element) => element.getBoundingClientRect());
  const scale = svg.querySelector(".scene").transform.baseVal.consolidate().matrix.a;
  return [Math.round(box.x + box.width / 2 - frame.x - frame.width / 2), scale, frame.y];
}"""


def places(page: Page) -> list[tuple[float, ...]]:
    """What MIDDLE says of each graph."""
    return [tuple(scene.evaluate(MIDDLE)) for scene in page.locator("svg.canvas:has(.box)").all()]


def test_graphs_of_unlike_networks_begin_level_at_one_scale_and_in_sight(server: str, page: Page) -> None:
    page.goto(f"{server}/?view=compare&preset=resnet50&pin1=googlenet&pin2=densenet201&pin3=efficientnet_b7")
    wait_until_idle(page, 60)
    expect(page.locator("svg.canvas:has(.box)")).to_have_count(4, timeout=60_000)
    wait_until(page, lambda: len({*places(page)}) == 1, told=lambda: str(places(page)))
    assert abs(places(page)[0][0]) < 40
    legends = [graph.locator(".legend") for graph in graphs(page, 4)]
    for legend in legends:
        expect(legend).to_be_in_viewport(ratio=1)


# The graph of a network on the page hears anew which others it goes with, or no more.
HEARS = """([number, sync]) => {
  const own = [...globalThis.explorerGraphs.values()].filter(({ feeds }) => feeds.chosen)[number];
  const before = own.feeds.chosen.sync;
  own.feeds.chosen = { ...own.feeds.chosen, sync };
  own.take("chosen");
  return before;
}"""


def test_a_graph_that_hears_late_of_the_others_begins_beside_them(server: str, page: Page) -> None:
    page.goto(f"{server}/?view=compare&preset=resnet50&pin1=googlenet")
    wait_until_idle(page, 60)
    _, second = graphs(page, 2)
    wait_until(page, lambda: len({*places(page)}) == 1, told=lambda: str(places(page)))
    name = page.evaluate(HEARS, [0, None])
    assert name
    second.get_by_role("button", name="Zoom in (+)").click()
    wait_until(page, lambda: len({*places(page)}) == 2)
    page.evaluate(HEARS, [0, name])
    wait_until(page, lambda: len({*places(page)}) == 1, told=lambda: str(places(page)))


def test_a_graph_that_was_away_comes_back_to_where_the_others_are(server: str, page: Page) -> None:
    page.goto(f"{server}/?view=compare&preset=resnet50&pin1=googlenet")
    wait_until_idle(page, 60)
    graphs(page, 2)
    wait_until(page, lambda: len({*places(page)}) == 1, told=lambda: str(places(page)))
    # As where one of them begins, and is smaller than the other, while that one's element is replaced.
    page.evaluate("[...explorerGraphs.values()].filter(({ feeds }) => feeds.chosen)[0].memory.place.k *= 0.5")
    for view in ("Blocks", "Compare"):
        page.get_by_role("radio", name=view).click()
        wait_until_idle(page, 60)
    graphs(page, 2)
    wait_until(page, lambda: len({*places(page)}) == 1, told=lambda: str(places(page)))


def test_the_comparison_fits_a_phone(server: str, phone_page: Page) -> None:
    phone_page.goto(f"{server}/?view=compare&preset=resnext50_32x4d&pin1=resnet50&pin2=se_resnet50")
    wait_until_idle(phone_page, 60)
    expect(phone_page.locator("svg .box.m-added, svg .box.m-changed").first).to_be_visible(timeout=30_000)
    assert phone_page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
