"""What a control is told: the state's value when it is new, and nothing that takes back what a person chose since."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest


def script() -> None:
    """One slider, and a button that changes its setting from outside."""
    import streamlit as st

    from explorer.ui import state
    from explorer.ui.settings import Setting

    state.begin((Setting("view", "one"), Setting("place", 3, low=1, high=9)))
    if st.button("To 8"):
        state.put("place", 8)
    state.control(st.slider, "place", "Place", min_value=1, max_value=9)
    state.end()


def page() -> AppTest:
    app = AppTest.from_function(script, default_timeout=60)
    app.query_params["place"] = "5"
    return app.run()


def test_a_new_control_is_told_the_value_of_the_link() -> None:
    slider = page().slider[0]
    assert (slider.value, slider.proto.set_value) == (5, True)


def test_a_control_that_a_person_uses_is_not_told_their_choice_again() -> None:
    """Being told would move it back where they have moved on before the answer comes."""
    app = page()
    app.slider[0].set_value(6).run()
    assert (app.slider[0].value, app.slider[0].proto.set_value) == (6, False)
    assert app.query_params["place"] == "6"


def test_a_control_is_told_what_was_chosen_elsewhere_after_it_was_used() -> None:
    app = page()
    app.slider[0].set_value(6).run()
    app.button[0].click().run()
    assert (app.slider[0].value, app.slider[0].proto.set_value) == (8, True)
    app.run()  # the browser may have drawn this answer alone
    assert (app.slider[0].value, app.slider[0].proto.set_value) == (8, True)
