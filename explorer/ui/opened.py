"""Networks that are no presets: those of torchvision and timm by name, and those that a person opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import streamlit as st

from explorer.errors import UnknownNameError, UserError
from explorer.networks import catalog, libraries, live
from explorer.networks.catalog import Network

IN_FILE = "file:"  # before the name of one that came as a file
_KEPT, _REFUSED = "opened networks", "refused network"


def named(name: str, seed: int = 0, options: Mapping[str, Any] | None = None) -> Network:
    """The network of that name, which is no preset; options: what the builder of a library's is told.

    What a person opened is, for a page, as it was when the page first looked at it. Raises UnknownNameError, UserError.
    """
    if name in _kept():
        return _kept()[name]
    opened = live.current()
    if opened is not None and opened.name == name:
        keep(opened.network())
        return _kept()[name]
    if name.partition(":")[0] in libraries.LIBRARIES:
        return catalog.find(name, seed=seed, options=options)
    raise UnknownNameError(f"{name} is not open here any more.")


def keep(network: Network) -> None:
    """Have this page find a network by its name: one that is opened in it, which no link can hold."""
    _kept()[network.name] = network


def take_file(data: bytes | None, name: str) -> str | None:
    """Open an uploaded file in this page: its network's name; or None, and the sentence that refuses it is kept."""
    st.session_state[_REFUSED] = None
    if data is None:
        return None
    try:
        network = catalog.network_in_file(name, data)
    except UserError as error:
        st.session_state[_REFUSED] = str(error)
        return None
    keep(replace(network, name=IN_FILE + name))
    return IN_FILE + name


def refusal() -> str | None:
    """Why the file that was uploaded last could not be opened; None where it could."""
    return st.session_state.get(_REFUSED)


def look_again(name: str) -> None:
    """Take what a person opened as it is now."""
    _kept().pop(name, None)


def _kept() -> dict[str, Network]:
    return st.session_state.setdefault(_KEPT, {})


def check_name(name: str) -> None:
    """Refuse a name of a link that stands for no network here. Raises UserError with half a sentence."""
    if name in _own_names():
        return
    if name.startswith(live.LIVE):
        raise UserError("is not open in this process")
    if why := libraries.why_unknown(name):
        raise UserError(why)


def _own_names() -> list[str]:
    opened = live.current()
    return [*dict.fromkeys([*([opened.name] if opened else []), *_kept()])]


# -- in words ---------------------------------------------------------------------------------------------------------


def titles() -> dict[str, str]:
    """How a list of networks calls each of them, by name: first what was opened."""
    return {name: title(name) for name in _own_names()}


@cache
def library_titles() -> dict[str, str]:
    """The same of all networks of torchvision and timm."""
    return {name: _with_task(name) for name in libraries.library_names()}


def _with_task(name: str) -> str:
    task = libraries.library_task(name)
    return title(name) + ("" if task == "classification" else f", {task}")


def title(name: str) -> str:
    """What a network is called above the page."""
    return name.replace(":", " · ", 1)


def summary(network: Network) -> str:
    """What a network is, in a sentence or two."""
    library, _, _ = network.name.partition(":")
    size = "×".join(map(str, network.input_size))
    if network.own_weights is not None:
        return f"Your own, on images of {size}."
    return f"Of {library}, for {libraries.library_task(network.name)}, on images of {size}. It has no knobs here."
