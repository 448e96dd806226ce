"""The page as a test opens and reads it."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import pytest
import torch
from streamlit.testing.v1 import AppTest

import models
from explorer.ui import knob_layout, weights_file, widgets
from explorer.ui.session import Session
from tests.support.places import APP

TRAINED = "zfnet_mini"  # a small network that comes with trained weights


def open_app(**link: str) -> AppTest:
    """The page that a link opens; knobs are written with two underscores in place of `k.`."""
    app = AppTest.from_file(str(APP), default_timeout=60)
    for name, text in link.items():
        app.query_params[name.replace("k__", "k.")] = text
    return open_groups(app, link.get("preset", "")).run()


def open_groups(app: AppTest, preset: str) -> AppTest:
    """The page with all groups of the preset's knobs opened; a closed one has no controls."""
    if preset in models.presets():
        spec = type(models.preset(preset).spec)
        for title in knob_layout.groups(spec):
            app.session_state[widgets.group_key(spec, title)] = True
    return app


def open_trained(**link: str) -> AppTest:
    """The same of a small network that comes with trained weights, which the link need not name."""
    return open_app(**{"preset": TRAINED, **link})


def upload(app: AppTest, content: bytes, name: str) -> AppTest:
    """The page after a file of weights was chosen, which AppTest cannot do by itself."""
    found = weights_file.Upload(name, content, hashlib.sha256(content).hexdigest())
    app.session_state["uploaded weights"] = found
    app.session_state["state"] = {**app.session_state["state"], "weights": weights_file.FILE}
    return app.run()


def metrics(app: AppTest) -> dict[str, str]:
    """The figures by their labels, loud ones and quiet ones."""
    quiet = (re.fullmatch(r":small\[(.+?)\]  \n(.+?)  \n:small.*", text.value) for text in app.markdown)
    return {metric.label: metric.value for metric in app.metric} | {one[1]: one[2] for one in quiet if one}


def errors(app: AppTest) -> list[str]:
    assert not app.exception
    return [element.value for element in app.error]


def link(app: AppTest) -> dict[str, str]:
    return {name: text[0] if isinstance(text, list) else text for name, text in app.query_params.items()}


def load_with_nan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks of the page get NaN in the weights of three channels of features.8."""
    good = Session.load

    def broken(session: Session, *args: Any) -> Any:
        loaded = good(session, *args)
        with torch.no_grad():
            loaded.module.state_dict()["features.8.weight"][:3] = torch.nan
        return loaded

    monkeypatch.setattr(Session, "load", broken)


def edit_cell(app: AppTest, row: int, column: str, value: Any, table: int = 0) -> AppTest:
    """Change one cell of a grid that can be edited, whose rows count from 0, and run the page."""
    grid = app.data_editor[table]
    assert grid.key
    kept = app.session_state[grid.key]["edited_rows"] if grid.key in app.session_state else {}
    rows = {int(place): cells for place, cells in kept.items()}
    rows[row] = {**rows.get(row, {}), column: value}  # the browser tells all edits since the grid was first drawn
    states = app._tree.get_widget_states()  # AppTest itself cannot edit grids
    state = states.widgets.add()
    state.id = grid.proto.id
    state.string_value = json.dumps({"edited_rows": rows, "added_rows": [], "deleted_rows": []})
    return app._run(states)
