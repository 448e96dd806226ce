"""The command `report`: a network on one HTML page, with what it makes of a picture where one is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from explorer.cli.pictures import Chosen, chosen_picture, show_progress, writable
from explorer.figures.whole_report import ReportedPicture, whole_report
from explorer.networks import catalog, picture_input
from explorer.whole_file import write_whole


def report_command(image: str | None, out: str, **network: Any) -> int:
    """Write one HTML file that needs nothing else; network: see `Chosen`. Raises UserError that names the file."""
    chosen, target = Chosen.of(network), writable(Path(out), ".html")
    analysis = catalog.find(chosen.name, dict(chosen.knobs), chosen.seed).analysis()
    asked = None if image is None else _asked(chosen, image)
    page = whole_report(chosen.name, analysis, asked, progress=show_progress)
    write_whole(target, lambda draft: draft.write_text(page, encoding="utf-8"))
    print(f"{target}: {len(analysis.layers)} layers, {len(page.encode()):,} bytes")
    return 0


def _asked(chosen: Chosen, image: str) -> ReportedPicture:
    pixels, loaded = chosen_picture(image), chosen.load()
    return ReportedPicture(
        image, pixels, loaded.program, loaded.input(pixels), loaded.preprocessing,
        picture_input.describe(loaded.preprocessing), loaded.classes,
    )  # fmt: skip
