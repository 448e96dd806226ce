"""The proof of all receptive fields on request: a tick for each layer, or the unit that refutes it."""

from __future__ import annotations

import streamlit as st

from explorer.analysis.field_proof import Counterexample, FieldProof, LayerProof, prove_fields
from explorer.ui import awaited, jobs
from explorer.ui.jobs import Job
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session

_KIND, _FOUND = "field proof", "field proofs"
KEPT_PROOFS = 16  # proofs of a session that are kept
VERDICT_MARKS = {"equal": "✓", "within": "⊆", "differs": "✗", "untried": "–"}
MEANT = {
    "equal": "the computed boxes of all units",
    "within": "inside the computed boxes, which are upper bounds",
    "differs": "refuted",
    "untried": "not tried: an operation before it has no rule, or nothing reads it",
}


def render(session: Session) -> None:
    """The button, what is under way, or what was found."""
    found = _found(session)
    if found is None:
        _ask(session)
        return
    refuted, bounded = found.of("differs"), found.of("within")
    proven = len(found.of("equal"))
    total = f"{proven:,} of {len(found.layers):,} layers, {found.units:,} units, {found.directions:,} rows and columns"
    if refuted:
        st.error(f"Refuted in {len(refuted):,} layers. {_words(refuted[0])}", icon=":material/close:")
    else:
        inside = f" {len(bounded):,} more keep within their upper bounds." if bounded else ""
        st.markdown(f":green-badge[✓ Proven] :small[{total}.{inside}]")
    with st.expander("Layer by layer"):
        st.dataframe([_row(proof) for proof in found.layers], hide_index=True)
        st.caption("; ".join(f"{mark} {MEANT[verdict]}" for verdict, mark in VERDICT_MARKS.items()) + ".")


def said_of(session: Session, layer: str) -> str:
    """What was found of one layer, in a few words; empty before the proof."""
    found = _found(session)
    proof = next((proof for proof in found.layers if proof.layer == layer), None) if found else None
    if proof is None or proof.verdict == "untried":
        return ""
    return (
        _words(proof)
        if proof.counterexample
        else f"{VERDICT_MARKS[proof.verdict]} Proven for all its {proof.units:,} units."
    )


def _found(session: Session) -> FieldProof | None:
    return _all().get(session.network.key)


def _all() -> dict[str, FieldProof]:
    return st.session_state.setdefault(_FOUND, {})


def _ask(session: Session) -> None:
    job = jobs.current(_KIND, session.key)
    if job is not None:
        job.wait(awaited.GRACE_S)
    if job is not None and job.finished and not job.cancelled and not job.error:
        _keep(session.network.key, job.result)
        st.rerun()
    if job is not None and job.error:
        st.error(markdown_safe(job.error), icon=":material/error:")
    if job is None or job.finished:
        st.button("Prove it", key="prove fields", icon=":material/verified:", on_click=_start, args=(session,),
                  help="Changes each row and each column of the picture alone, follows it through the network's wiring "
                  "with nothing that could cancel it, and compares with the computed boxes of all units.")  # fmt: skip
        return
    jobs.show(job, "Proving all fields")


def _keep(key: str, proof: FieldProof) -> None:
    kept = _all()
    kept[key] = proof
    for old in list(kept)[:-KEPT_PROOFS]:
        del kept[old]


def _start(session: Session) -> None:
    analysis = session.analysis

    def work(job: Job) -> FieldProof:
        return prove_fields(analysis, job.progress, job.should_stop)

    jobs.discard(_KIND)
    jobs.start(_KIND, session.key, work)


def _row(proof: LayerProof) -> dict[str, object]:
    said = _words(proof) if proof.counterexample else ""
    return {"": VERDICT_MARKS[proof.verdict], "Layer": proof.layer, "Units": proof.units, "Counter-example": said}


def _words(proof: LayerProof) -> str:
    found = proof.counterexample
    assert found is not None
    return (
        f"{proof.layer}, row {found.unit[0]}, column {found.unit[1]}: computed ({found.which}) "
        f"{_box(found, computed=True)}, found {_box(found, computed=False)}."
    )


def _box(found: Counterexample, computed: bool) -> str:
    top, left, bottom, right = found.computed if computed else found.found
    return f"rows {top} to {bottom - 1}, columns {left} to {right - 1}" if bottom else "nothing"
