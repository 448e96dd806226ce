"""Occlusion on the page: colours of classes, settings of the link, runs that start, end, stop or must be asked for."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from explorer.analysis.occluder import square_boxes
from explorer.analysis.occlusion import OcclusionMap
from explorer.figures import occlusion as figures
from explorer.figures.raster import INVALID
from explorer.images.codec import encode_png
from explorer.types import Cell
from explorer.views.occlusion import maps
from explorer.views.occlusion import page as view
from tests.support.page import TRAINED, errors, load_with_nan
from tests.support.places import APP


def found_map(top: list[list[int]], done: Any = True) -> OcclusionMap:
    classes = np.array(top)
    shape = classes.shape
    return OcclusionMap(
        probability=np.linspace(0, 1, classes.size).reshape(shape), top_class=classes,
        top_probability=np.ones(shape), activation=None, done=np.broadcast_to(np.array(done), shape).copy(),
        boxes=square_boxes((shape[0] * 2, shape[1] * 2), 2, 2), target=0, baseline=0.9, baseline_class=3,
    )  # fmt: skip


def open_occlusion(**link: str) -> AppTest:
    app = AppTest.from_file(str(APP), default_timeout=60)
    for name, text in {"preset": TRAINED, "view": "occlusion", **link}.items():
        app.query_params[name] = text
    app.run()
    assert not app.exception
    return app


def finished(app: AppTest, within_s: float = 40) -> AppTest:
    """Wait for the run that the page started, then draw the page again."""
    assert app.session_state["jobs"][view.KIND].wait(within_s)
    app.run()
    assert not app.exception
    return app


def texts(app: AppTest) -> str:
    return "\n".join(element.value for element in app.markdown)


# -- figures ----------------------------------------------------------------------------------------------------------


def test_cells_of_the_map_lie_at_the_centres_of_their_squares() -> None:
    at = figures.placement(found_map([[0, 1, 2], [0, 0, 0]]), (4, 6))
    assert (at.rows.tolist(), at.columns.tolist()) == ([1, 3], [1, 3, 5])


def test_the_class_without_a_square_has_the_first_colour_then_the_most_frequent() -> None:
    colours = figures.class_colours(found_map([[1, 1, 2], [2, 2, 7]]))
    assert list(colours) == [3, 2, 1, 7]
    assert list(colours.values()) == list(figures.CLASS_COLOURS[:4])


def test_many_classes_share_the_last_colour_and_one_entry() -> None:
    found = found_map([list(range(4, 16))])
    names = [f"n{i}" for i in range(16)]
    entries = figures.class_legend(found, figures.class_colours(found), names)
    assert len(entries) == len(figures.CLASS_COLOURS) + 1
    assert entries["6 other classes (6)"] == figures.OTHER


def test_what_was_not_tried_stays_the_picture_and_nan_is_marked() -> None:
    found = found_map([[-1, 3]], done=[[True, False]])
    picture = np.full((2, 4, 3), 50, np.uint8)
    at = figures.placement(found, (2, 4))
    classes = figures.classes(picture, found, figures.class_colours(found), at, opacity=1.0)
    assert classes[0, 0].tolist() == [*INVALID]
    assert classes[0, -1].tolist() == [50, 50, 50]
    shown = figures.over(picture, np.array([[0.0, np.nan]]), found.done, at, (0, 1), 1.0, smooth=True)
    assert shown[0, 0].tolist() == [0, 0x22, 0x4E]
    assert shown[0, -1].tolist() == [50, 50, 50]


def test_the_scale_holds_the_baseline_and_no_noise_is_stretched() -> None:
    values = np.array([0.5, 0.7, np.nan])
    assert figures.scale(values, 0.9) == (0.5, 0.9)
    assert figures.scale(values, 0.9, from_zero=True) == (0, 0.9)
    assert figures.scale(np.array([0.899]), 0.9, least_span=0.02) == pytest.approx((0.88, 0.9))


@pytest.mark.parametrize("text", ["", "1", "1,2,3", "a,b", "-1,0", "1.5,0", "²,0"])
def test_text_that_is_no_position(text: str) -> None:
    assert maps.decode_cell(text, (9, 9)) is None


def test_positions_outside_are_moved_inside() -> None:
    assert maps.decode_cell("3,4", (9, 9)) == maps.decode_cell(f"{' ' * 9}3, 4", (9, 9)) == (3, 4)
    assert maps.decode_cell("9999999999999,4", (9, 9)) == (8, 4)
    assert maps.decode_cell(maps.encode_cell((2, 7)), (9, 9)) == (2, 7)


@pytest.mark.parametrize(("side", "chosen", "said"), [(3, (0, 0), 3), (3, None, 0), (150, (0, 0), 0)])
def test_positions_are_described_once_the_map_is_done_and_only_few_of_them(
    side: int, chosen: Cell | None, said: int
) -> None:
    found = found_map(np.zeros((side, side), int).tolist())
    session: Any = None
    shown = maps.Shown(session, found, torch.zeros(1), chosen, opacity=0.5, smooth=False)
    assert len(shown.texts(lambda row, column: "said")) == said


# -- the page ---------------------------------------------------------------------------------------------------------


def test_a_cheap_run_starts_by_itself_and_names_the_lowest_position() -> None:
    app = finished(open_occlusion(window="24", stride="10"))
    assert "**cat** falls from **" in texts(app)
    assert "25 positions, took" in texts(app)
    assert {slider.label for slider in app.slider} >= {"Row of the square", "Column of the square"}


def test_the_whole_setting_is_in_the_link() -> None:
    link = {"window": "30", "stride": "17", "fill": "blur", "target": "3", "occluded": "features.16", "position": "1,2"}
    app = finished(open_occlusion(**link))
    assert app.slider(key="widget:occlusion Row").value == 1
    assert app.slider(key="widget:occlusion Column").value == 2
    assert "**Sum of map " in texts(app)
    app.slider(key="widget:occlusion Row").set_value(0).run()
    assert "0,2" in app.query_params["position"]
    assert all(text in app.query_params[name] for name, text in link.items() if name != "position")


def test_a_setting_changed_during_a_run_stops_it() -> None:
    app = open_occlusion(window="12", stride="1")
    app.button[-1].click().run()
    first = app.session_state["jobs"][view.KIND]
    app.number_input(key="widget:occlusion stride").set_value(17).run()
    assert first.wait(10)
    assert first.cancelled
    assert app.session_state["jobs"][view.KIND] is not first
    finished(app)


def test_an_expensive_run_is_asked_for_and_what_was_done_is_kept() -> None:
    app = open_occlusion(window="12", stride="1")
    assert "2,809 positions" in texts(app)
    assert view.KIND not in app.session_state["jobs"]
    next(button for button in app.button if button.label == "Run").click().run()
    job = app.session_state["jobs"][view.KIND]
    while not job.done:
        time.sleep(0.01)
    job.stop()
    assert job.wait(10)
    assert job.cancelled
    app.run()
    assert "Partial" in texts(app)
    assert "of 2,809 positions" in texts(app)
    assert "**Probability of cat**" in texts(app)
    done = int(job.partial.done.sum())
    next(button for button in app.button if button.label == "Continue").click().run()
    resumed = app.session_state["jobs"][view.KIND]
    while resumed.done <= done:
        time.sleep(0.01)
    resumed.stop()
    assert resumed.wait(10)
    assert resumed.elapsed_s > job.elapsed_s
    kept = job.partial.done
    np.testing.assert_array_equal(resumed.partial.probability[kept], job.partial.probability[kept])


def test_another_map_of_the_layer_is_shown_without_another_run() -> None:
    app = finished(open_occlusion(window="31", stride="31", occluded="features.0"))
    job = app.session_state["jobs"][view.KIND]
    strongest = job.partial.channel
    assert f"**Sum of map {strongest} (strongest)**" in texts(app)
    other = (strongest + 1) % 8
    app.selectbox(key="widget:occlusion channel").select(other).run()
    assert app.session_state["jobs"][view.KIND] is job
    assert app.query_params["summed"] == str(other)
    assert f"**Sum of map {other}**" in texts(app)


@pytest.mark.parametrize(
    ("link", "sentence"),
    [
        ({"window": "300"}, "window=300 is larger than the image of 64 px; 24 is used."),
        ({"stride": "65", "window": "20"}, "stride=65 is larger than the image of 64 px; 3 is used."),
        ({"target": "12"}, "target=12 is not a class: they go from 0 to 11. The most probable is used."),
        ({"occluded": "$x$"}, r"occluded='\$x\$' is not a layer with maps in this network; none is summed."),
        (
            {"occluded": "features.0", "summed": "999"},
            "summed=999 is not a map of features.0: they go from 0 to 23. The strongest is shown.",
        ),
        ({"window": "-3"}, "In the link: window='-3' is not between 0 and 4096; 0 is used."),
        ({"fill": "red"}, "In the link: fill='red' is not one of gray, mean, blur; gray is used."),
    ],
)
def test_a_wrong_link_is_one_sentence_and_the_page_goes_on(link: dict[str, str], sentence: str) -> None:
    app = open_occlusion(**{"stride": "30", **link})
    assert sentence in [warning.value for warning in app.warning]
    assert "**cat**" in texts(finished(app))


def test_a_budget_of_memory_that_is_too_small_is_one_sentence() -> None:
    app = finished(open_occlusion(window="224", preset="squeezenet1_1", memory="1"))
    assert any("memory_bytes=1000000 is less than what one position takes: " in error.value for error in app.error)
    app.number_input(key="widget:memory").set_value(300).run()
    assert "1 position, took" in texts(finished(app))


def test_how_probabilities_were_made_is_said_and_can_be_chosen() -> None:
    app = finished(open_occlusion(window="31", stride="31"))
    assert "Probabilities: softmax over the classes." in [caption.value for caption in app.caption]
    app.selectbox(key="widget:output").select("logits").run()
    assert "logits" in app.query_params["output"]
    assert "**Value of cat**" in texts(finished(app))
    assert any("which are no probabilities" in caption.value for caption in app.caption)


def test_a_module_may_be_summed() -> None:
    app = finished(open_occlusion(window="31", stride="31", occluded="features"))
    assert not app.warning
    assert "**Sum of map " in texts(app)


def test_the_square_may_hide_the_whole_picture() -> None:
    app = finished(open_occlusion(window="64"))
    assert "1 position, took" in texts(app)
    assert "Row of the square" not in {slider.label for slider in app.slider}


def test_a_picture_of_one_pixel_can_be_occluded() -> None:
    app = open_occlusion(window="30", stride="30")
    app.segmented_control(key="widget:source").set_value("upload").run()
    app.file_uploader(key="upload").upload("dot.png", encode_png(np.zeros((1, 1, 3), np.uint8))).run()
    assert "without a square, and no square" in texts(finished(app)) or "falls from" in texts(app)


def test_to_run_without_a_picture_is_one_sentence() -> None:
    app = open_occlusion(window="12", stride="1")
    app.segmented_control(key="widget:source").set_value("upload").run()
    next((button for button in app.button if button.label == "Run"), app.button[0]).click().run()
    assert errors(app) == ["Choose a picture in the sidebar first."]


def test_classes_of_one_name_are_told_apart_by_their_numbers() -> None:
    assert view._labels(["cat", "dog", "cat"]) == {-1: view.LIKELY, 0: "cat (0)", 1: "dog", 2: "cat (2)"}


def test_an_output_with_nan_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    load_with_nan(monkeypatch)
    app = finished(open_occlusion(window="31", stride="31", weights="random", seed="78"))
    assert [error.value for error in app.error] == [
        "The network's output for this image is not finite: there is nothing to compare with."
    ]
