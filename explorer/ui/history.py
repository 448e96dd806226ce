"""What can be undone and redone: states that follow each other, as plain values. No Streamlit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LONGEST = 200  # steps back; plain values are small


@dataclass(frozen=True)
class Edit:
    """What a person edits: the preset, the name of its weights, and the knobs that differ from it."""

    preset: str
    weights: str = ""
    knobs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class History:
    """The present state, those before it, oldest first, and those that were undone, the next one first."""

    present: Edit
    past: tuple[Edit, ...] = ()
    future: tuple[Edit, ...] = ()

    def record(self, edit: Edit) -> History:
        """The history after a change; what was undone before it is gone. No change is no step."""
        if edit == self.present:
            return self
        return History(edit, (*self.past, self.present)[-LONGEST:])

    def undo(self) -> History:
        """One step back, or itself where there is none."""
        if not self.past:
            return self
        return History(self.past[-1], self.past[:-1], (self.present, *self.future))

    def redo(self) -> History:
        """One step forward again, or itself where there is none."""
        if not self.future:
            return self
        return History(self.future[0], (*self.past, self.present), self.future[1:])


def step(before: Edit, after: Edit) -> str:
    """What leads from one state to the next, in a few words: "depths, widths" or "VGG-16 → ResNet-50"."""
    if before.preset != after.preset:
        return f"{before.preset} → {after.preset}"
    names = [
        name for name in dict.fromkeys((*before.knobs, *after.knobs)) if before.knobs.get(name) != after.knobs.get(name)
    ]
    if not names:
        return "weights"
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
