"""What each of the compared networks makes of the picture: its prediction, and the maps of the chosen layer."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from explorer.analysis.activations import Prediction, layers_with_maps
from explorer.errors import UserError
from explorer.figures import maps as figures
from explorer.figures import prediction, raster
from explorer.ui import layer_maps, output_control, picture_controls, state
from explorer.ui.awaited import awaited
from explorer.ui.chart import chart
from explorer.ui.jobs import Job
from explorer.ui.layer_maps import LayerMaps
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session
from explorer.views.compare import entries
from explorer.views.compare.entries import Candidate

SHOWN_MAPS = 8  # channels whose maps are shown


@dataclass(frozen=True, eq=False)
class Seen:
    """What one network makes of the picture, or why that is nothing; maps is None where no layer corresponds."""

    prediction: Prediction | str
    maps: LayerMaps | None


def render(found: list[Candidate], session: Session) -> None:
    """Draw a column per network: its prediction, and the strongest maps of its layer."""
    layers = _layers(found, session)
    output = output_control.chosen()
    key = (*session.key, tuple((entry.known.key, layers[entry.letter]) for entry in found), output)

    def work(job: Job) -> list[Seen]:
        return [_seen(entry, layers[entry.letter], output, job) for entry in found]

    seen = awaited("compared maps", key, "Running the picture through each network", work)
    if seen is None:
        return
    for entry, of_entry, column in zip(found, seen, st.columns(len(found), gap="medium"), strict=True):
        with column:
            _prediction(entry, of_entry.prediction)
    for entry, of_entry, column in zip(found, seen, st.columns(len(found), gap="medium"), strict=True):
        with column:
            _maps(entry, of_entry.maps, layers[entry.letter])
    picture_controls.render()


def _layers(found: list[Candidate], session: Session) -> dict[str, str | None]:
    """The layer of each network, chosen among those of the reference that have maps."""
    reference = found[0]
    offered = layers_with_maps(reference.analysis.graph)
    chosen = entries.layers(found, session)[reference.letter] if state.get("layer") or state.get("looked") else None
    layer = chosen if chosen in offered else layer_maps.middle(reference.analysis)
    state.keep(
        st.selectbox, "compared layer", f"Layer of {reference.letter}", layer,
        lambda name: entries.choose(found, reference, name), options=offered,
        help="The maps of the layers that correspond to it are shown of the other networks.",
    )  # fmt: skip
    return {entry.letter: entries.across(found, reference, layer, entry) for entry in found}


def _seen(entry: Candidate, layer: str | None, output: output_control.Output | None, job: Job) -> Seen:
    try:
        said = layer_maps.predicted(entry.known, output, job.should_stop)
        has_maps = layer is not None and layer in layers_with_maps(entry.analysis.graph)
        return Seen(said, layer_maps.maps_of(entry.known, layer, job.should_stop) if layer and has_maps else None)
    except UserError as error:
        return Seen(str(error), None)


def _prediction(entry: Candidate, said: Prediction | str) -> None:
    st.markdown(f"**{markdown_safe(entry.label)}**")
    if isinstance(said, str):
        st.error(markdown_safe(said), icon=":material/error:")
    elif not said.is_finite:
        st.error("The output holds NaN or infinity, so there is no prediction.", icon=":material/error:")
    else:
        chart(prediction.bars(said, entry.known.categories), f"prediction {entry.letter}")
        st.caption(prediction.explained(said.output, said.tensor))


def _maps(entry: Candidate, found: LayerMaps | None, layer: str | None) -> None:
    if found is None:
        st.caption(f"No layer of {entry.letter} with maps corresponds to the chosen one.")
        return
    st.markdown(f":small[{entry.letter} · {markdown_safe(layer or '')} · {len(found.maps):,} channels]")
    strongest = found.order("mean")[:SHOWN_MAPS].tolist()
    first, scale = strongest[0], found.scale(strongest[0], False)
    shown = raster.overlay(entry.known.view, found.maps[first], found.placement(entry.known), scale,
                           state.get("opacity"), state.get("smooth"))  # fmt: skip
    st.image(shown, width="stretch", alt=f"Channel {first} of {layer} in {entry.label} over the picture",
             caption=f"Strongest: channel {first}, {scale[0]:.3g} to {scale[1]:.3g}")  # fmt: skip
    ranges = [found.scale(channel, False) for channel in strongest]
    named = ", ".join(map(str, strongest))
    st.image(figures.grid(found.maps[strongest], ranges, columns=4), width="stretch",
             alt=f"Maps of channels {named}", caption=f"Channels {named}, each on its own scale")  # fmt: skip
