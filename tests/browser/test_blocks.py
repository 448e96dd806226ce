"""A person compares an inverted residual with a bottleneck: equal MACs, and the latency of both."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.driver import wait_until_idle


def rows(page: Page, column: int) -> dict[str, str]:
    """The figures of one block, by name."""
    lines = page.get_by_test_id("stTable").nth(column).locator("tbody tr").all()
    cells = [line.locator("td").all_inner_texts() for line in lines]
    return {name: value for name, value, *_ in cells}


def millions(text: str) -> float:
    return float(text.removesuffix("M").strip())


def test_an_inverted_residual_gets_the_macs_of_a_bottleneck_and_both_are_timed(server: str, page: Page) -> None:
    page.goto(f"{server}/?preset=zfnet_mini&view=blocks&input_height=28&input_width=28&k1.width=32")
    wait_until_idle(page, 60)
    expect(page.locator("g.box")).not_to_have_count(0, timeout=30_000)
    before = [millions(rows(page, column)["MACs"]) for column in (0, 1)]
    assert before[1] > 2 * before[0]
    page.get_by_role("button", name="Match budget").click()
    told = page.get_by_text(re.compile(r"expansion=[\d.]+ gives [\d,]+ MACs, .*the [\d,]+ wanted"))
    expect(told).to_be_visible(timeout=30_000)
    found, wanted = (int(n.replace(",", "")) for n in re.findall(r"([\d,]{4,})", told.inner_text()))
    assert abs(found / wanted - 1) <= 0.01
    expect(page).to_have_url(re.compile(r"k2\.expansion="))
    page.get_by_role("button", name="Measure latency").click()
    expect(page.get_by_text(re.compile("the median of .* passes"))).to_be_visible(timeout=60_000)
    wait_until_idle(page)
    for column in (0, 1):
        figures = rows(page, column)
        assert all(
            re.fullmatch(r"(?:[\d.,]+ ± [\d.,]+|not steady: [\d.,]+ to [\d.,]+) ms", figures[f"Latency, batch {n}"])
            for n in (1, 32)
        )


def test_columns_stack_on_a_phone(server: str, phone_page: Page) -> None:
    phone_page.goto(f"{server}/?preset=zfnet_mini&view=blocks&block3=mbconv&block4=inception")
    wait_until_idle(phone_page, 60)
    boxes = [table.bounding_box() for table in phone_page.get_by_test_id("stTable").all()]
    places = [(box["x"], box["y"]) for box in boxes if box]
    assert len(places) == 4
    assert len({x for x, _ in places}) == 1
    assert places == sorted(places, key=lambda p: p[1])
    assert phone_page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
