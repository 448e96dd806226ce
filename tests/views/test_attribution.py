"""Attribution on the page: what runs by itself, what is asked for, what is refused and what a link may say."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest
from streamlit.testing.v1 import AppTest

from explorer.analysis.attribution_settings import ATTRIBUTION_METHODS, DEFAULT_METHODS
from explorer.training import dataset
from explorer.ui.jobs import Job
from explorer.views.attribution import page as view
from explorer.views.attribution import results
from tests.support.page import errors, link, load_with_nan, open_trained

QUICK = "gradcam,saliency"


def opened(**said: str) -> AppTest:
    app = open_trained(view="attribution", **said)
    assert not app.exception
    return app


def finished(app: AppTest, within_s: float = 90) -> AppTest:
    assert app.session_state["jobs"][view.KIND].wait(within_s)
    app.run()
    assert not app.exception
    return app


def texts(app: AppTest) -> str:
    return "\n".join(element.value for element in (*app.markdown, *app.caption, *app.info, *app.warning))


def test_six_methods_answer_with_curves_and_a_table() -> None:
    app = finished(opened())
    shown = texts(app)
    assert "Why **cat**, which the network gives 98 %?" in shown
    for method in DEFAULT_METHODS:
        assert f"**{results.METHOD_TITLES[method]}**" in shown
    assert shown.count("deletion 0.") == len(DEFAULT_METHODS) == 6
    table = app.dataframe[0].value
    assert list(table["Method"]) == [results.METHOD_TITLES[method] for method in DEFAULT_METHODS]
    for column in ("Deletion", "Insertion", "On the object"):
        assert 0 <= min(table[column]) <= max(table[column]) <= 1, column
    assert min(table["Infidelity"]) >= 0
    pairs = zip(table["Deletion"], table["Insertion"], strict=True)
    assert all(deletion < insertion for deletion, insertion in pairs), "the network agrees with all of them a little"


def test_the_table_holds_what_the_run_gave_in_the_order_of_the_list() -> None:
    app = finished(opened(methods=QUICK))
    judged = app.session_state["jobs"][view.KIND].result
    assert [each.method for each in judged] == ["saliency", "gradcam"]
    table = app.dataframe[0].value
    assert list(table["Deletion"]) == [each.deletion.area for each in judged]
    share = dataset.sample("cat").mask.mean()
    (said,) = [caption.value for caption in app.caption if caption.value.startswith("The object covers")]
    assert said == f"The object covers {share:.0%}".replace("%", " %") + " of what the network sees."


def test_a_method_that_is_added_runs_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Mock(wraps=view.attribute)
    monkeypatch.setattr(view, "attribute", run)
    finished(opened(methods="gradcam", absence="blur"))
    finished(opened(methods="gradcam,saliency", absence="blur"))
    assert [call.args[2] for call in run.call_args_list] == ["gradcam", "saliency"]
    finished(opened(methods="gradcam", absence="blur", attributed="3"))
    assert [call.args[2:4] for call in run.call_args_list][2:] == [("gradcam", 3)]


def test_sensitivity_is_measured_where_it_is_asked_for() -> None:
    app = finished(opened(methods="saliency,gradcam"))
    assert "Sensitivity" not in app.dataframe[0].value
    app.toggle(key="widget:shaken").set_value(True).run()
    assert link(app)["shaken"] == "1"
    found = list(finished(app).dataframe[0].value["Sensitivity"])
    assert all(0 < value < 5 for value in found)
    assert found[1] < found[0], "a weighted map is steadier than a gradient"


def test_a_method_that_is_not_defined_says_why_beside_the_others() -> None:
    app = finished(opened(preset="mobilenet_v3_mini", methods="deeplift,gradcam"))
    assert "deeplift has no rule for" in texts(app)
    assert list(app.dataframe[0].value["Method"]) == ["Grad-CAM"]


def test_a_layer_of_the_link_is_weighed_if_it_has_maps() -> None:
    app = finished(opened(methods="gradcam", weighed="features.0"))
    assert "weighs features.0" in texts(app)
    app = finished(opened(methods="gradcam", weighed="fc"))
    assert "weighed='fc' is not a layer with maps in this network; the last map is weighed." in texts(app)


def test_a_link_with_no_method_asks_for_one_and_a_wrong_one_is_refused() -> None:
    app = opened(methods="")
    assert "Choose at least one method." in texts(app)
    app = opened(methods="saliency,magic")
    assert "methods='saliency,magic'" in texts(app)
    assert "method='magic' is not one of occlusion" in texts(app)
    app = finished(opened(methods="saliency", attributed="99"))
    assert "attributed=99 is not a class: they go from 0 to 11. The most probable is used." in texts(app)


def test_choosing_methods_and_a_class_goes_into_the_link() -> None:
    app = finished(opened(methods="saliency"))
    app.selectbox(key="widget:attribution target").set_value(3).run()
    assert link(app)["attributed"] == "3"
    found = finished(app).session_state["jobs"][view.KIND].result[0].found
    assert found.target == 3
    assert view._methods("gradcam, saliency,nothing") == ("saliency", "gradcam")


def test_a_large_network_waits_for_the_button() -> None:
    app = opened(preset="vgg16", weights="random", methods="saliency")
    assert "forward passes" in texts(app)
    assert view.KIND not in app.session_state["jobs"]
    assert [button.label for button in app.button if button.label == "Run"]


def test_a_network_that_answers_nan_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    load_with_nan(monkeypatch)
    app = finished(opened(methods=QUICK, weights="random", seed="79"))
    assert errors(app) == []
    assert texts(app).count("The network's output for this image is not finite") == 2


def test_the_work_done_never_becomes_less(monkeypatch: pytest.MonkeyPatch) -> None:
    told, tell = list[int](), Job.progress

    def noted(job: Job, done: int, total: int, partial: Any = None) -> None:
        if isinstance(job.key[-1], view.Question):
            assert done <= total
            told.append(done)
        tell(job, done, total, partial)

    monkeypatch.setattr(Job, "progress", noted)
    finished(opened(methods="occlusion,saliency,layercam,deeplift", absence="mean"))
    assert len(told) > 12
    assert told == sorted(told)


def test_a_run_that_is_stopped_keeps_what_was_done() -> None:
    app = opened(methods=",".join(ATTRIBUTION_METHODS))
    job = app.session_state["jobs"][view.KIND]
    job.stop()
    assert job.wait(20)
    app.run()
    assert not app.exception
    assert "Partial" in texts(app)
    assert [button.label for button in app.button if button.label == "Run again"]
