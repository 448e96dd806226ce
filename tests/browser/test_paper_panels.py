"""A person looks at figure 7 and table 1 of Zeiler and Fergus (2014) on the network at hand."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.driver import wait_until_idle


def test_the_five_panels_and_a_click_that_moves_the_square_in_all(server: str, page: Page) -> None:
    page.goto(f"{server}/?preset=zfnet_mini&view=paper&paper_figure=occlusion&window=20&stride=6")
    expect(page.get_by_text("The picture, and the square")).to_be_visible(timeout=60_000)
    wait_until_idle(page)
    for said in (
        r"Sum of map \d+ \(strongest\)",
        r"What excites map \d+",
        "Probability of cat",
        "Most probable class",
    ):
        expect(page.get_by_text(re.compile(f"^{said}$"))).to_be_visible()
    stages = page.locator(".stage")
    expect(stages).to_have_count(4)  # (a), (b), (d), (e); (c) is four projections
    expect(page.get_by_text(re.compile("^this picture · "))).to_be_visible()
    whole = page.get_by_role("img", name="The picture with the square")
    before = whole.get_attribute("src")
    stages.nth(1).click(position={"x": 45, "y": 45})
    expect(page).to_have_url(re.compile("position="))
    expect(whole).not_to_have_attribute("src", before or "")


def test_parts_of_another_class_are_compared(server: str, page: Page) -> None:
    page.goto(f"{server}/?preset=zfnet_mini&view=paper&paper_figure=correspondence&parts_of=tree&part_groups=2")
    sentence = page.get_by_text(re.compile(r"In avgpool, changes by hidden parts differ .* over 3 parts"))
    expect(sentence).to_be_visible(timeout=60_000)
    expect(page.locator(".js-plotly-plot")).to_have_count(2)
    page.get_by_role("combobox", name=re.compile("Parts of")).click()
    page.get_by_role("option", name="clock").click()
    expect(page.get_by_text(re.compile("over 6 parts"))).to_be_visible(timeout=60_000)
    expect(page).to_have_url(re.compile("parts_of=clock"))
