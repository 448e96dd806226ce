"""A picture's way into a network: as its weights expect it, but for what a person chose; and the same in words."""

from __future__ import annotations

from dataclasses import replace

from explorer.errors import UserError, in_percent
from explorer.images.preprocess import Preprocessing
from explorer.types import InputSize
from models.weights.expected_input import ExpectedInput, InputChoices, imagenet_normalisation

_RANGES = {(0.5, 0.5): "values from -1 to 1", (0.0, 1.0): "values from 0 to 1", (0.0, 1 / 255): "values from 0 to 255"}
_MARGIN = 0.005  # of a side: less is not worth a word


def fitted(given: ExpectedInput, size: InputSize, choices: InputChoices | None = None) -> Preprocessing:
    """What `given` and the choices make of pictures for an input of this size: the resized side grows with it.

    Mean and std become their average where the network reads another number of channels. Raises UserError that names
    the field.
    """
    channels, height, width = size
    if channels not in (1, 3):
        raise UserError(f"in_channels={channels}: a picture has 3 channels, or 1 in gray.")
    side = min(height, width)
    mean, std = (_for_channels(values, channels) for values in (given.mean, given.std))
    resize_px = round(side * given.resize_px / given.crop_px)
    order = given.channels if channels == 3 else "RGB"
    scaled = replace(given, resize_px=resize_px, crop_px=side, mean=mean, std=std, channels=order)
    found = (choices or InputChoices()).applied(scaled, "as chosen")
    return Preprocessing(
        found.resize_px, (height, width), found.mean, found.std, channels, found.interpolation, found.fit, found.origin,
        found.channels,
    )  # fmt: skip


def _for_channels(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    return values if len(values) == channels else (sum(values) / len(values),) * channels


def describe(found: Preprocessing) -> str:
    """The preprocessing in one line: "shorter side to 256 px, bilinear; centre 224×224; ImageNet mean and std"."""
    origin = [f"from: {found.origin}"] if found.origin else []
    order = ["channels blue, green, red"] if found.order == "BGR" else []
    return "; ".join([*_geometry(found), *order, _normalisation(found), *origin])


def _geometry(found: Preprocessing) -> list[str]:
    rows, columns = found.crop
    size = f"{rows}×{columns}"
    if found.fit == "pad":
        return [f"longer side to {found.resize_px} px, {found.interpolation}", f"padded with the mean colour to {size}"]
    scale = found.resize_px / min(found.crop)
    frame = f"{round(rows * scale)}×{round(columns * scale)}"
    if found.fit == "stretch":
        centre = [] if frame == size else [f"centre {size}"]
        return [f"stretched to {frame}, {found.interpolation}", *centre]
    return [f"shorter side to {found.resize_px} px, {found.interpolation}", f"centre {size}"]


def _normalisation(found: Preprocessing) -> str:
    step = -1 if found.order == "BGR" else 1
    if (found.mean[::step], found.std[::step]) == imagenet_normalisation(3):
        return "ImageNet mean and std"
    if (found.mean, found.std) == imagenet_normalisation(1):
        return "ImageNet mean and std, averaged over the colours"
    if len({*found.mean}) == len({*found.std}) == 1 and (named := _RANGES.get((found.mean[0], found.std[0]))):
        return named
    return f"mean {_numbers(found.mean)} and std {_numbers(found.std)}"


def _numbers(values: tuple[float, ...]) -> str:
    return f"{values[0]:.4g}" if len({*values}) == 1 else ", ".join(f"{value:.4g}" for value in values)


def unseen(found: Preprocessing, height: int, width: int) -> str | None:
    """One sentence that says what of a picture of this size the network does not see; None where it sees all."""
    left, top, right, bottom = found.unseen(height, width)
    across, down = (left + right) / 2, (top + bottom) / 2
    if max(across, down) < _MARGIN:
        return None
    left, top = in_percent(across), in_percent(down)
    parts = [f"{said} at {where}" for said, share, where in
             ((left, across, "left and right"), (top, down, "top and bottom")) if share >= _MARGIN]  # fmt: skip
    where = f"{left} at every side" if left == top else " and ".join(parts)
    return f"The network does not see the outer {where} of the picture."
