"""The image that is made to excite the unit, beside the pictures that happen to."""

from __future__ import annotations

from typing import Any

import streamlit as st

from explorer.analysis.optimised_image import OptimisedImage, optimise_units
from explorer.atlas.optimisation import ASCENT_STEPS, optimisation_settings, optimised_pixels
from explorer.figures import raster, units
from explorer.images.preprocess import Preprocessing
from explorer.ui import components, state
from explorer.ui.awaited import awaited
from explorer.ui.jobs import Job
from explorer.ui.session import Session
from explorer.ui.settings import Setting

SETTINGS = (
    Setting("image_seed", 0, low=0, high=2**31 - 1),
    Setting("optimise", False, of_network=True),
)
UNASKED_MACS = 2 * 10**10  # of all steps: what takes longer, some seconds on a CPU, waits until a person asks for it


def render(session: Session, layer: str, channel: int, strongest: float) -> None:
    """The image, its seed, and its activation beside the strongest of the real pictures'."""
    st.subheader("Made to excite it", anchor=False)
    macs = 3 * ASCENT_STEPS * session.analysis.macs  # forward, and twice as much back
    if macs > UNASKED_MACS and not state.get("optimise"):
        st.caption(f"{ASCENT_STEPS} steps of gradient ascent from noise take {units.count(macs)}MACs.")
        st.button("Make it", key="atlas optimise", icon=":material/auto_awesome:", on_click=state.put,
                  args=("optimise", True))  # fmt: skip
        return
    seed: int = state.get("image_seed")
    key = (*session.reader_key, layer, channel, seed)

    def work(job: Job) -> OptimisedImage:
        return _optimised(key, session, layer, channel, seed, job)

    found = awaited("atlas optimised", key, "Making an image", work)
    if found is not None:
        _show(found, session.preprocessing, strongest)
    state.control(st.number_input, "image_seed", "Seed", min_value=0, max_value=2**31 - 1, step=1, width=130)


@st.cache_resource(max_entries=64, show_spinner=False)
def _optimised(key: Any, _session: Session, _layer: str, _channel: int, _seed: int, _job: Job) -> OptimisedImage:
    network = _session.load(_job.should_stop)
    settings = optimisation_settings(network.preprocessing, seed=_seed)
    (found,) = optimise_units(
        network.program, _layer, [(_channel, None)], settings,
        progress=lambda done, total, _left: _job.progress(done, total), cancel=_job.should_stop,
    )  # fmt: skip
    return found


def _show(found: OptimisedImage, preprocessing: Preprocessing, strongest: float) -> None:
    pixels = optimised_pixels(found, preprocessing)
    size = pixels.shape[0], pixels.shape[1]
    components.picture(
        raster.enlarge(pixels, raster.zoom_of(size)), f"The image made to excite channel {found.channel}",
        key="atlas optimised", at=raster.stretched((1, 1), size),
    )  # fmt: skip
    st.caption(
        f"From noise in {found.steps} steps of gradient ascent: activation {found.before:.3g} → {found.after:.3g}; the "
        f"strongest of the real pictures reaches {strongest:.3g}."
    )
