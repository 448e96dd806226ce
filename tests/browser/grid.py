"""Edits cells of Streamlit's grids as a person does: a click into it, then keys."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from tests.browser.driver import wait_until_idle


def cell(page: Page, column: str, row: int, table: int = 0) -> str:
    """What stands in a cell: its column by heading, its row from 1."""
    grid = page.get_by_test_id("stDataFrame").nth(table)
    return grid.get_by_test_id(f"glide-cell-{_column(grid, column)}-{row - 1}").text_content() or ""


def edit_cell(page: Page, column: str, row: int, text: str, table: int = 0) -> None:
    """Go to a cell with the arrow keys, type a value over the one it has, and wait for the page."""
    grid = page.get_by_test_id("stDataFrame").nth(table)
    # The number of the first row, through an empty scroller that lies on it.
    grid.get_by_test_id("data-grid-canvas").click(position={"x": 45, "y": 50}, force=True)
    for key, times in (("ArrowRight", _column(grid, column) - 1), ("ArrowDown", row - 1)):
        for _ in range(times):
            page.keyboard.press(key, delay=20)
    page.keyboard.type(text[0])
    editor = page.locator("input.gdg-input")
    editor.wait_for()
    page.keyboard.type(text[1:], delay=30)
    expect(editor).to_have_value(text)
    page.keyboard.press("Enter")
    editor.wait_for(state="detached")
    page.wait_for_timeout(400)  # the grid hands its edits on after a moment
    wait_until_idle(page)


def _column(grid: Locator, heading: str) -> int:
    """The place of a column from 1; inside a canvas headings have no role that Playwright would see."""
    grid.locator("th").first.wait_for(state="attached")
    return grid.locator("th").all_text_contents().index(heading) + 1
