"""A network that a person keeps while they go on editing: a preset with what was changed in it, as short text."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

import models
from explorer.errors import UserError
from explorer.networks.knob_text import LONGEST_NESTED, decode_knob, encode_knob, plain, shorten
from explorer.networks.libraries import LIBRARIES, why_unknown
from models.errors import SpecError
from models.spec import NetSpec

LONGEST_PIN_NAME = 40
HIGHEST_SEED = 2**31 - 1
SHORT = 200  # characters up to which a text stays readable
_BETWEEN, _PACKED = "!", "!"  # between the parts; before a text that is packed, which else begins with a preset's name
_NAME, _SEED, _WEIGHTS, _KNOB = "n", "s", "w", "k."


@dataclass(frozen=True)
class Variant:
    """What makes a network: a preset, the knobs that differ from it as plain values, its weights and their seed.

    preset: or the name of a network that is none, as torchvision:resnet18, which has no knobs. weights: the name of a
    source, "" for the best that the preset has.
    """

    name: str
    preset: str
    knobs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    weights: str = ""
    seed: int = 0

    @property
    def spec(self) -> NetSpec:
        """The Spec of the preset with these knobs. Raises SpecError, UnknownNameError."""
        base = models.preset(self.preset).spec
        return type(base).parse({**plain(base), **self.knobs})

    @property
    def changes(self) -> str:
        """What differs from the preset: `depths=3,4,7,3, width=32`; empty where nothing does."""
        return ", ".join(f"{name}={encode_knob(value)}" for name, value in self.knobs.items())


def encode_variant(variant: Variant) -> str:
    """A variant as a link says it: `resnet50!n=wide!k.width=128`; packed where that would be long."""
    parts = {
        _NAME: variant.name if variant.name != variant.preset else "",
        _SEED: str(variant.seed) if variant.seed else "",
        _WEIGHTS: variant.weights,
        **{_KNOB + name: encode_knob(value) for name, value in variant.knobs.items()},
    }
    said = (f"{name}={quote(value, safe=',')}" for name, value in parts.items() if value or name.startswith(_KNOB))
    text = _BETWEEN.join((quote(variant.preset, safe=""), *said))
    if len(text) <= SHORT:
        return text
    return _PACKED + base64.urlsafe_b64encode(zlib.compress(text.encode(), 9)).decode().rstrip("=")


def decode_variant(text: str) -> Variant:
    """The variant that such a text says. Raises UserError with half a sentence that says why there is none."""
    preset, *parts = (_unpacked(text) if text.startswith(_PACKED) else text).split(_BETWEEN)
    preset = unquote(preset)
    if preset not in models.presets() and ":" not in preset:
        raise UserError(f"names the preset {shorten(preset)}, which is not here")
    values = {name: unquote(value) for name, _, value in (part.partition("=") for part in parts)}
    unknown = [name for name in values if name not in (_NAME, _SEED, _WEIGHTS) and not name.startswith(_KNOB)]
    if unknown:
        raise UserError(f"holds {shorten(unknown[0])}, which says nothing here")
    name = "".join(filter(str.isprintable, values.get(_NAME, "")))[:LONGEST_PIN_NAME].strip()
    return _checked(
        Variant(name or preset, preset, _knobs(preset, values), values.get(_WEIGHTS, ""), _seed(values.get(_SEED, "0")))
    )


def _unpacked(text: str) -> str:
    try:
        packed = base64.urlsafe_b64decode(text[len(_PACKED) :] + "===")
        unpacker = zlib.decompressobj()
        found = unpacker.decompress(packed, 4 * LONGEST_NESTED).decode()
    except (binascii.Error, ValueError, zlib.error):
        raise UserError("is damaged") from None
    if not unpacker.eof:
        raise UserError("is damaged")
    return found


def _knobs(preset: str, values: Mapping[str, str]) -> dict[str, Any]:
    if preset not in models.presets():
        if given := next((name for name in values if name.startswith(_KNOB)), None):
            raise UserError(f"holds {shorten(given)}, and {shorten(preset)} has no knobs")
        return {}
    base = models.preset(preset).spec
    own = plain(base)
    try:
        found = {
            name.removeprefix(_KNOB): decode_knob(type(base), name.removeprefix(_KNOB), value)
            for name, value in values.items()
            if name.startswith(_KNOB)
        }
    except SpecError as error:
        raise UserError(f"does not fit {preset}: {str(error).rstrip('.')}") from None
    return {name: value for name, value in found.items() if value != own[name]}


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 11 and int(text) <= HIGHEST_SEED):
        raise UserError(f"has the seed {shorten(text)}, which is no whole number from 0 to {HIGHEST_SEED}")
    return int(text)


def _checked(variant: Variant) -> Variant:
    if variant.preset not in models.presets():
        is_of_library = variant.preset.partition(":")[0] in LIBRARIES
        if is_of_library and (why := why_unknown(variant.preset)):
            raise UserError(f"names {shorten(variant.preset)}, which {why}")
        return variant  # what else is opened in a page is not known here
    try:
        _ = variant.spec
    except SpecError as error:
        raise UserError(f"makes no network of {variant.preset}: {str(error).rstrip('.')}") from None
    return variant
