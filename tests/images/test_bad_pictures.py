"""Bad pictures on their ways in: the command line and the page refuse each with its sentence, and go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from explorer.cli import main
from explorer.networks import catalog
from tests.support.bad_images import CASES
from tests.support.page import errors, open_trained
from tests.support.picture_files import encode

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")  # Pillow's, of what it bears

REFUSED = [case for case in CASES if case.refused]
COMMANDS = {"features": ("--layer", "features.0", "--out", "maps.png"), "occlude": ("--out", "maps")}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_line_names_a_bad_picture_before_it_looks_for_a_network(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(catalog, "find", lambda *_: pytest.fail("a network was looked for"))
    for case in REFUSED:
        path = tmp_path / f"{case.name}.png"
        path.write_bytes(case.data)
        assert main.main([command, "zfnet_mini", str(path), *COMMANDS[command]]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith(f"error: {path.name} ")
        assert err.count("\n") == 1
        assert case.says in err
        path.unlink()
    assert list(tmp_path.iterdir()) == []


def taking() -> None:
    """A page that only takes pictures, and keeps what became of each."""
    import streamlit as st

    from explorer.ui import pictures, session, state
    from tests.support.bad_images import CASES

    state.begin(session.SETTINGS)
    pictures.choose("upload")
    st.session_state["taken"] = {}
    for case in CASES:
        pictures.take([(f"{case.name}.png", case.data)], "upload")
        st.session_state["taken"][case.name] = pictures.current()


def test_the_page_takes_odd_pictures_and_keeps_the_sentence_of_a_bad_one() -> None:
    app = AppTest.from_function(taking, default_timeout=60).run()
    assert not app.exception
    taken: dict[str, Any] = app.session_state["taken"]
    assert len(taken) == len(CASES)
    for case in CASES:
        picture, sentence = taken[case.name]
        assert (picture is None, sentence is not None) == (case.refused, case.refused)
        if case.refused:
            assert sentence.startswith(f"{case.name}.png ")
            assert case.says in sentence


@pytest.mark.parametrize("name", ["png_declares_60000_squared", "jpeg_cut_in_scan", "tiff_float_nan", "svg", "empty"])
def test_the_page_goes_on_with_a_good_picture_after_a_bad_one(name: str) -> None:
    (case,) = [case for case in REFUSED if case.name == name]
    app = open_trained(view="maps")
    app.segmented_control(key="widget:source").set_value("upload").run()
    app.file_uploader(key="upload").upload("bad.png", case.data).run()
    told = errors(app)
    assert told
    assert all(text.startswith("bad.png") and case.says in text for text in told)
    app.file_uploader(key="upload").set_value(None)
    app.file_uploader(key="upload").upload("good.png", encode("PNG")).run()
    assert not errors(app)
