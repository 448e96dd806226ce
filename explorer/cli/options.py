"""Options that several commands share, and the readers of their values."""

from __future__ import annotations

import argparse

from explorer.errors import UserError
from explorer.networks.knob_text import shorten
from explorer.run.device import parse_bytes
from models.weights.expected_input import CHANNEL_ORDERS, FITS, INTERPOLATIONS, RANGES
from models.weights.header import numbers


def add_knobs(parser: argparse.ArgumentParser) -> None:
    """Changed knobs, one --set each."""
    parser.add_argument("--set", action="append", default=[], dest="knobs", type=knob, metavar="KNOB=VALUE")


def add_network(parser: argparse.ArgumentParser) -> None:
    """A network whose structure is asked for."""
    parser.add_argument("name", help="a preset, block:NAME, torchvision:NAME or timm:NAME")
    add_knobs(parser)
    parser.add_argument("--input", type=input_size, dest="input_size", metavar="CxHxW")
    parser.add_argument("--json", action="store_true", dest="as_json")


def add_picture(parser: argparse.ArgumentParser, *, is_needed: bool = True) -> argparse.ArgumentParser:
    """A network with weights and a picture that it reads; returns the parser."""
    add_loaded(parser)
    parser.add_argument("image", nargs=None if is_needed else "?",
                        help="a picture file, or the name of a sample (cat, car, …)")  # fmt: skip
    return parser


def add_loaded(parser: argparse.ArgumentParser) -> None:
    """A network with weights that reads pictures."""
    parser.add_argument("name", help="a preset, torchvision:NAME or timm:NAME")
    add_knobs(parser)
    add_weights(parser)
    add_preprocessing(parser)


def add_weights(parser: argparse.ArgumentParser) -> None:
    """Which weights, and what is said of them."""
    parser.add_argument("--weights", help="shipped, random, an ImageNet entry, or a file: .safetensors, .pth, .ckpt …")
    parser.add_argument("--classes", metavar="FILE", help="names of the classes: one a line, a CSV, or JSON")
    parser.add_argument("--partial", action="store_true", help="take what fits of a file of weights")
    parser.add_argument("--seed", type=whole, default=0)
    parser.add_argument("--device")


def add_output(parser: argparse.ArgumentParser) -> None:
    """What the values of the network mean."""
    parser.add_argument(
        "--output", choices=("softmax", "sigmoid", "probabilities", "logits"),
        help="how the network's values become probabilities (default: found out from its end)",
    )  # fmt: skip


def add_preprocessing(parser: argparse.ArgumentParser) -> None:
    """How a picture is prepared, where that is not as the weights expect it."""
    group = parser.add_argument_group("preprocessing (default: what the weights expect)")
    group.add_argument("--resize", type=whole, help="the side that the picture is scaled to first, px")
    group.add_argument("--fit", choices=FITS, help="cut out the centre, stretch, or pad")
    group.add_argument("--interpolation", choices=INTERPOLATIONS)
    group.add_argument("--range", choices=tuple(RANGES), help="values of black and white (write --range=-1..1)")
    group.add_argument("--channels", choices=CHANNEL_ORDERS, help="in which order the colours come, as in mean and std")
    group.add_argument("--mean", type=floats, metavar="R,G,B", help="subtracted from these values")
    group.add_argument("--std", type=floats, metavar="R,G,B", help="what they are then divided by")


def floats(text: str) -> tuple[float, ...]:
    """Numbers with commas between. Raises ArgumentTypeError, as all that follow."""
    try:
        return numbers(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{shorten(text)} is not numbers with commas between.") from None


def rule(text: str) -> tuple[str, str]:
    """ "KIND=RULE" as a pair."""
    return _pair(text, "KIND=RULE")


def _pair(text: str, form: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{shorten(text)} is not of the form {form}.")
    return name, value


def number(text: str) -> float:
    """One number."""
    found = floats(text)
    if len(found) != 1:
        raise argparse.ArgumentTypeError(f"{shorten(text)} is not one number.")
    return found[0]


def cell(text: str) -> tuple[int, int]:
    """ "ROW,COLUMN" as a pair."""
    row, comma, column = text.partition(",")
    if not comma:
        raise argparse.ArgumentTypeError(f"{shorten(text)} is not of the form ROW,COLUMN.")
    return whole(row), whole(column)


def unit(text: str) -> tuple[str, int]:
    """A unit, as LAYER:CHANNEL."""
    layer, colon, channel = text.rpartition(":")
    if not colon or not layer:
        raise argparse.ArgumentTypeError(f"{shorten(text)} is not of the form LAYER:CHANNEL.")
    return layer, whole(channel)


def knob(text: str) -> tuple[str, str]:
    """ "KNOB=VALUE" as a pair."""
    return _pair(text, "KNOB=VALUE")


def whole(text: str) -> int:
    """A whole number as large as the page takes for a seed, which is more than any other option needs."""
    if text.isdecimal() and len(text) <= 10 and int(text) < 2**31:
        return int(text)
    raise argparse.ArgumentTypeError(f"{shorten(text)} is not a whole number from 0 to {2**31 - 1:,}.")


def whole_numbers(text: str) -> tuple[int, ...]:
    """Whole numbers with commas between."""
    return tuple(map(whole, text.split(",")))


def byte_count(text: str) -> int:
    """An amount of memory, as 500MB."""
    try:
        return parse_bytes(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def input_size(text: str) -> tuple[int, int, int]:
    """ "CxHxW" as a triple."""
    parts = text.lower().split("x")
    if len(parts) != 3 or not all(part.isdecimal() and 0 < int(part) <= 100_000 for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form CxHxW, for example 3x224x224.")
    channels, height, width = map(int, parts)
    return channels, height, width
