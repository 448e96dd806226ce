"""Two ways to use the page, for flows that have to work with either: the keyboard alone, and a finger on a phone."""

from __future__ import annotations

from abc import ABC, abstractmethod

from playwright.sync_api import Locator, Page, expect

from tests.browser.driver import wait_until_idle
from tests.browser.graph_hands import drawn
from tests.browser.grid import edit_by_keys, finish, tap_cell

MOST_STEPS = 60  # presses of Tab or of an arrow that a person would bear
HAS_FOCUS = """element => {
  const { activeElement } = element.getRootNode();
  return element === activeElement || element.contains(activeElement);
}"""

IS_BEFORE_FOCUS = """element =>
  element.compareDocumentPosition(document.activeElement) & Node.DOCUMENT_POSITION_FOLLOWING"""


class Hands(ABC):
    """What a person does, by name as they read it; each waits until the page rests."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def open(self, address: str) -> None:
        self.page.goto(address)
        self.rest()
        drawn(self.page, 1)  # whole

    def rest(self) -> None:
        wait_until_idle(self.page, 90)

    @property
    def boxes(self) -> Locator:
        """The boxes of the graphs."""
        return self.page.locator("svg.canvas .box")

    def box(self, label: str) -> Locator:
        """The first box whose sentence for screen readers begins so."""
        return self.page.locator(f"svg.canvas .box[aria-label^='{label}']").first

    def press(self, name: str) -> None:
        """Press a button."""
        self._press(self.page.get_by_role("button", name=name).first)
        self.rest()

    def unfold(self, title: str) -> None:
        """Open a drawer."""
        drawer = self.page.get_by_test_id("stExpander").filter(has_text=title)
        self._press(drawer.locator("summary"))
        self.rest()

    @abstractmethod
    def _press(self, target: Locator) -> None: ...

    @abstractmethod
    def turn_to(self, name: str) -> None:
        """Choose one of several that stand in a row: a view, a panel."""

    @abstractmethod
    def switch_on(self, name: str) -> None:
        """Turn a switch on."""

    @abstractmethod
    def choose(self, label: str, option: str) -> None:
        """Take an entry of a list that can be typed into."""

    @abstractmethod
    def colour_by(self, figure: str) -> None:
        """Choose what the boxes of the graph are filled by."""

    @abstractmethod
    def act_on(self, box: Locator) -> None:
        """Open a module of the graph, or choose a layer."""

    @abstractmethod
    def search(self, text: str) -> None:
        """Search the graph, and go to the first hit."""

    @abstractmethod
    def edit(self, column: str, row: int, text: str) -> None:
        """Type another value into a cell of the table of stages."""

    @abstractmethod
    def undo(self) -> None: ...


class Keyboard(Hands):
    """Tab, arrows, Enter, letters and shortcuts, and no pointer."""

    def go_to(self, target: Locator) -> None:
        """Press Tab until the target has the focus."""
        for _ in range(MOST_STEPS):
            if target.evaluate(HAS_FOCUS):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"{target} is not reached by {MOST_STEPS} presses of Tab")

    def step_to(self, target: Locator, key: str) -> None:
        """Press an arrow until the target has the focus."""
        for _ in range(MOST_STEPS):
            if target.evaluate(HAS_FOCUS):
                return
            self.page.keyboard.press(key, delay=20)
        raise AssertionError(f"{target} is not reached by {MOST_STEPS} presses of {key}")

    def _press(self, target: Locator) -> None:
        self.go_to(target)
        self.page.keyboard.press("Enter")

    def turn_to(self, name: str) -> None:
        wanted = self.page.get_by_role("radio", name=name, exact=True)
        group = self.page.get_by_role("radiogroup").filter(has=wanted)
        self.go_to(group)
        self.step_to(wanted, "ArrowLeft" if wanted.evaluate(IS_BEFORE_FOCUS) else "ArrowRight")
        self.page.keyboard.press("Enter")
        self.rest()

    def switch_on(self, name: str) -> None:
        self.go_to(self.page.get_by_label(name))
        self.page.keyboard.press("Space")
        self.rest()

    def choose(self, label: str, option: str) -> None:
        field = self.page.get_by_role("combobox", name=label, exact=True)
        self.go_to(field)
        self.page.keyboard.press("Control+a")
        self.page.keyboard.type(option)
        expect(self.page.get_by_role("option", name=option, exact=True)).to_be_visible()
        self.page.keyboard.press("Enter")
        self.rest()

    def colour_by(self, figure: str) -> None:
        self.go_to(self.page.get_by_label("Colour", exact=True))
        self.page.keyboard.type(figure)
        self.rest()

    def act_on(self, box: Locator) -> None:
        self.go_to(self.page.locator("svg.canvas").first)
        self.step_to(box, "ArrowDown")
        self.page.keyboard.press("Enter")
        self.rest()

    def search(self, text: str) -> None:
        self.go_to(self.page.get_by_label("Search layers"))
        self.page.keyboard.type(text)
        self.page.keyboard.press("Enter")
        expect(self.page.locator(".hits")).to_contain_text("1 of")
        self.page.keyboard.press("Escape")  # into the graph, to the hit
        self.rest()

    def edit(self, column: str, row: int, text: str) -> None:
        grid = self.page.get_by_test_id("stDataFrame").first
        self.go_to(grid.get_by_test_id("data-grid-canvas"))
        edit_by_keys(self.page, grid, column, row, text)

    def undo(self) -> None:
        self.page.keyboard.press("Control+z")
        self.page.wait_for_timeout(400)
        self.rest()


class Finger(Hands):
    """Taps on a phone, and its keyboard for text."""

    def _press(self, target: Locator) -> None:
        target.tap()

    def turn_to(self, name: str) -> None:
        self.page.get_by_role("radio", name=name, exact=True).tap()
        self.rest()

    def switch_on(self, name: str) -> None:
        self.page.get_by_test_id("stCheckbox").filter(has_text=name).locator("label").tap()
        self.rest()

    def choose(self, label: str, option: str) -> None:
        """In the sidebar too, which lies beside the screen until it is asked for."""
        field = self.page.get_by_role("combobox", name=label, exact=True)
        sidebar = self.page.get_by_test_id("stSidebar").filter(has=field)
        is_aside = sidebar.count() > 0
        if is_aside:
            self.page.get_by_test_id("stExpandSidebarButton").tap()
        field.tap()
        field.fill(option)
        self.page.get_by_role("option", name=option, exact=True).tap()
        self.rest()
        if is_aside:
            sidebar.get_by_test_id("stSidebarCollapseButton").get_by_role("button").tap()

    def colour_by(self, figure: str) -> None:
        self.page.get_by_label("Colour", exact=True).select_option(label=figure)
        self.rest()

    def act_on(self, box: Locator) -> None:
        box.tap()
        self.rest()

    def search(self, text: str) -> None:
        self.page.get_by_label("Search layers").tap()
        self.page.keyboard.type(text)
        self.page.keyboard.press("Enter")
        expect(self.page.locator(".hits")).to_contain_text("1 of")
        self.rest()

    def edit(self, column: str, row: int, text: str) -> None:
        tap_cell(self.page, self.page.get_by_test_id("stDataFrame").first, column, row)
        self.page.keyboard.type(text)
        finish(self.page, text)

    def undo(self) -> None:
        self.press("Undo")
