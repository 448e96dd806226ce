"""Occlusion maps of the compared networks side by side: one class, one square, one picture."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import streamlit as st

from explorer.analysis.activations import predict
from explorer.analysis.occlusion import OcclusionMap, OcclusionSettings, occlusion_steps
from explorer.errors import UserError
from explorer.figures import prediction, units
from explorer.ui import jobs, picture_controls
from explorer.ui.jobs import Job
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session
from explorer.views.compare.entries import Candidate
from explorer.views.occlusion import maps
from explorer.views.occlusion.maps import Shown
from explorer.views.occlusion.square import CHEAP_MACS, chosen_square, filling, positions

KIND = "compared occlusion"
MapsByLetter = dict[str, OcclusionMap | str]  # by letter; a sentence where there is none


def render(found: list[Candidate], session: Session) -> None:
    """Draw a map per network, or the button that starts them where they take long."""
    settings = {entry.letter: chosen_square(entry.known) for entry in found}
    key = (*session.key, tuple((entry.known.key, settings[entry.letter]) for entry in found))
    macs = sum(positions(entry.known, settings[entry.letter]) * entry.analysis.macs for entry in found)
    job = jobs.current(KIND, key)
    if job is None and macs <= CHEAP_MACS:
        job = jobs.start(KIND, key, _work(found, settings))
    if job is None:
        _button("Run", key, found, settings)
        st.caption(f"{units.count(macs, 'MACs')} in all, a forward pass per position of the square in each network.")
    elif not job.finished:
        jobs.show(job, "Sliding the square over the picture in each network")
    else:
        if job.error:
            st.error(markdown_safe(job.error), icon=":material/error:")
        if job.error or job.cancelled:
            _button("Run again", key, found, settings)
        _draw(found, job.result or job.partial or {}, settings)


def _button(label: str, key: tuple[Any, ...], found: list[Candidate], settings: dict[str, OcclusionSettings]) -> None:
    st.button(label, key="run compared occlusion", type="primary", icon=":material/play_arrow:", on_click=_start,
              args=(key, found, settings))  # fmt: skip


def _start(key: tuple[Any, ...], found: list[Candidate], settings: dict[str, OcclusionSettings]) -> None:
    jobs.discard(KIND)
    jobs.start(KIND, key, _work(found, settings))


def _work(found: list[Candidate], settings: dict[str, OcclusionSettings]) -> Any:
    """The job: one network after the other; one that cannot be run leaves a sentence."""
    total = sum(positions(entry.known, settings[entry.letter]) for entry in found)

    def work(job: Job) -> MapsByLetter:
        maps_of: MapsByLetter = {}
        done, target = 0, None
        for entry in found:
            passes = positions(entry.known, settings[entry.letter])
            try:
                target = _target(entry, found[0], target, settings[entry.letter], job)
                for one in _steps(entry.known, settings[entry.letter], target, job):
                    job.progress(done + int(one.done.sum()), total, {**maps_of, entry.letter: maps.snapshot(one)})
                    maps_of[entry.letter] = one
            except UserError as error:
                maps_of[entry.letter] = str(error)
            done += passes
            job.progress(done, total, dict(maps_of))
        return maps_of

    return work


def _target(
    entry: Candidate, reference: Candidate, target: int | None, settings: OcclusionSettings, job: Job
) -> int | None:
    """The reference's most probable class, for those that have the same classes; else each network's own."""
    if target is None and entry is reference:
        loaded = entry.known.load(job.should_stop)
        found = predict(loaded.program, entry.known.input, output=settings.output, cancel=job.should_stop)
        return found.classes[0][0] if found.is_finite else None
    return target if entry.known.categories == reference.known.categories else None


def _steps(session: Session, settings: OcclusionSettings, target: int | None, job: Job) -> Any:
    program = session.load(job.should_stop).program
    filled = replace(settings, fill_value=filling(session, settings.fill))
    return occlusion_steps(program, session.input, target, filled, cancel=job.should_stop)


def _draw(found: list[Candidate], done: MapsByLetter, settings: dict[str, OcclusionSettings]) -> None:
    for entry, column in zip(found, st.columns(len(found), gap="medium"), strict=True):
        with column:
            st.markdown(f"**{markdown_safe(entry.label)}**")
            one = done.get(entry.letter)
            if isinstance(one, str):
                st.error(markdown_safe(one), icon=":material/error:")
            elif one is not None and one.done.any():
                _map(entry, one, settings[entry.letter])
    picture_controls.render()
    st.caption("The square is that of the view Occlusion. Colours run from the least to the greatest of each map.")


def _map(entry: Candidate, one: OcclusionMap, settings: OcclusionSettings) -> None:
    session = entry.known
    maps.probability(Shown(session, one, filling(session, settings.fill), key=f"{entry.letter} "))
    now, before = (prediction.in_words(float(value), one.output)
                   for value in (one.probability[one.lowest], one.baseline))  # fmt: skip
    st.caption(markdown_safe(f"{session.categories[one.target]}: {before} without a square, {now} at the lowest."))
