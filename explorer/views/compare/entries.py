"""The networks that the Compare view shows: those that are pinned, and the one that is edited."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from explorer.analysis.alignment import Alignment, align
from explorer.analysis.structure import Analysis
from explorer.errors import UserError
from explorer.networks.variants import Variant
from explorer.ui import pins, state
from explorer.ui.session import Session, of_variant

LETTERS = "ABCD"


@dataclass(frozen=True, eq=False)
class Candidate:
    """One network: its variant, and the session as if it were the chosen one.

    place: which pin it is; None where it is not pinned. is_edited: whether it is the network that is edited. error: why
    there is no network.
    """

    letter: str
    variant: Variant
    place: int | None
    is_edited: bool
    session: Session | None
    error: str | None = None

    @property
    def label(self) -> str:
        """Its letter and name, which no other has."""
        return f"{self.letter} · {self.variant.name}"

    @property
    def known(self) -> Session:
        """The session of a network that there is."""
        assert self.session is not None
        return self.session

    @property
    def analysis(self) -> Analysis:
        return self.known.analysis

    def says(self) -> str:
        """The preset, where the name is another, with what was changed, and its weights."""
        preset = "" if self.variant.name == self.variant.preset else self.variant.preset
        weights = self.session.source.title if self.session else ""
        seed = f", seed {self.variant.seed}" if self.session and self.session.has_seed else ""
        return " · ".join(part for part in (preset, self.variant.changes, f"{weights}{seed}") if part)


def current(session: Session) -> list[Candidate]:
    """The networks from left to right, the reference first; the one that is edited is last, or pinned itself.

    Where nothing is pinned, an edited network is compared with its preset.
    """
    own = pins.of_session(session, f"{session.preset}, edited" if state.knobs() else session.preset)
    kept: list[tuple[Variant, int | None]] = [(pin, place) for place, pin in enumerate(pins.pinned())]
    if not kept and state.knobs():
        kept = [(Variant(session.preset, session.preset), None)]
    found = [
        _entry(LETTERS[i], pin, place, session if _same(pin, own) else None) for i, (pin, place) in enumerate(kept)
    ]
    if not any(entry.is_edited for entry in found):
        found.append(Candidate(LETTERS[len(found)], own, None, True, session))
    return found


def _same(pin: Variant, own: Variant) -> bool:
    return (pin.preset, pin.weights, pin.seed) == (own.preset, own.weights, own.seed)


def _entry(letter: str, variant: Variant, place: int | None, edited: Session | None) -> Candidate:
    """edited: the network that is edited, where all but the knobs are those of this one."""
    is_edited = False
    try:
        session = of_variant(variant)
        is_edited = edited is not None and session.network.key == edited.network.key
        _ = session.analysis
    except UserError as error:
        return Candidate(letter, variant, place, is_edited, None, str(error))
    return Candidate(letter, variant, place, is_edited, session)


def alignment(reference: Candidate, other: Candidate) -> Alignment:
    """The layers of one network beside those of another."""
    return _alignment(reference.known.network.key, other.known.network.key, reference.analysis, other.analysis)


@st.cache_resource(max_entries=32, show_spinner=False)
def _alignment(left_key: str, right_key: str, _left: Analysis, _right: Analysis) -> Alignment:
    return align(_left.graph, _right.graph)


# -- the chosen layer, in each of them --------------------------------------------------------------------------------


def layers(found: list[Candidate], session: Session) -> dict[str, str | None]:
    """By letter, the layer that corresponds to the chosen one; None where there is none."""
    of_edited = session.layer
    looked_letter, _, looked = state.get("looked").partition(":")
    anchor = next((one for one in found if one.letter == looked_letter and looked in one.analysis.graph), None)
    if anchor is None:
        anchor, looked = next(one for one in found if one.is_edited), of_edited
    return {one.letter: across(found, anchor, looked, one) for one in found}


def across(found: list[Candidate], anchor: Candidate, layer: str, other: Candidate) -> str | None:
    """The layer of another network that corresponds to one of `anchor`, by way of the reference."""
    if anchor is other:
        return layer
    reference = found[0]
    in_reference = layer if anchor is reference else alignment(reference, anchor).swapped().right_of.get(layer)
    if in_reference is None or other is reference:
        return in_reference
    return alignment(reference, other).right_of.get(in_reference)


def choose(found: list[Candidate], entry: Candidate, layer: str) -> None:
    """Choose a layer of one of the networks: that of the edited one it corresponds to, for all views, where it does."""
    edited = next(one for one in found if one.is_edited)
    own = across(found, entry, layer, edited)
    if own is not None:
        for name, value in (("layer", own), ("channel", -1), ("row", -1), ("column", -1)):
            state.put(name, value)
    state.put("looked", "" if own is not None else f"{entry.letter}:{layer}")
