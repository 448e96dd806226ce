"""A network that a person uploads as a file: it opens, and what cannot be opened is one sentence."""

from __future__ import annotations

from tests.support.onnx_files import plain_file
from tests.support.page import open_app


def test_an_onnx_file_opens_in_the_page_and_a_broken_one_is_refused() -> None:
    app = open_app(preset="lenet_mini")
    app.sidebar.file_uploader(key="network file").set_value(("mine.onnx", plain_file(), "")).run()
    assert not app.exception
    assert app.title[0].value.endswith("mine.onnx")
    app.sidebar.file_uploader(key="network file").set_value(("broken.onnx", plain_file()[:100], "")).run()
    assert not app.exception
    assert any(error.value.startswith("broken.onnx is") for error in app.sidebar.error)
