"""What a page is: one file in explorer/views that defines `VIEW = View(…)`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from explorer.ui.session import Session
from explorer.ui.settings import Setting


@dataclass(frozen=True)
class View:
    """One page: `render(session)` draws it; `settings` are the values that it keeps in the link."""

    name: str
    title: str
    icon: str
    order: int
    render: Callable[[Session], None]
    settings: tuple[Setting, ...] = ()
