"""Undo and redo: every change of preset, weights or knobs is one step, and steps lead back to the very same page."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from explorer.ui.history import LONGEST, Edit, History, step

EDITS = st.builds(Edit, st.sampled_from("ab"), st.sampled_from(("", "random")), st.just({}))
MOVES = st.lists(EDITS | st.sampled_from(("undo", "redo")), max_size=40)


@given(MOVES)
def test_undo_and_redo_walk_over_what_was_done(moves: list[Any]) -> None:
    first = Edit("start")
    history, done, at = History(first), [first], 0  # a plain list with a finger on it
    for move in moves:
        if move == "undo":
            history, at = history.undo(), max(0, at - 1)
        elif move == "redo":
            history, at = history.redo(), min(len(done) - 1, at + 1)
        else:
            history = history.record(move)
            if move != done[at]:
                done, at = [*done[: at + 1], move], at + 1
        assert history.present == done[at]
        assert (history.past, history.future) == (tuple(done[:at]), tuple(done[at + 1 :]))


def test_the_history_ends_somewhere() -> None:
    history = History(Edit("start"))
    for number in range(2 * LONGEST):
        history = history.record(Edit("start", knobs={"width": number}))
    assert len(history.past) == LONGEST
    assert history.past[-1].knobs == {"width": 2 * LONGEST - 2}


def test_a_step_is_named_by_what_it_changes() -> None:
    before = Edit("vgg16", knobs={"norm": "batch", "kernel": 5})
    assert step(before, Edit("vgg16", knobs={"norm": "batch"})) == "kernel"
    assert step(before, Edit("vgg16", knobs={"a": 1, "b": 2, "kernel": 5})) == "norm, a, b"
    assert step(before, Edit("vgg16", knobs={"a": 1, "b": 2, "c": 3})) == "norm, kernel, a and 2 more"
    assert step(before, Edit("vgg19")) == "vgg16 → vgg19"
    assert step(before, Edit("vgg16", "random", before.knobs)) == "weights"


def script() -> None:
    """A page that does what the test asks for, and shows the state."""
    import streamlit as st

    from explorer.ui import state

    state.begin(())
    for name, *arguments in st.session_state.get("asked", ()):
        getattr(state, name)(*arguments)
    st.session_state["asked"] = ()
    st.session_state["link"] = state.link()
    st.session_state["steps"] = len(state.history().past), len(state.history().future)
    state.end()


def act(app: AppTest, *asked: tuple[Any, ...]) -> tuple[dict[str, str], tuple[int, int]]:
    app.session_state["asked"] = asked
    app.run()
    assert not app.exception
    return app.session_state["link"], app.session_state["steps"]


def opened(**params: str) -> AppTest:
    app = AppTest.from_function(script, default_timeout=60)
    for name, value in params.items():
        app.query_params[name] = value
    return app.run()


def test_each_change_is_one_step_and_undo_leads_back_through_the_same_links() -> None:
    app = opened(**{"preset": "vgg11", "k.norm": "batch"})
    changes = [
        ("put_knobs", {"kernel": 5, "dropout": 0.25}),
        ("put", "weights", "random"),
        ("clear_knobs", ["norm"]),
        ("put", "preset", "resnet18"),
        ("put_knobs", {"depths": (1, 1, 1, 1)}),
        ("put", "preset", "vgg11"),
    ]
    links = [app.session_state["link"]]
    for number, change in enumerate(changes, 1):
        link, steps = act(app, change)
        assert steps == (number, 0)
        links.append(link)
    assert len({tuple(sorted(link.items())) for link in links}) == len(links), "no two are the same"
    for number in range(len(changes) - 1, -1, -1):
        assert act(app, ("undo",)) == (links[number], (number, len(changes) - number))
    assert act(app, ("undo",))[0] == links[0], "there is nothing before it"
    for number in range(1, len(changes) + 1):
        assert act(app, ("redo",))[0] == links[number]


def test_what_is_no_edit_is_no_step_and_a_new_edit_drops_what_was_undone() -> None:
    app = opened(preset="vgg11")
    act(app, ("put_knobs", {"kernel": 5}))
    assert act(app, ("put", "layer", "features.3"), ("put_knobs", {"kernel": 5}), ("put", "seed", 3))[1] == (1, 0)
    assert act(app, ("undo",))[1] == (0, 1)
    assert act(app, ("put_knobs", {"kernel": 7}))[1] == (1, 0)


def test_undoing_a_knob_leaves_the_chosen_layer_and_undoing_a_preset_forgets_it() -> None:
    app = opened(preset="vgg11")
    act(app, ("put_knobs", {"kernel": 5}), ("put", "layer", "features.3"))
    assert act(app, ("undo",))[0] == {"preset": "vgg11", "layer": "features.3"}
    act(app, ("put", "preset", "vgg13"), ("put", "layer", "features.5"))
    assert act(app, ("undo",))[0] == {"preset": "vgg11"}
