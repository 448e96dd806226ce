"""Ablate: channels, branches and skip connections switched off, and what that does to the answer and the accuracy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

import streamlit as st
import torch
from torch import Tensor

from explorer.analysis.ablation import Ablation, branches_of, skip_of
from explorer.analysis.ablation_effect import Answers, answers, hits
from explorer.analysis.activations import channel_statistics, channels_of, layers_with_maps
from explorer.figures import maps, prediction
from explorer.graph.layers import LayerGraph
from explorer.networks.ablation_text import decode_ablations, encode_ablations
from explorer.training.batches import EVALUATION_SEED, normalise
from explorer.training.dataset import CLASSES, to_tensor_batch
from explorer.ui import state, untrained
from explorer.ui.awaited import awaited
from explorer.ui.chart import table
from explorer.ui.guard import guard
from explorer.ui.jobs import Job
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session
from explorer.ui.settings import Setting

SETTINGS = (
    Setting("off", "", of_network=True, check=decode_ablations, instead="the whole network"),
    Setting("judged", False, of_network=True),
)
JUDGED = 500  # unseen pictures of the program's own set
LEADING = 3
ABLATED_MAPS = 4  # maps shown of the chosen layer


def render(session: Session) -> None:
    """Draw what of the chosen layer can be switched off, what is off, and what the network says then."""
    off = _off(session.analysis.graph)
    _branches(session, off)
    _channels(session, off)
    _listed(off)
    if session.image is None:
        st.caption("With a picture, the answer with and without these parts is here.")
        return
    if session.source.needs_download:
        st.caption("The answer is here once the weights are downloaded.")
        return
    untrained.render(session)
    with guard():
        _effect(session, off)
    with guard():
        _judged(session, off)


# -- what is off ------------------------------------------------------------------------------------------------------


def _off(graph: LayerGraph) -> tuple[Ablation, ...]:
    """What is switched off and is in this network: knobs may have been changed since."""
    found: list[Ablation] = []
    for each in decode_ablations(state.get("off")):
        if each.layer in graph:
            branches = tuple(name for name in each.branches if name in branches_of(graph[each.layer]))
            channels = tuple(number for number in each.channels if number < channels_of(graph, each.layer))
            if branches or channels:
                found.append(Ablation(each.layer, channels, branches))
    return tuple(found)


def _put(off: Iterable[Ablation], layer: str, changed: Ablation) -> None:
    others = [each for each in off if each.layer != layer]
    state.put("off", encode_ablations([*others, changed]))


def _of(off: tuple[Ablation, ...], layer: str) -> Ablation:
    return next((each for each in off if each.layer == layer), Ablation(layer))


def _branches(session: Session, off: tuple[Ablation, ...]) -> None:
    """A switch for each of what the chosen layer joins."""
    graph, layer = session.analysis.graph, session.layer
    own, skip = _of(off, layer), skip_of(graph, layer)

    def put(branch: str, counts: bool) -> None:
        others = [name for name in own.branches if name != branch]
        _put(off, layer, replace(own, branches=tuple(others if counts else [*others, branch])))

    branches = branches_of(graph[layer])
    if branches:
        st.markdown(f":small[What {markdown_safe(layer)} joins]")
    for branch in branches:
        said = f"{markdown_safe(branch)} (skip connection)" if branch == skip else markdown_safe(branch)
        state.keep(st.toggle, f"branch {layer} {branch}", said, branch not in own.branches, partial(put, branch))


def _channels(session: Session, off: tuple[Ablation, ...]) -> None:
    """A choice of the chosen layer's channels."""
    layer = session.layer
    own, count = _of(off, layer), channels_of(session.analysis.graph, layer)
    if not count:
        st.caption(f"{markdown_safe(layer)} has no channels of its own.")
        return
    state.keep(
        partial(st.multiselect, options=range(count), placeholder=f"0 to {count - 1}"), f"channels off {layer}",
        f"Channels of {markdown_safe(layer)} to switch off", list(own.channels),
        lambda chosen: _put(off, layer, replace(own, channels=tuple(chosen))),
    )  # fmt: skip


def _listed(off: tuple[Ablation, ...]) -> None:
    if not off:
        st.caption("Nothing is switched off. Choose a layer in the graph; an add has switches for what it joins.")
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f":small[Off: {markdown_safe('; '.join(map(_said, off)))}]")
        st.button("All on", key="all on", icon=":material/undo:", type="tertiary", on_click=state.put, args=("off", ""))


def _said(ablation: Ablation) -> str:
    parts = [f"{branch} at {ablation.layer}" for branch in ablation.branches]
    if ablation.channels:
        word = "channel" if len(ablation.channels) == 1 else "channels"
        parts.append(f"{word} {', '.join(map(str, ablation.channels))} of {ablation.layer}")
    return "; ".join(parts)


# -- what it does -----------------------------------------------------------------------------------------------------


def _effect(session: Session, off: tuple[Ablation, ...]) -> None:
    layer = session.layer if session.layer in layers_with_maps(session.analysis.graph) else None
    key = (*session.key, encode_ablations(off), layer)

    def work(job: Job) -> Answers:
        return answers(session.load(job.should_stop).program, session.input, off, layer=layer, cancel=job.should_stop)

    if (found := awaited("ablation", key, "Running the network without them", work)) is None:
        return
    names, leading = session.categories, found.leading(LEADING)
    given = {"Whole": found.whole, **({"Without": found.ablated} if off else {})}
    columns = {"": [markdown_safe(names[number]) for number in leading]}
    for title, values in given.items():
        columns[title] = [prediction.in_words(float(values[number]), found.output) for number in leading]
    rows = [
        {"Class": names[number], **{title: float(values[number]) for title, values in given.items()}}
        for number in range(len(names))
    ]
    table(columns, "ablation", rows)
    if off:
        st.markdown(markdown_safe(_sentence(found, names)))
        if layer is not None and found.maps is not None:
            _maps(layer, *found.maps)


def _maps(layer: str, whole: Tensor, ablated: Tensor) -> None:
    """The strongest maps of the chosen layer above the same without the parts."""
    if whole.shape[1:] == (1, 1):
        return
    st.markdown(f":small[Maps of {markdown_safe(layer)}, whole above, without below]")
    if torch.equal(whole, ablated):
        st.caption("They stay as they are: nothing is switched off before this layer, or in it.")
        return
    strongest = channel_statistics(whole).ranking("mean")[:ABLATED_MAPS].tolist()
    shown = maps.above_each_other(whole[strongest].numpy(), ablated[strongest].numpy())
    channels = ", ".join(map(str, strongest))
    st.image(shown, width="stretch", alt=f"Maps of channels {channels} with all parts, and below them without")
    st.caption(f"Channels {channels}: those with the greatest mean in the whole network, each on one scale.")


def _sentence(found: Answers, names: tuple[str, ...]) -> str:
    """Whether the network still says the same."""
    before, after = int(found.whole.argmax()), int(found.ablated.nan_to_num().argmax())
    if not found.ablated.isfinite().all():
        return "Without them the output holds NaN or infinity."
    if before == after:
        return f"Still {names[before]}."
    return f"It was {names[before]}, and is {names[after]} without them."


def _judged(session: Session, off: tuple[Ablation, ...]) -> None:
    """The accuracy on unseen pictures of the set that the network was trained on here."""
    if session.source.kind != "shipped" or tuple(session.categories) != CLASSES or not off:
        return
    state.control(st.toggle, "judged", f"Accuracy on {JUDGED} unseen pictures")
    if not state.get("judged"):
        return

    def work(job: Job) -> tuple[int, int]:
        return _hits(session, off, job)

    if found := awaited("ablated accuracy", (*session.key, encode_ablations(off)), "Judging", work):
        whole, ablated = (prediction.percent(each / JUDGED) for each in found)
        st.markdown(f"**{whole}** right with all parts, **{ablated}** without.")


def _hits(session: Session, off: tuple[Ablation, ...], job: Job) -> tuple[int, int]:
    program = session.load(job.should_stop).program
    drawn, labels = to_tensor_batch(EVALUATION_SEED, 0, JUDGED, session.spec.image_size)
    images = normalise(drawn.float().div(255)).to(session.device)
    found = [
        hits(program, images, labels, without, cancel=job.should_stop,
             progress=lambda done, before=before: job.progress(before + done, 2 * JUDGED))
        for before, without in ((0, ()), (JUDGED, off))
    ]  # fmt: skip
    return found[0], found[1]
