"""What the server has done before it serves the first page."""

from __future__ import annotations

import subprocess
import sys

from tests.support.places import ROOT


def test_no_two_first_pages_import_pandas_at_once() -> None:
    """Plotly looks into sys.modules for it, and finds it half imported while the page of another visitor does that."""
    code = "import sys, app; print(hasattr(sys.modules.get('pandas'), 'Series'))"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.stdout.splitlines()[-1:] == ["True"], ended.stderr
