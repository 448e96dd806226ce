"""Adding a page is one new file: the view switch, the links and the page itself follow from it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from explorer.ui.session import SETTINGS
from explorer.ui.settings import Setting
from explorer.ui.state import CORE
from explorer.views import discover
from tests.support.places import ROOT

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
(PAGE,) = re.findall(r"```python\n(.+?)```", CONTRIBUTING, re.DOTALL)  # the page that a contributor is shown

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

app = opened(view="division", preset="vgg_mini", divisor="5")
by_link = seen(app)
app.slider(key="widget:divisor").set_value(7).run()
changed = seen(app)
away = seen(app.segmented_control(key="widget:view").set_value("workbench").run())
print(json.dumps({"by_link": by_link, "changed": changed, "away": away,
                  "again": seen(opened(**changed["link"])),
                  "refused": seen(opened(view="division", preset="zfnet_mini", divisor="10"))}))
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a process saw on the page that looks for pages in one more folder."""
    folder: Path = tmp_path_factory.mktemp("views")
    (folder / "division.py").write_text(PAGE, encoding="utf-8")
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env |= {"EXPLORER_VIEWS": str(folder), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, env=env, capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


SIZE = 3 * 64 * 64  # of the compact networks' input, which the page divides


def test_one_file_is_a_new_page_in_the_switch_that_a_link_opens(seen: dict[str, Any]) -> None:
    page = seen["by_link"]
    assert page["switch"][-1] == "Division"
    assert len(page["switch"]) > 1
    assert page["title"] == "VGG · vgg_mini"
    assert page["text"] == [f"vgg_mini: {SIZE // 5}"]
    assert page["warnings"] == []


def test_the_link_carries_the_setting_of_a_new_page(seen: dict[str, Any]) -> None:
    assert seen["changed"]["text"] == [f"vgg_mini: {SIZE // 7}"]
    assert seen["changed"]["link"] == {"view": "division", "preset": "vgg_mini", "divisor": "7"}
    assert seen["again"] == seen["changed"]


def test_a_value_that_the_setting_does_not_allow_is_said_and_the_default_used(seen: dict[str, Any]) -> None:
    (warning,) = seen["refused"]["warnings"]
    assert "divisor='10' is not between 1 and 9" in warning
    assert seen["refused"]["text"] == [f"zfnet_mini: {SIZE // 3}"]


def test_the_other_pages_are_there_beside_it(seen: dict[str, Any]) -> None:
    assert seen["away"]["title"].endswith("vgg_mini")
    assert seen["away"]["switch"] == seen["by_link"]["switch"]


def test_no_setting_has_the_name_of_another_pages() -> None:
    """A link holds the settings of all pages side by side; what pages share is one and the same setting."""
    every: dict[str, list[Setting]] = {}
    for setting in (*CORE, *SETTINGS, *(setting for view in discover().values() for setting in view.settings)):
        every.setdefault(setting.name, []).append(setting)
    assert {name for name, found in every.items() if any(each is not found[0] for each in found)} == set()
