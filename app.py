"""The page: sidebar, switch between views, and the view. `streamlit run` serves it by the `app` below."""

from __future__ import annotations

import streamlit as st
from starlette.middleware import Middleware
from streamlit.delta_generator import DeltaGenerator

from explorer.networks import catalog
from explorer.resources import asset, missing_assets
from explorer.ui import server, session, sidebar, state, take_away, theme
from explorer.ui.guard import attempt, guard
from explorer.ui.markdown import markdown_safe
from explorer.ui.settings import Setting
from explorer.views import broken_files, discover
from explorer.views.workbench import stories


def page() -> None:
    """Draw the whole page once: Streamlit does so at every click."""
    icon = asset("icon.png")
    st.set_page_config("CNN Architecture Explorer", icon if icon.exists() else ":material/account_tree:", layout="wide")
    theme.fit_window()
    views = discover()
    first = next(iter(views))
    own = [setting for view in views.values() for setting in view.settings]
    knobs = [of for view in views.values() for of in view.knobs]
    settings = [Setting("view", first, choices=tuple(views)), *session.SETTINGS, *own]
    chosen = attempt(lambda: session.begin(settings, knobs)) or attempt(session.start_over)
    if chosen is None:
        st.stop()
    view = views[state.get("view")]
    with guard():
        sidebar.render(chosen, view.of_network)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        with st.container(horizontal=True, vertical_alignment="center", width="content"):
            st.title(chosen.title if view.of_network else view.title, anchor=False, width="content")
            if view.question and not chosen.spec_error and chosen.network.own_weights is None:
                take_away.render(chosen, view.question)
        state.control(
            st.segmented_control, "view", "View", options=list(views), required=True, label_visibility="collapsed",
            wrap=False, format_func=lambda name: f"{views[name].icon} {views[name].title}",
        )  # fmt: skip
    for problem in (*([lost] if (lost := missing_assets()) else []), *broken_files(), *catalog.broken_files()):
        st.warning(markdown_safe(problem), icon=":material/extension_off:")
    place = st.container()
    told = _tell(place, 0)
    with guard():
        stories.banner(chosen)
    with guard():
        view.render(chosen)
    _tell(place, told)  # what the view found of no use
    state.end()
    server.pass_over_first_page()


def _tell(place: DeltaGenerator, told: int) -> int:
    """Draw the notices behind the first `told`; how many there are."""
    for notice in (notices := state.notices())[told:]:
        place.warning(f"In the link: {markdown_safe(notice)}", icon=":material/link_off:")
    return len(notices)


if __name__ == "__main__":
    page()
else:  # the server imports this file once, before it serves anything
    app = st.App(__file__, middleware=[Middleware(server.Hardened)], lifespan=server.beginning)
