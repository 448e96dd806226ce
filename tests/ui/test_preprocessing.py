"""The preprocessing on the page: what a person chooses of it, and what is said where that does not do."""

from __future__ import annotations

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from explorer.ui import session
from tests.support.page import errors, open_trained


def texts(app: AppTest) -> str:
    return " ".join(caption.value for caption in app.caption)


def settled(app: AppTest) -> AppTest:
    assert app.session_state["jobs"]["maps"].wait(60)
    return app.run()


def test_what_was_done_is_said_and_can_be_changed() -> None:
    app = settled(open_trained(view="maps"))
    assert "Prepared: shorter side to 64 px, bilinear; centre 64×64" in texts(app)
    first = app.session_state["jobs"]["maps"]
    app.selectbox(key="widget:fit").set_value("stretch").run()
    assert app.session_state["jobs"]["maps"] is not first, "the maps are of another input"
    assert "Prepared: stretched to 64×64" in texts(settled(app))
    assert app.query_params["fit"] == "stretch"


def test_a_link_says_how_the_picture_is_prepared() -> None:
    app = settled(open_trained(view="maps", mean="0", std="1", interpolation="bicubic"))
    assert not errors(app)
    assert "bicubic" in texts(app)
    assert "values from 0 to 1" in texts(app)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"mean": "a"}, "mean='a' is not numbers with commas between."),
        ({"mean": "0"}, "mean=0 needs std beside it."),
        ({"std": "1e-40", "mean": "0"}, "std=1e-40: each must be a finite number"),
        ({"resize": "8"}, "resize=8"),
    ],
)
def test_what_does_not_do_is_said_and_passed_over(options: dict[str, str], sentence: str) -> None:
    app = settled(open_trained(view="maps", **options))
    assert any(sentence in warning.value.replace("\\", "") for warning in app.warning)
    assert "from: its training" in texts(app)
    assert "Prediction" in [heading.value for heading in app.subheader]


def test_the_networks_input_is_what_was_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[np.ndarray] = []
    current = session.current
    monkeypatch.setattr(session, "current", lambda: (seen.append((found := current()).input.numpy()), found)[1])
    open_trained(view="workbench", mean="0", std="1")
    assert seen[-1].min() >= 0
    assert seen[-1].max() <= 1


def test_the_order_of_channels_can_be_chosen() -> None:
    app = settled(open_trained(view="maps"))
    app.selectbox(key="widget:channels").set_value("BGR").run()
    assert "channels blue, green, red" in texts(settled(app))
    assert app.query_params["channels"] == "BGR"
