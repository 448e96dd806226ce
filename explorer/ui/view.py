"""What a page is: one file in explorer/views that defines `VIEW = View(…)`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from explorer.networks.script import PageQuestion
from explorer.ui.session import Session
from explorer.ui.settings import KnobSet, Setting


@dataclass(frozen=True)
class View:
    """One page: `render(session)` draws it; `settings` and `knobs` are the values that it keeps in the link.

    of_network: whether it shows the network of the sidebar. question: what it asks of network and picture, where that
    can be taken away as a script.
    """

    name: str
    title: str
    icon: str
    order: int
    render: Callable[[Session], None]
    settings: tuple[Setting, ...] = ()
    knobs: tuple[KnobSet, ...] = ()
    of_network: bool = True
    question: Callable[[Session], PageQuestion] | None = None
