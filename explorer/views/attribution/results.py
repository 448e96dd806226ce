"""Attributions on the page: each over the picture on one scale, their curves, and a table of what judges them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from explorer.analysis.attribution import Attribution
from explorer.analysis.attribution_metrics import PixelCurve, share_on_mask
from explorer.analysis.attribution_settings import WITHOUT_SIGN, AttributionMethod
from explorer.errors import UserError
from explorer.figures import attribution as figures
from explorer.figures import prediction
from explorer.images import codec
from explorer.training import dataset
from explorer.ui import pictures, state
from explorer.ui.chart import chart
from explorer.ui.markdown import markdown_safe
from explorer.ui.session import Session

METHOD_TITLES: dict[AttributionMethod, str] = {
    "occlusion": "Occlusion", "deconvnet": "Deconvnet", "guided": "Guided backpropagation", "saliency": "Saliency",
    "input_x_gradient": "Input × gradient", "integrated_gradients": "Integrated gradients",
    "smoothgrad": "SmoothGrad", "gradcam": "Grad-CAM", "layercam": "Layer-CAM", "deeplift": "DeepLift",
    "gradient_shap": "GradientShap",
}  # fmt: skip
SAYS: dict[AttributionMethod, str] = {
    "occlusion": "the probability that a square costs, as the mean over the squares on a pixel",
    "deconvnet": "the score led back: unpooled by switches, rectified, filtered with the transposed kernels",
    "guided": "the positive part of the gradient at each activation",
    "saliency": "the gradient of the score",
    "input_x_gradient": "the gradient times the pixel",
    "integrated_gradients": "the mean gradient on the way from the fill to the picture, times the way",
    "smoothgrad": "the mean gradient under noise",
    "gradcam": "a layer's maps, weighted by the mean gradient of each",
    "layercam": "a layer's maps, weighted by the positive gradient at each place",
    "deeplift": "each value's contribution to the difference from the fill",
    "gradient_shap": "gradients under noise, on the ways from three fills",
}


@dataclass(frozen=True, eq=False)
class Judged:
    """One method on the picture: what it gave and what judges that, or the sentence why it gave nothing."""

    method: AttributionMethod
    refused: str = ""
    found: Attribution | None = None
    deletion: PixelCurve | None = None
    insertion: PixelCurve | None = None
    infidelity: float | None = None
    sensitivity: float | None = None


def draw(session: Session, judged: Sequence[Judged]) -> None:
    """The maps so far, side by side."""
    with st.grid(min_column_width=230, gap="medium"):
        for each in judged:
            with st.container():
                _card(session, each)


def _card(session: Session, each: Judged) -> None:
    st.markdown(f"**{METHOD_TITLES[each.method]}**", help=f"{SAYS[each.method][0].upper()}{SAYS[each.method][1:]}.")
    if each.found is None:
        st.info(markdown_safe(each.refused), icon=":material/block:")
        return
    shown = figures.over_picture(session.view, each.found.map, figures.strength(each.found.map))
    st.image(shown, width="stretch", alt=f"{METHOD_TITLES[each.method]}: {SAYS[each.method]}")
    words = [f"weighs {each.found.layer}"] if each.found.layer else []
    words += ["no sign"] if each.method in WITHOUT_SIGN else []
    if each.deletion is not None and each.insertion is not None:
        words.append(f"deletion {each.deletion.area:.2f}, insertion {each.insertion.area:.2f}")
    st.caption(markdown_safe(" · ".join(words)))


def legend() -> None:
    """What the colours mean."""
    st.caption(
        ":orange[■] for the class, :violet[■] against it; the stronger, the less of the picture is left. Each map has "
        "its full colour at its own greatest magnitude (the 99.5th percentile), as the methods' units differ."
    )


def compared(session: Session, judged: Sequence[Judged]) -> None:
    """The curves of all methods, and the table."""
    done = [each for each in judged if each.found is not None]
    if not done:
        return
    st.subheader("Which one the network agrees with", anchor=False)
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**Deletion**: what matters most goes first. Low is good.")
        _curves({METHOD_TITLES[each.method]: each.deletion for each in done}, "pixels taken away")
    with right:
        st.markdown("**Insertion**: it comes back first, from a blur. High is good.")
        _curves({METHOD_TITLES[each.method]: each.insertion for each in done}, "pixels brought back")
    _table(session, done)


def _curves(by_name: dict[str, PixelCurve | None], title: str) -> None:
    lines = {name: (curve.shares, curve.probabilities) for name, curve in by_name.items() if curve is not None}
    chart(figures.curves(lines, title), title)


def _table(session: Session, done: Sequence[Judged]) -> None:
    mask = object_mask(session)
    rows = [
        {
            "Method": METHOD_TITLES[each.method],
            "Deletion": each.deletion and each.deletion.area,
            "Insertion": each.insertion and each.insertion.area,
            "Infidelity": each.infidelity,
            **({} if each.sensitivity is None else {"Sensitivity": each.sensitivity}),
            **({} if mask is None or each.found is None else {"On the object": share_on_mask(each.found.map, mask)}),
        }
        for each in done
    ]
    st.dataframe(rows, hide_index=True, height="content", column_config=_COLUMNS)
    if mask is not None:
        st.caption(f"The object covers {prediction.percent(float(mask.mean()))} of what the network sees.")
    with st.container(horizontal=True):
        for each in done:
            assert each.found is not None
            values = each.found.map
            label, name = f"{METHOD_TITLES[each.method]} (NPY)", f"{each.method}.npy"
            st.download_button(label, lambda values=values: codec.encode_npy(values), name, on_click="ignore",
                               icon=":material/download:")  # fmt: skip


_COLUMNS = {
    "Deletion": st.column_config.NumberColumn(format="%.3f", help="Mean probability while pixels go: low is good."),
    "Insertion": st.column_config.NumberColumn(format="%.3f", help="Mean probability while they come: high is good."),
    "Infidelity": st.column_config.NumberColumn(
        format="%.2f", help="How little the map tells of what hiding squares does: 0 tells all, 1 nothing."
    ),
    "Sensitivity": st.column_config.NumberColumn(
        format="%.2f", help="The most that the map changes under small noise, as a share of it: low is steady."
    ),
    "On the object": st.column_config.NumberColumn(
        format="percent", help="Share of the map's positive part that lies on the drawn object."
    ),
}


def object_mask(session: Session) -> np.ndarray | None:
    """Where the object of a sample picture is, as the network sees it: bool [H, W]; None for other pictures."""
    if state.get("image") in pictures.OWN or pictures.sample() not in dataset.SAMPLE_INDICES:
        return None
    try:
        drawn = dataset.sample(pictures.sample()).mask
        seen = session.preprocessing.view(np.repeat(drawn[..., None].astype(np.uint8) * 255, 3, -1))
    except UserError:
        return None
    return seen[..., 0] > 127
