"""What a person says in Python of a picture's way into their network: settings, or transforms of torchvision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from explorer.analysis.inputs import preprocessing_of
from explorer.errors import UserError, shown
from explorer.types import InputSize
from models.weights.expected_input import ExpectedInput, InputChoices, imagenet_normalisation

_IGNORED = frozenset(("ToTensor", "PILToTensor", "ToImage", "ToPILImage", "ToDtype", "ConvertImageDtype", "RGB"))
_CHOICES = ("resize", "fit", "interpolation", "range", "mean", "std", "channels", "transform_input")
_BY = "given to explorer.open"


def expected_input(module: Any, size: InputSize, given: Any = None) -> ExpectedInput:
    """What pictures become for a module that reads images of this size.

    given: a mapping with any of resize, fit, interpolation, range, mean, std, channels; the transforms that
    torchvision's weights name, or a Compose of Resize, CenterCrop and Normalize; by default what timm's networks say of
    themselves, else the whole picture with ImageNet's mean and deviation. Raises UserError that names the field and its
    value.
    """
    usual = _usual(module, size)
    if given is None:
        return usual
    if isinstance(given, Mapping):
        unknown = [name for name in given if name not in _CHOICES]
        if unknown:
            raise UserError(f"preprocessing: {shown(unknown[0])} is not one of {', '.join(_CHOICES)}.")
        choices = InputChoices(**{name: _numbers(value) for name, value in given.items()})
    else:
        choices = _of_transforms(given)
    return choices.applied(usual, _BY)


def _usual(module: Any, size: InputSize) -> ExpectedInput:
    channels, side = size[0], min(size[1:])
    if isinstance(getattr(module, "pretrained_cfg", None), dict):
        says = preprocessing_of(module)
        resize_px = round(side * says.resize_px / min(says.crop))
        return ExpectedInput(resize_px, side, says.mean, says.std, says.interpolation, origin="what timm says of it")
    origin = "the usual, as nothing else was said"
    return ExpectedInput(side, side, *imagenet_normalisation(channels), origin=origin)


def _numbers(value: Any) -> Any:
    return tuple(float(one) for one in value) if isinstance(value, list | tuple) else value


def _of_transforms(given: Any) -> InputChoices:
    """Of a preset of torchvision's weights, or of a Compose."""
    if hasattr(given, "resize_size") and hasattr(given, "mean"):
        how = _named(given.interpolation)
        return InputChoices(given.resize_size[0], None, how, mean=tuple(given.mean), std=tuple(given.std))
    choices = InputChoices()
    for step in getattr(given, "transforms", [given]):
        choices = _with(choices, step)
    return choices


def _with(choices: InputChoices, step: Any) -> InputChoices:
    kind = type(step).__name__
    if kind == "Normalize":
        return replace(choices, mean=tuple(step.mean), std=tuple(step.std))
    if kind == "Resize":
        sides = step.size if isinstance(step.size, list | tuple) else [step.size]
        fit = "stretch" if len(sides) == 2 else "crop"
        return replace(choices, resize=min(sides), fit=fit, interpolation=_named(step.interpolation))
    if kind == "CenterCrop" or kind in _IGNORED:
        return choices  # what is cut out is of the size of the network's input
    raise UserError(f"preprocessing: {kind} is not known here; Resize, CenterCrop and Normalize are, or a mapping.")


def _named(interpolation: Any) -> str:
    """torchvision has its names as texts, or as members of an enumeration."""
    return getattr(interpolation, "value", interpolation)
