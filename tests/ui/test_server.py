"""What the server has done before it serves the first page."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib

from tests.support.places import ROOT


def test_no_two_first_pages_import_pandas_at_once() -> None:
    """Plotly looks into sys.modules for it, and finds it half imported while the page of another visitor does that."""
    code = "import sys, app; print(hasattr(sys.modules.get('pandas'), 'Series'))"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.stdout.splitlines()[-1:] == ["True"], ended.stderr


def test_what_was_imported_is_no_work_for_the_collector_while_visitors_wait() -> None:
    """A collection of all that torch brings takes 0.3 s, in which no page is drawn and no browser is answered."""
    code = """
import asyncio, gc, app
from explorer.ui import server
async def begin():
    async with server.beginning(None):
        return gc.get_freeze_count(), len(gc.get_objects())
frozen, left = asyncio.run(begin())
print(frozen > 10 * left)
"""
    command, environment = [sys.executable, "-c", code], os.environ | {"STREAMLIT_SERVER_HEADLESS": "true"}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.stdout.splitlines()[-1:] == ["True"], ended.stderr
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert config["runner"]["postScriptGC"] is False


def test_what_the_first_page_brings_is_passed_over_too_and_no_later_one() -> None:
    code = """
import gc, app
from streamlit.testing.v1 import AppTest
def drawn():
    assert not AppTest.from_file("app.py", default_timeout=120).run().exception
    return gc.get_freeze_count()
before, first, second = gc.get_freeze_count(), drawn(), drawn()
print(before < first >= second)  # what was frozen and is gone is no more counted
"""
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ended.stdout.splitlines()[-1:] == ["True"], ended.stderr
