"""What the header of a person's weight file says in free text: classes, picture size, preprocessing; and what of it is
passed over."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from explorer.errors import UserError, shown
from models.errors import WeightsError
from models.weights.class_names import LONGEST_CLASS, MOST_CLASSES, clean_name, names_in
from models.weights.expected_input import ExpectedInput, InputChoices
from models.weights.safetensors_file import read_header

_KEYS = ("resize", "fit", "interpolation", "range", "mean", "std", "channels", "transform_input")


@dataclass(frozen=True)
class Header:
    """What a file says of itself: shapes of its tensors, classes, input size in px, preprocessing; notes: one sentence
    for each entry that is passed over or changed.

    read_from: the keys that led to the tensors in the checkpoint that this was, and those of others beside it.
    architecture: what that checkpoint called its network.
    """

    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict, repr=False)
    classes: tuple[str, ...] | None = None
    image_size: int | None = None
    choices: InputChoices = InputChoices()
    notes: tuple[str, ...] = ()
    read_from: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    architecture: str = ""

    def described(self, usual: ExpectedInput) -> tuple[ExpectedInput, tuple[str, ...]]:
        """The preprocessing, `usual` where the header says nothing; and all notes, with one on what does not fit."""
        size, notes = self.image_size, self.notes
        if size is not None and size != usual.crop_px:
            origin = f"image_size in the file, else {usual.origin}"
            usual = replace(usual, resize_px=size, crop_px=size, origin=origin)
        try:
            return self.choices.applied(usual, "in the file"), notes
        except UserError as error:
            return usual, (*notes, f"The header's preprocessing is ignored: {error}")


def read(name: str, content: bytes | Path) -> Header:
    """The header of a safetensors file, uploaded (bytes) or on disk. Raises WeightsError that names the file."""
    try:
        if isinstance(content, bytes):
            raw = read_header(io.BytesIO(content), len(content), name)
        else:
            with content.open("rb") as handle:
                raw = read_header(handle, content.stat().st_size, name)
    except OSError as error:
        raise WeightsError(f"{name} cannot be read: {error.strerror or error}.") from None
    metadata = raw.pop("__metadata__", {})
    shapes = {key: tuple(shape) for key, entry in raw.items() if (shape := _shape(entry)) is not None}
    return header_of(metadata if isinstance(metadata, dict) else {}, shapes)


def header_of(texts: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]] | None = None) -> Header:
    """What the entries of a file say, by name, each a text; what is not understood becomes a note."""
    notes: list[str] = []
    classes, size = _classes(texts.get("classes"), notes), _image_size(texts.get("image_size"), notes)
    return Header(
        shapes or {}, classes, size, _choices(texts, notes),
        tuple(notes), _keys(texts.get("read_from")), _architecture(texts.get("architecture")),
    )  # fmt: skip


def _keys(text: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    match _json(text):
        case [[*path], [*others]] if all(isinstance(key, str) for key in (*path, *others)):
            return tuple(path), tuple(others)
    return (), ()


def _architecture(text: Any) -> str:
    return text if isinstance(text, str) else ""


def _shape(entry: Any) -> list[int] | None:
    match entry:
        case {"shape": [*sides]} if all(type(side) is int for side in sides):
            return sides
    return None


def _json(text: Any) -> Any:
    """A value read as JSON, or the text itself where it is none."""
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return text


# -- classes ----------------------------------------------------------------------------------------------------------


def _classes(text: Any, notes: list[str]) -> tuple[str, ...] | None:
    if text is None:
        return None
    names = names_in(_json(text))
    if names is None or not 0 < len(names) <= MOST_CLASSES:
        what = "is not a list of names" if names is None else f"has {len(names):,} names"
        notes.append(f"The header's classes={shown(text)} {what}, so numbers are shown.")
        return None
    clean = tuple(map(clean_name, names))
    changed = [i for i, (old, new) in enumerate(zip(names, clean, strict=True)) if old != new]
    if changed:
        more = f" and {len(changed) - 1:,} more" if len(changed) > 1 else ""
        notes.append(
            f"classes[{changed[0]}]{more} of the header: characters that cannot be shown are replaced, and names cut "
            f"after {LONGEST_CLASS} characters."
        )
    return clean


# -- preprocessing ----------------------------------------------------------------------------------------------------


def _image_size(text: Any, notes: list[str]) -> int | None:
    if text is None:
        return None
    size = _json(text)
    if type(size) is int and 8 <= size <= 1024:
        return size
    notes.append(f"The header's image_size={shown(text)} is ignored: it is not a number of pixels from 8 to 1024.")
    return None


def _choices(texts: Mapping[str, Any], notes: list[str]) -> InputChoices:
    found: dict[str, Any] = {}
    for key in _KEYS:
        if key in texts:
            try:
                found[key] = _READERS.get(key, str)(_json(texts[key]))
            except (TypeError, ValueError):
                notes.append(f"The header's {key}={shown(texts[key])} is ignored: it is not {_WANTED[key]}.")
    return _agreeing(found, notes)


def _agreeing(found: dict[str, Any], notes: list[str]) -> InputChoices:
    """The choices but for those that are refused, each with its reason; mean and std go together."""
    good: dict[str, Any] = {}
    for keys in (
        ("resize",),
        ("fit",),
        ("interpolation",),
        ("range",),
        ("mean", "std"),
        ("channels",),
        ("transform_input",),
    ):
        part = {key: found[key] for key in keys if key in found}
        try:
            InputChoices(**part)
            good |= part
        except UserError as error:
            notes.append(f"Ignored in the header: {error}")
    return InputChoices(**good)


def numbers(value: Any) -> tuple[float, ...]:
    """One number or several, as a list or as text with commas. Raises ValueError."""
    if isinstance(value, str):
        value = [float(part) for part in value.strip("()[] ").split(",")]
    values = value if isinstance(value, list) else [value]
    if not 1 <= len(values) <= 16 or not all(type(one) in (int, float) for one in values):
        raise ValueError
    try:
        return tuple(float(one) for one in values)
    except OverflowError:
        raise ValueError from None


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise ValueError
    return value


def _truth(value: Any) -> bool:
    if value in (True, "True", "yes"):
        return True
    if value in (False, "False", "no"):
        return False
    raise ValueError


_READERS: dict[str, Callable[[Any], Any]] = {
    "resize": _whole, "mean": numbers, "std": numbers, "transform_input": _truth
}  # fmt: skip
_WANTED = {
    "resize": "a whole number", "mean": "a number, or one for each channel", "std": "a number, or one for each channel",
    "transform_input": "true or false", "fit": "a text", "interpolation": "a text", "range": "a text",
    "channels": "a text",
}  # fmt: skip
