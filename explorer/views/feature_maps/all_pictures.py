"""What the network says of all the pictures that a person uploaded: a table, and how often it is right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from explorer.analysis.predictions import NamedPicture, PredictedPicture, Predictions, predictions, truths
from explorer.errors import in_percent
from explorer.figures.confusion import confusion_figure
from explorer.ui import jobs, output_control, pictures, state
from explorer.ui.chart import chart
from explorer.ui.jobs import Job
from explorer.ui.markdown import markdown_safe
from explorer.ui.pictures import OwnPicture
from explorer.ui.session import ALL_PICTURES, Session

QUICK_MACS = 30 * 10**9  # a few seconds on two cores: started without being asked


def render(session: Session) -> None:
    """Draw the panel, where there are several pictures."""
    held = pictures.own("upload")
    if state.get("image") != "upload" or len(held) < 2:
        return
    with st.expander(f"All {len(held):,} pictures", icon=":material/photo_library:"):
        _panel(session, held)


def _panel(session: Session, held: Sequence[OwnPicture]) -> None:
    named, unknown = truths((picture.label for picture in held), session.categories)
    output = output_control.chosen()
    key = (*session.network_key, str(session.choices), tuple(one.digest for one in held), output)
    job = jobs.current(ALL_PICTURES, key)
    if job is None and len(held) * session.analysis.macs <= QUICK_MACS:
        job = jobs.start(ALL_PICTURES, key, _work(session, held, named, output))
    if job is None:
        st.button(f"Run all {len(held):,}", type="primary", icon=":material/play_arrow:", on_click=_start,
                  args=(key, _work(session, held, named, output)))  # fmt: skip
        return
    if not job.finished:
        jobs.show(job, "Running the pictures")
        return
    if job.error:
        st.error(markdown_safe(job.error), icon=":material/error:")
    if job.cancelled:
        st.button("Run again", icon=":material/play_arrow:", on_click=jobs.discard, args=(ALL_PICTURES,))
    if job.partial is not None:
        _result(session, job.partial, unknown if named else ())


def _start(key: tuple[Any, ...], work: Any) -> None:
    jobs.start(ALL_PICTURES, key, work)


def _work(session: Session, held: Sequence[OwnPicture], named: dict[str, int], output: Any) -> Any:
    """The job; what is decoded for it is not kept."""
    preprocessing, device = session.preprocessing, session.device

    def item(picture: OwnPicture) -> NamedPicture:
        return NamedPicture(
            picture.name, lambda: preprocessing.tensor(picture.decoded().pixels).to(device), named.get(picture.label)
        )

    def work(job: Job) -> Predictions | None:
        program = session.load(job.should_stop).program
        for found in predictions(program, [item(picture) for picture in held], output, cancel=job.should_stop):
            job.progress(len(found.rows), found.count, found)
        return job.partial

    return work


# -- the result -------------------------------------------------------------------------------------------------------


def _result(session: Session, found: Predictions, unknown: Sequence[str]) -> None:
    classes = session.categories
    if unknown:
        st.caption(markdown_safe(f"Folders that name no class of this network: {', '.join(unknown[:10])}."))
    if (accuracy := found.accuracy()) is not None:
        _figures(found, accuracy)
    by_name = {row.name: place for place, row in enumerate(found.rows)}
    ordered = [*found.mistakes, *(row for row in found.rows if row.is_right is not False)]
    chosen = st.dataframe(
        [_shown(row, classes) for row in ordered], key="all pictures", hide_index=True, on_select="rerun",
        selection_mode="single-row", column_config=_COLUMNS,
    )  # fmt: skip
    _open(chosen, [by_name[row.name] for row in ordered])
    if accuracy is not None:
        names, counts = found.confusion()
        st.markdown("**Taken for**")
        chart(confusion_figure([classes[i] for i in names], counts), "confusion")


def _figures(found: Predictions, accuracy: float) -> None:
    with st.container(horizontal=True):
        st.metric("Right", in_percent(accuracy, 1), f"of {len(found.judged):,}", delta_color="off", delta_arrow="off")
        st.metric("Among the first five", in_percent(found.accuracy(5) or 0.0, 1))
        st.metric("Mistakes", f"{len(found.mistakes):,}", "the most confident first", delta_color="off",
                  delta_arrow="off")  # fmt: skip


_COLUMNS = {
    "Probability": st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1),
    "Right": st.column_config.CheckboxColumn(width="small"),
}


def _shown(row: PredictedPicture, classes: Sequence[str]) -> dict[str, Any]:
    number, probability = row.classes[0] if row.classes else (None, None)
    truth = {} if row.truth is None else {"Class": classes[row.truth], "Right": row.is_right}
    answer = row.problem if number is None else classes[number]
    return {"Picture": row.name, "Answer": answer, "Probability": probability, **truth}


def _open(chosen: Any, places: Sequence[int]) -> None:
    """Show the picture of the row that was clicked, once."""
    rows = chosen.selection.rows
    if rows != st.session_state.get("picture row", []):
        st.session_state["picture row"] = rows
        if rows:
            pictures.show("upload", places[rows[0]])
            st.rerun()
