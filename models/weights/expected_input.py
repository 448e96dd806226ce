"""What weights expect of a picture, and what a person says of it: size, resizing, normalisation."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import Literal, get_args

from explorer.errors import UserError, shown

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
GRAY_MEAN, GRAY_STD = 0.449, 0.226  # the averages of ImageNet's three

FitName = Literal["crop", "stretch", "pad"]
FITS: tuple[FitName, ...] = get_args(FitName)
INTERPOLATIONS = ("bilinear", "bicubic", "lanczos", "nearest")
ChannelOrder = Literal["RGB", "BGR"]
CHANNEL_ORDERS: tuple[ChannelOrder, ...] = get_args(ChannelOrder)
RANGES = {"0..1": (0.0, 1.0), "0..255": (0.0, 255.0), "-1..1": (-1.0, 1.0)}
_KNOWN = {"fit": FITS, "interpolation": INTERPOLATIONS, "range": tuple(RANGES), "channels": CHANNEL_ORDERS}
LARGEST_PX, LARGEST_MEAN, LEAST_STD = 4096, 1e6, 1e-6


@dataclass(frozen=True)
class ExpectedInput:
    """A picture becomes `crop_px`² pixels, of which (x − mean) / std is taken, x in 0…1.

    fit, resize_px: "crop" scales the shorter side to `resize_px` and keeps the middle, "stretch" both sides, "pad" the
    longer one. interpolation: how pixels are resized, by torchvision's name for it. channels: in which order the
    colours come, as mean and std do. origin: who says so.
    """

    resize_px: int
    crop_px: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bilinear"
    fit: FitName = "crop"
    origin: str = field(default="", compare=False)
    channels: ChannelOrder = "RGB"


@dataclass(frozen=True)
class InputChoices:
    """What somebody says of a picture's way into the network; None where they say nothing.

    resize: px, see `ExpectedInput`. range: the values of black and white before mean and std, a name of RANGES. mean,
    std: one number for each channel, or one for all. channels: a name of CHANNEL_ORDERS, in which a picture's colours
    come, and mean and std where they are given; else those follow their colours. transform_input: whether the network
    turns ImageNet's normalisation into values from -1 to 1 itself, as torchvision's GoogLeNet and Inception v3 do with
    their weights. Raises UserError that names the field and its value.
    """

    resize: int | None = None
    fit: FitName | None = None
    interpolation: str | None = None
    range: str | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    channels: ChannelOrder | None = None
    transform_input: bool | None = None

    def __post_init__(self) -> None:
        named = (
            ("fit", FITS),
            ("interpolation", INTERPOLATIONS),
            ("range", tuple(RANGES)),
            ("channels", CHANNEL_ORDERS),
        )
        for name, known in named:
            if (value := getattr(self, name)) is not None and value not in known:
                raise UserError(f"{name}={shown(value)} is not one of {', '.join(known)}.")
        if self.resize is not None and not 1 <= self.resize <= LARGEST_PX:
            raise UserError(f"resize={self.resize} is not a number of pixels from 1 to {LARGEST_PX}.")
        if self.mean is not None and not all(abs(value) <= LARGEST_MEAN for value in self.mean):  # nor NaN
            raise UserError(f"mean={_said(self.mean)}: each must be a number within ±{LARGEST_MEAN:g}.")
        if self.std is not None and not all(LEAST_STD <= value < math.inf for value in self.std):
            raise UserError(f"std={_said(self.std)}: each must be a finite number of at least {LEAST_STD:g}.")
        if (self.mean is None) != (self.std is None):
            given, lacking = ("mean", "std") if self.std is None else ("std", "mean")
            raise UserError(f"{given}={_said(getattr(self, given))} needs {lacking} beside it.")

    @property
    def named(self) -> tuple[str, ...]:
        """The fields that something is said of."""
        return tuple(one.name for one in fields(self) if getattr(self, one.name) is not None)

    def applied(self, given: ExpectedInput, by: str) -> ExpectedInput:
        """`given` with these changes, and `by` behind them in the origin. Raises UserError where they do not fit."""
        if not self.named:
            return given
        fit = self.fit or given.fit
        resize_px = self.resize or (given.resize_px if fit == given.fit else given.crop_px)
        if fit == "pad" and resize_px > given.crop_px:
            raise UserError(f"resize={resize_px}: fit=pad leaves at most the {given.crop_px} px of the input.")
        if fit != "pad" and resize_px < given.crop_px:
            raise UserError(f"resize={resize_px}: fit={fit} needs at least the {given.crop_px} px of the input.")
        order = self.channels or given.channels
        if order != "RGB" and len(given.mean) == 1:
            raise UserError(f"channels={order} is of 3 channels, and the network has 1.")
        if order != given.channels:
            given = replace(given, mean=given.mean[::-1], std=given.std[::-1])
        mean, std = self._normalisation(given)
        origin = f"{', '.join(self.named)} {by}, else {given.origin}"
        how = self.interpolation or given.interpolation
        return ExpectedInput(resize_px, given.crop_px, mean, std, how, fit, origin, order)

    def _normalisation(self, given: ExpectedInput) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and std of values from 0 to 1, which is all that the rest of the program knows."""
        if self.mean is self.range is self.transform_input is None:
            return given.mean, given.std
        count = len(given.mean)
        if self.mean is not None and self.std is not None:
            mean, std = _each("mean", self.mean, count), _each("std", self.std, count)
            low, high = RANGES[self.range] if self.range else _likely_range(mean)
            mean, std = tuple((m - low) / (high - low) for m in mean), tuple(s / (high - low) for s in std)
        elif self.range:
            low, high = RANGES[self.range]
            mean, std = (-low / (high - low),) * count, (1 / (high - low),) * count
        else:
            mean, std = imagenet_normalisation(count)
        return _transformed(mean, std) if self.transform_input else (mean, std)


def imagenet_normalisation(channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """ImageNet's mean and std for RGB, and their average for other channels."""
    if channels == 3:
        return IMAGENET_MEAN, IMAGENET_STD
    return (GRAY_MEAN,) * channels, (GRAY_STD,) * channels


def _said(values: tuple[float, ...]) -> str:
    """Numbers as a person writes them."""
    text = ", ".join(f"{value:g}" for value in values)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _each(name: str, values: tuple[float, ...], count: int) -> tuple[float, ...]:
    if len(values) not in (1, count):
        raise UserError(f"{name}={_said(values)} has {len(values)} numbers, and the network {count} channels.")
    return values if len(values) == count else values * count


def _likely_range(mean: tuple[float, ...]) -> tuple[float, float]:
    """A mean above 2 can only be one of values from 0 to 255."""
    return RANGES["0..255" if max(mean) > 2 else "0..1"]


def _transformed(mean: tuple[float, ...], std: tuple[float, ...]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """What x → x · (s / 0.5) + (m − 0.5) / 0.5 after a normalisation amounts to, m and s ImageNet's."""
    if len(mean) != 3:
        raise UserError(f"transform_input=True is of 3 channels, and the network has {len(mean)}.")
    widths = tuple(s * 0.5 / own for s, own in zip(std, IMAGENET_STD, strict=True))
    shifts = [(own - 0.5) / 0.5 for own in IMAGENET_MEAN]
    return tuple(m - shift * width for m, shift, width in zip(mean, shifts, widths, strict=True)), widths
