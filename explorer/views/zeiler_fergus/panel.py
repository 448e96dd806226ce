"""What a panel is: one file in explorer/views/zeiler_fergus/panels that defines `PANEL = Panel(…)`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from explorer.ui.session import Session
from explorer.ui.settings import Setting


@dataclass(frozen=True)
class Panel:
    """One figure of the paper: `render(session)` draws it on the network at hand.

    figure: where it stands in the paper, as "figure 4". found: one sentence on what the paper found there. settings:
    the values that it keeps in the link. of_network: whether it shows the network at hand.
    """

    name: str
    title: str
    figure: str
    order: int
    found: str
    render: Callable[[Session], None]
    settings: tuple[Setting, ...] = ()
    of_network: bool = True
