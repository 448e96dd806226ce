"""Edits cells of Streamlit's grids as a person does: a click into it, then keys."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from tests.browser.driver import wait_until_idle

HEAD_PX, ROW_PX = 35, 32  # of the tables of stages


def cell(page: Page, column: str, row: int, table: int = 0) -> str:
    """What stands in a cell: its column by heading, its row from 1."""
    grid = page.get_by_test_id("stDataFrame").nth(table)
    return grid.get_by_test_id(f"glide-cell-{_column(grid, column)}-{row - 1}").text_content() or ""


def edit_cell(page: Page, column: str, row: int, text: str, table: int = 0) -> None:
    """Go to a cell with the arrow keys, type a value over the one it has, and wait for the page."""
    grid = page.get_by_test_id("stDataFrame").nth(table)
    # The number of the first row, through an empty scroller that lies on it.
    grid.get_by_test_id("data-grid-canvas").click(position={"x": 45, "y": 50}, force=True)
    edit_by_keys(page, grid, column, row, text)


def edit_by_keys(page: Page, grid: Locator, column: str, row: int, text: str) -> None:
    """The same in a grid whose first cell has the focus."""
    for key, times in (("ArrowRight", _column(grid, column) - 1), ("ArrowDown", row - 1)):
        for _ in range(times):
            page.keyboard.press(key, delay=20)
    page.keyboard.type(text[0])
    editor(page).wait_for()
    page.keyboard.type(text[1:], delay=30)
    finish(page, text)


def tap_cell(page: Page, grid: Locator, column: str, row: int) -> None:
    """Tap along a row until the cell is the chosen one, and once more, as a finger opens its field."""
    canvas = grid.get_by_test_id("data-grid-canvas")
    wanted = canvas.get_by_test_id(f"glide-cell-{_column(grid, column)}-{row - 1}")
    for x in range(60, 340, 20):
        canvas.tap(position={"x": x, "y": HEAD_PX + (row - 0.5) * ROW_PX}, force=True)
        page.wait_for_timeout(400)  # longer than between the taps of a double tap
        if wanted.get_attribute("aria-selected") == "true":
            canvas.tap(position={"x": x, "y": HEAD_PX + (row - 0.5) * ROW_PX}, force=True)
            return editor(page).wait_for()
    raise AssertionError(f"No tap chooses {column} of row {row}.")


def finish(page: Page, text: str) -> None:
    """Leave the cell's field with what was typed there, and wait for the page."""
    expect(editor(page)).to_have_value(text)
    page.keyboard.press("Enter")
    editor(page).wait_for(state="detached")
    page.wait_for_timeout(400)  # the grid hands its edits on after a moment
    wait_until_idle(page)


def editor(page: Page) -> Locator:
    """The field over the cell that is edited."""
    return page.locator("input.gdg-input")


def _column(grid: Locator, heading: str) -> int:
    """The place of a column from 1; inside a canvas headings have no role that Playwright would see."""
    grid.locator("th").first.wait_for(state="attached")
    return grid.locator("th").all_text_contents().index(heading) + 1
