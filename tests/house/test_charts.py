"""Every chart and small table of the page can be taken away as files: one place draws them all."""

from __future__ import annotations

import re

from tests.support.places import ROOT

DRAWN = re.compile(r"\bst\.(plotly_chart|table|line_chart|bar_chart|pyplot|altair_chart|vega_lite_chart)\(")
PLACE = "explorer/ui/chart.py"


def test_charts_and_tables_are_drawn_where_their_files_are() -> None:
    files = [*(ROOT / "explorer").rglob("*.py"), ROOT / "app.py"]
    found = {file.relative_to(ROOT).as_posix(): DRAWN.findall(file.read_text(encoding="utf-8")) for file in files}
    assert {name for name, calls in found.items() if calls} == {PLACE}, f"{PLACE} draws charts and tables"
