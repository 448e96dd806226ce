"""A network that a person uploads as a file: it opens, and what cannot be opened is one sentence."""

from __future__ import annotations

import pytest

from tests.support.onnx_files import plain_file
from tests.support.page import open_app
from tests.support.pt2_files import plain_pt2


@pytest.mark.parametrize(("ending", "content"), [("onnx", plain_file()), ("pt2", plain_pt2())])
def test_a_file_opens_in_the_page_and_a_broken_one_is_refused(ending: str, content: bytes) -> None:
    app = open_app(preset="lenet_mini")
    app.sidebar.file_uploader(key="network file").set_value((f"mine.{ending}", content, "")).run()
    assert not app.exception
    assert app.title[0].value.endswith(f"mine.{ending}")
    app.sidebar.file_uploader(key="network file").set_value((f"broken.{ending}", content[:100], "")).run()
    assert not app.exception
    assert any(error.value.startswith(f"broken.{ending} is") for error in app.sidebar.error)
