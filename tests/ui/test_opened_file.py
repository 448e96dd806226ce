"""A network that a person uploads as a file: it opens, and what cannot be opened is one sentence."""

from __future__ import annotations

import onnx
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


def test_of_a_file_whose_weights_lie_in_another_the_structure_is_shown() -> None:
    model = onnx.load_from_string(plain_file())
    (weight,) = model.graph.initializer
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="mine.onnx.data")
    app = open_app(preset="lenet_mini")
    app.sidebar.file_uploader(key="network file").set_value(("mine.onnx", model.SerializeToString(), "")).run()
    assert not app.exception
    assert ("Parameters", "108") in [(metric.label, metric.value) for metric in app.metric]
    (error,) = app.error
    assert error.value.startswith("mine.onnx keeps 'conv.weight' in another file, which is not read")
