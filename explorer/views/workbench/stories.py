"""Stories on the page: on a first visit three links, and within one a sentence with the way on, back and out."""

from __future__ import annotations

from typing import Any

import streamlit as st

import models
from explorer.networks.stories import STORIES, Story, told
from explorer.ui import state
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session
from explorer.ui.settings import Setting

LONGEST_STORY = max(len(story.steps) for story in STORIES.values())
SETTINGS = (
    Setting("story", "", choices=("", *STORIES)),
    Setting("step", 0, low=0, high=LONGEST_STORY - 1),
)


def banner(session: Session) -> None:
    """The step of the story at hand; the choice of stories where nothing was done yet; else nothing."""
    if state.get("story"):
        _step(session, STORIES[state.get("story")])
    elif _is_first_visit():
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key="stories"):
            st.markdown(":small[New here?]", width="content")
            for story in STORIES.values():
                st.button(story.title, icon=story.icon, key=f"story {story.name}", type="tertiary", on_click=go,
                          args=(story.name, 0))  # fmt: skip


def shown(session: Session) -> tuple[Any, ...]:
    """What the banner shows of the session."""
    story = state.get("story")
    return (_is_first_visit(), story, state.get("step"), session.network.key if story else None)


def _is_first_visit() -> bool:
    """Whether the page is as an empty link opens it, and nothing was edited since."""
    return state.link() == {} and not state.history().past


def _step(session: Session, story: Story) -> None:
    number = min(state.get("step"), len(story.steps) - 1)
    step = story.steps[number]
    is_there = session.is_ours and session.spec == models.spec(step.preset, **step.knobs)
    with st.container(border=True, gap="xsmall", key="story"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f"**{story.title} · {number + 1} of {len(story.steps)}**", width="stretch")
            if not is_there:
                st.button("Return", icon=":material/undo:", key="story return", type="tertiary", on_click=go,
                          args=(story.name, number))  # fmt: skip
            _turn("Back", ":material/arrow_back:", story, number - 1)
            _turn("Next", ":material/arrow_forward:", story, number + 1)
            st.button("Close", icon=":material/close:", key="story close", type="tertiary", on_click=close)
        away = f"This step is about {step.preset}, and the page shows another network now."
        st.markdown(markdown_safe(told(step, session.analysis) if is_there else away))


def _turn(label: str, icon: str, story: Story, to: int) -> None:
    st.button(label, icon=icon, key=f"story {label.lower()}", type="tertiary", on_click=go,
              disabled=not 0 <= to < len(story.steps), args=(story.name, to))  # fmt: skip


def go(name: str, number: int) -> None:
    """Set the page to a step of a story."""
    step = STORIES[name].steps[number]
    state.open_network(step.preset, step.knobs)
    for setting, value in {**step.settings, "story": name, "step": number}.items():
        state.put(setting, value)


def close() -> None:
    """Leave the story; the page stays as it is."""
    state.put("story", "")
    state.put("step", 0)
