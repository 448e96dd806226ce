"""Adding a page is one new file: the view switch, the links and the page itself follow from it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.places import ROOT

TOY = '''
"""A page of one file."""

from __future__ import annotations

import streamlit as st

from explorer.ui import state
from explorer.ui.session import Session
from explorer.ui.settings import Setting
from explorer.ui.view import View


def render(session: Session) -> None:
    """Draw the whole page."""
    state.control(st.slider, "toy_depth", "Depth", min_value=1, max_value=9)
    st.markdown(f"{session.preset} at depth {state.get('toy_depth')}")


VIEW = View(
    "toy", "Toy page", ":material/toys:", 99, render,
    settings=(Setting("toy_depth", 3, low=1, high=9),), of_network=False,
)
'''

SCRIPT = """
import json
from streamlit.testing.v1 import AppTest

def seen(app):
    assert not app.exception and not app.error
    switch = app.segmented_control(key="widget:view")
    return {
        "title": app.title[0].value, "switch": list(switch.options),
        "text": [entry.value for entry in app.main.markdown],
        "warnings": [entry.value for entry in app.warning],
        "link": {k: v if isinstance(v, str) else v[-1] for k, v in app.query_params.items()},
    }

def opened(**link):
    app = AppTest.from_file("app.py", default_timeout=60)
    for name, text in link.items():
        app.query_params[name] = text
    return app.run()

app = opened(view="toy", preset="vgg_mini", toy_depth="5")
by_link = seen(app)
app.slider(key="widget:toy_depth").set_value(7).run()
changed = seen(app)
away = seen(app.segmented_control(key="widget:view").set_value("architecture").run())
print(json.dumps({"by_link": by_link, "changed": changed, "away": away,
                  "again": seen(opened(**changed["link"])), "refused": seen(opened(view="toy", toy_depth="10"))}))
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a process saw on the page that looks for pages in one more folder."""
    folder: Path = tmp_path_factory.mktemp("views")
    (folder / "toy.py").write_text(TOY, encoding="utf-8")
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env |= {"EXPLORER_VIEWS": str(folder), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, env=env, capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_one_file_is_a_new_page_in_the_switch_that_a_link_opens(seen: dict[str, Any]) -> None:
    page = seen["by_link"]
    assert page["switch"][-1] == "Toy page"
    assert len(page["switch"]) > 1
    assert page["title"] == "Toy page"
    assert page["text"] == ["vgg_mini at depth 5"]
    assert page["warnings"] == []


def test_the_link_carries_the_setting_of_a_new_page(seen: dict[str, Any]) -> None:
    assert seen["changed"]["text"] == ["vgg_mini at depth 7"]
    assert seen["changed"]["link"] == {"view": "toy", "preset": "vgg_mini", "toy_depth": "7"}
    assert seen["again"] == seen["changed"]


def test_a_value_that_the_setting_does_not_allow_is_said_and_the_default_used(seen: dict[str, Any]) -> None:
    (warning,) = seen["refused"]["warnings"]
    assert "toy_depth='10' is not between 1 and 9" in warning
    assert seen["refused"]["text"][0].endswith("at depth 3")


def test_the_other_pages_are_there_beside_it(seen: dict[str, Any]) -> None:
    assert seen["away"]["title"].endswith("vgg_mini")
    assert seen["away"]["switch"] == seen["by_link"]["switch"]
