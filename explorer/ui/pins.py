"""Networks that a person keeps beside the one that they edit: up to three, with names, in the link.

Each is a setting of its own, so that a damaged one takes no other with it.
"""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from explorer.networks.variants import LONGEST_PIN_NAME, Variant, decode_variant, encode_variant
from explorer.ui import state, weights
from explorer.ui.history import Edit
from explorer.ui.session import Session
from explorer.ui.settings import LONGEST, Setting

MOST_PINS = 3
SETTINGS = tuple(
    Setting(f"pin{place}", "", check=decode_variant, instead="no network") for place in range(1, MOST_PINS + 1)
)


def pinned() -> list[Variant]:
    """The networks that are kept, the reference first."""
    return [decode_variant(text) for setting in SETTINGS if (text := state.get(setting.name))]


def of_session(session: Session, name: str = "") -> Variant:
    """The network that is edited, under a name; without one, that of its preset, numbered where it is taken."""
    wanted = state.get("weights")
    return Variant(
        name or _free(session.preset), session.preset, dict(state.knobs()),
        weights.pinned_file() if wanted == weights.FILE else wanted, session.seed,
    )  # fmt: skip


def _free(name: str) -> str:
    taken = {pin.name for pin in pinned()}
    return next(new for i in range(1, MOST_PINS + 2) if (new := name if i == 1 else f"{name} ({i})") not in taken)


def is_pinned(session: Session) -> bool:
    """Whether the network that is edited is kept already, whatever its name."""
    own = of_session(session)
    return any(replace(pin, name=own.name) == own for pin in pinned())


def why_not(session: Session) -> str | None:
    """Why the network that is edited cannot be kept; None where it can."""
    if session.spec_error:
        return "These knobs make no network."
    if is_pinned(session):
        return "It is pinned already."
    if len(pinned()) == MOST_PINS:
        return f"{MOST_PINS} networks are pinned: remove one in the view Compare first."
    if len(encode_variant(of_session(session))) > LONGEST:
        return "It has too many changes for a link to keep."
    return None


def button(session: Session) -> None:
    """Keeps the network that is edited."""
    reason = why_not(session)
    st.button("Pin", key="pin", icon=":material/keep:", type="tertiary", disabled=reason is not None, on_click=add,
              args=(of_session(session),),
              help=reason or "Keep this network to compare it with what you make of it.")  # fmt: skip


# -- what a person does -----------------------------------------------------------------------------------------------


def add(variant: Variant) -> None:
    """Keep one more network, if there is a place."""
    _put([*pinned(), variant][:MOST_PINS])


def add_preset(preset: str) -> None:
    """Keep a preset as it is."""
    add(Variant(_free(preset), preset))


def remove(place: int) -> None:
    """Keep one no longer; those behind it move up."""
    _put([pin for i, pin in enumerate(pinned()) if i != place])


def rename(place: int, name: str) -> None:
    """Give one another name; the preset's where it is empty."""
    pins = pinned()
    shown = "".join(filter(str.isprintable, name))[:LONGEST_PIN_NAME].strip()
    pins[place] = replace(pins[place], name=shown or pins[place].preset)
    _put(pins)


def to_front(place: int) -> None:
    """Make one the reference that the others are compared with."""
    pins = pinned()
    _put([pins[place], *pins[:place], *pins[place + 1 :]])


def take_up(place: int) -> None:
    """Edit one from now on; it stays pinned as it is."""
    pin = pinned()[place]
    wanted = weights.FILE if pin.weights and pin.weights == weights.pinned_file() else pin.weights
    is_gone = wanted.startswith(f"{weights.FILE}:")
    state.take_up(Edit(pin.preset, "" if is_gone else wanted, pin.knobs), pin.seed)


def _put(pins: list[Variant]) -> None:
    texts = [*map(encode_variant, pins), *[""] * MOST_PINS]
    for setting, text in zip(SETTINGS, texts, strict=False):
        state.put(setting.name, text)
