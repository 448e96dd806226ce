"""Gradients: how large they arrive at each layer before any training, of a network of one's own as it is; beside those
of networks looked at before."""

from __future__ import annotations

import streamlit as st

from explorer.analysis.gradient_flow import BATCH, GradientNorm, gradient_norms
from explorer.figures.gradients import CURVE_COLOURS, gradient_chart, gradient_sentence
from explorer.networks import live
from explorer.run import device
from explorer.ui import state
from explorer.ui.awaited import awaited
from explorer.ui.chart import chart
from explorer.ui.jobs import Job
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session

Curves = dict[str, tuple[str, tuple[GradientNorm, ...]]]  # by Spec and seed: what the network is called, and its norms


def render(session: Session) -> None:
    """The curve of the network at hand over those before it, and what it comes to."""
    key = f"{session.network.key} {session.seed}"
    curves: Curves = st.session_state.setdefault("gradient curves", {})
    if key not in curves:
        found = awaited("gradients", session.key, "Following the gradient", lambda job: _followed(session, job))
        if found is None:
            return
        curves[key] = name_of(session), found
    own = curves[key]
    others = [curve for other, curve in curves.items() if other != key][-len(CURVE_COLOURS) + 1 :]
    figure = gradient_chart({markdown_safe(name): norms for name, norms in (own, *others)})
    chart(figure, "gradients")
    st.markdown(markdown_safe(gradient_sentence(own[1])))
    is_own = session.network.own_weights is not None
    which = "With its weights as they are" if is_own else f"Untrained, with seed {session.seed}"
    st.caption(
        f"{which}: L2 norm of the gradient of the cross-entropy by each layer's output, on {BATCH} images of noise "
        "with random labels, batch norms in training mode. Networks that were looked at before stay for comparison."
    )
    st.button(
        "Forget the others", icon=":material/delete_sweep:", disabled=not others, on_click=_keep_only, args=(key,)
    )


def _followed(session: Session, job: Job) -> tuple[GradientNorm, ...]:
    """The norms of the network as it is initialised, whatever weights are chosen; of one's own, as it is."""
    analysis = session.analysis
    # All outputs are kept for the way back, and their gradients beside them for a while.
    needed = 2 * (analysis.weight_bytes + BATCH * analysis.activation_bytes)
    device.ensure_fits(needed, session.device, f"The gradient of {session.preset}")
    module = session.network.build("cpu")
    # Of a person's own the page has one alone, which other threads run in evaluation mode.
    module = (live.copied(module) if session.network.own_weights else module).to(session.device)
    return gradient_norms(module, session.input_size, seed=session.seed, cancel=job.should_stop)


def _keep_only(key: str) -> None:
    curves: Curves = st.session_state["gradient curves"]
    st.session_state["gradient curves"] = {key: curves[key]}


def name_of(session: Session) -> str:
    """The preset with the knobs that were changed, in few words."""
    changed = [f"{name}={value}" for name, value in state.knobs().items() if not isinstance(value, tuple)]
    return f"{session.preset} {', '.join(changed)}".strip()[:40]
