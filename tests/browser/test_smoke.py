"""The app opens at every size and theme; and the fixtures notice what they claim to notice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.driver import serve, wait_until_idle, watched_page

SCRIPT = """
import time
import streamlit as st

st.title("Tiny")
if st.button("Work"):
    time.sleep(1)
    st.write("Done")
if st.button("Break"):
    raise ValueError("broken on purpose")
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a script of a few lines, served with the project's settings."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "tiny.py").write_text(SCRIPT, encoding="utf-8")
    with serve(folder / "tiny.py", folder / "log.txt") as url:
        yield url


def background(page: Page) -> str:
    return page.get_by_test_id("stApp").evaluate("element => getComputedStyle(element).backgroundColor")


@pytest.mark.parametrize("fixture", ["page", "dark_page", "phone_page"])
def test_app_opens(server: str, fixture: str, request: pytest.FixtureRequest) -> None:
    page: Page = request.getfixturevalue(fixture)
    page.goto(server)
    wait_until_idle(page)
    expect(page.get_by_test_id("stMainBlockContainer")).to_contain_text("ResNet")
    width = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert width == 0, "the page scrolls sideways"


def test_idle_means_that_the_script_has_finished(tiny: str, page: Page) -> None:
    page.goto(tiny)
    wait_until_idle(page)
    page.get_by_role("button", name="Work").click()
    wait_until_idle(page)
    assert page.get_by_text("Done").is_visible()


# What the page asks for is a second on its way.
SLOWLY = """
const { prototype } = Object.getPrototypeOf(WebSocket);
const { send } = prototype;
prototype.send = function (data) { setTimeout(() => send.call(this, data), 1000); };
"""


def test_idle_means_that_a_slow_server_has_answered(tiny: str, page: Page) -> None:
    page.add_init_script(SLOWLY)
    page.goto(tiny)
    wait_until_idle(page)
    page.get_by_role("button", name="Work").click()
    wait_until_idle(page)
    assert page.get_by_text("Done").is_visible()


def test_an_exception_on_the_page_fails_its_test(tiny: str, browser: Browser) -> None:
    with pytest.raises(AssertionError, match="broken on purpose"), watched_page(browser, 1440, 900) as page:
        page.goto(tiny)
        wait_until_idle(page)
        page.get_by_role("button", name="Break").click()
        wait_until_idle(page)


def test_a_console_error_fails_its_test(tiny: str, browser: Browser) -> None:
    with pytest.raises(AssertionError, match="console: wrong"), watched_page(browser, 1440, 900) as page:
        page.goto(tiny)
        page.evaluate("console.error('wrong')")


def test_a_request_to_another_machine_fails_its_test(tiny: str, browser: Browser) -> None:
    with pytest.raises(AssertionError, match="http://a.invalid"), watched_page(browser, 1440, 900) as page:
        page.goto(tiny)
        page.evaluate("fetch('http://a.invalid/').catch(() => 0)")


def test_light_and_dark_follow_the_system(tiny: str, page: Page, dark_page: Page) -> None:
    for opened in (page, dark_page):
        opened.goto(tiny)
        wait_until_idle(opened)
    assert background(page) == "rgb(255, 255, 255)"
    assert background(dark_page) == "rgb(16, 22, 29)"


def test_text_of_a_link_is_shown_and_nothing_is_fetched_for_it(server: str, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    picture = "![x](//evil.example/p.png)"
    page.goto(
        f"{server}/?preset=zfnet_mini&view={picture}&weights=%3Cb%3E{picture}&https://evil.example=1"
        "&panel=:material/bug_report:$x$"
    )
    wait_until_idle(page)
    shown = page.get_by_test_id("stAlert")
    expect(shown.filter(has_text="view='![x](//evil.example/p.png)' is not one of")).to_be_visible()
    expect(page.get_by_test_id("stSidebar").get_by_test_id("stAlert")).to_contain_text("<b>![x](//evil.example")
    assert shown.count() == 4
    assert shown.locator("a, img, .katex").count() == 0
    assert not [url for url in asked if url.split("?")[0].count("evil")]
