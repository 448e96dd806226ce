"""Several pictures of one's own: stepped through in the sidebar, and answered together in a table."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from explorer.images.samples import sample
from explorer.ui import pictures
from tests.support.page import errors, open_trained

NAMES = ("set/cat/boat.png", "set/boat/boat2.png", "set/cat/cat.png")
BROKEN = ("set/cat/broken.png", b"no picture")


def opened() -> AppTest:
    """Feature maps where pictures can be uploaded."""
    app = open_trained(view="maps", layer="features.8")
    return app.button_group(key="widget:source").set_value("upload").run()


def uploaded(*, broken: bool = False) -> AppTest:
    """Feature maps with three pictures, of which the first lies in a wrong folder."""
    app = opened()
    files = [(name, sample("cat" if "cat.png" in name else "boat").read_bytes()) for name in NAMES]
    app.file_uploader(key="upload").set_value(
        [(name, data, "image/png") for name, data in [*files, *([BROKEN] if broken else [])]]
    )
    return settled(app.run())


def settled(app: AppTest) -> AppTest:
    """The page after its jobs have ended."""
    for job in app.session_state["jobs"].values():
        job.wait(60)
    return app.run()


def table(app: AppTest) -> list[dict[str, object]]:
    return app.dataframe[0].value.to_dict("records")


def test_pictures_are_stepped_through_in_a_circle() -> None:
    app = uploaded()
    assert app.session_state["place upload"] == 0
    seen = []
    for _ in range(3):
        app = settled(app.button(key="picture after").click().run())
        seen.append(app.session_state["place upload"])
    assert seen == [1, 2, 0]
    assert settled(app.button(key="picture before").click().run()).session_state["place upload"] == 2
    assert errors(app) == []


def test_the_table_has_the_mistakes_first_and_counts_what_is_right() -> None:
    app = uploaded(broken=True)
    rows = table(app)
    assert rows[0]["Picture"] == NAMES[0]
    assert (rows[0]["Answer"], rows[0]["Class"], rows[0]["Right"]) == ("boat", "cat", False)
    assert sorted(str(row["Answer"]) for row in rows if row["Right"] is True) == ["boat", "cat"]
    assert any("broken.png is not a picture" in str(row["Answer"]) for row in rows)
    (right,) = (metric for metric in app.metric if metric.label == "Right")
    assert (right.value, right.delta) == ("66.7 %", "of 3")


def test_a_broken_picture_is_named_when_it_is_shown_and_the_others_stay() -> None:
    app = uploaded(broken=True)
    app = app.button(key="picture before").click().run()  # the last, which is the broken one
    assert any("broken.png is not a picture" in text for text in errors(app))
    app = settled(app.button(key="picture after").click().run())
    assert errors(app) == []


def test_one_picture_has_neither_strip_nor_table() -> None:
    app = opened()
    app.file_uploader(key="upload").set_value([("cat.png", sample("cat").read_bytes(), "image/png")]).run()
    app = settled(app)
    assert not [button for button in app.button if button.key == "picture after"]
    assert not app.dataframe


def test_more_than_is_kept_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MOST_PICTURES", 2)
    app = uploaded()
    assert "1 of 3 pictures are left out" in app.warning[0].value
    assert len(table(app)) == 2
