"""Where the project's files lie."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
APP = ROOT / "app.py"
SAMPLES = ROOT / "assets" / "samples"
WEIGHTS = ROOT / "assets" / "weights"
