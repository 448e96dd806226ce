"""The command line: one function a command. Bad input is one line on stderr and exit code 2."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NoReturn

import models
from explorer.analysis.receptive_field import ReceptiveField
from explorer.analyze import Analysis
from explorer.budget import FIGURES
from explorer.device import format_bytes
from explorer.errors import UserError
from explorer.knob_text import shorten


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 2 bad input, 130 stopped by Ctrl-C."""
    try:
        options = vars(_parser().parse_args(argv))
        return options.pop("run")(**options) or 0
    except BrokenPipeError:  # the reader of a pipe has seen enough
        os.close(sys.stdout.fileno())
        return 0
    except (UserError, OSError) as error:
        print(f"error: {_sentence(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}."
    return " ".join(str(error).split())


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m explorer", description="Explore convolutional networks.")
    commands = parser.add_subparsers(required=True, parser_class=_Parser, metavar="COMMAND")
    _add_structure(commands)
    _add_pictures(commands)
    _add_training(commands)
    return parser


def _add_structure(commands: Any) -> None:
    listing = commands.add_parser("list", help="all architectures and their presets")
    listing.add_argument("--json", action="store_true", dest="as_json")
    listing.set_defaults(run=list_command)

    describing = commands.add_parser("describe", help="layers, receptive field, parameters and MACs of a network")
    _on_network(describing)
    describing.set_defaults(run=describe_command)

    counting = commands.add_parser("receipt", help="what other tools count, and which layers make the difference")
    _on_network(counting)
    counting.set_defaults(run=_receipt)

    comparing = commands.add_parser("compare", help="blocks side by side on the same input")
    comparing.add_argument("names", nargs="+", metavar="block:NAME")
    comparing.add_argument("--match", choices=tuple(FIGURES), help="change the others to cost as much as the first")
    comparing.add_argument("--input", type=_input_size, dest="input_size", metavar="CxHxW")
    comparing.add_argument("--json", action="store_true", dest="as_json")
    comparing.set_defaults(run=_compare)


def _add_pictures(commands: Any) -> None:
    features = _on_picture(commands.add_parser("features", help="the feature maps of a layer, as a picture"))
    features.add_argument("--layer", required=True)
    features.add_argument("--out", required=True, metavar="FILE.png")
    features.set_defaults(run=_features)

    occluding = _on_picture(commands.add_parser("occlude", help="how the prediction depends on each part of a picture"))
    occluding.add_argument("--window", type=_whole, help="side of the square, px (default: 3/8 of the input)")
    occluding.add_argument("--stride", type=_whole, help="step of the square, px (default: 1/6 of the window)")
    occluding.add_argument("--fill", default="gray", choices=("gray", "mean", "blur"))
    occluding.add_argument("--target", help="class, by name or number (default: the most probable)")
    occluding.add_argument("--layer", help="also the summed activation of this layer's strongest map")
    occluding.add_argument("--method", default="full", choices=("full",))
    occluding.add_argument("--out", required=True, metavar="DIR")
    occluding.set_defaults(run=_occlude)


def _add_training(commands: Any) -> None:
    training = commands.add_parser("train", help="train a preset on the pictures that the program draws")
    training.add_argument("preset_name", metavar="NAME")
    _recipe(training)
    training.add_argument("--device")
    training.add_argument("--restart", action="store_true", help="do not resume a run that was stopped")
    training.set_defaults(run=_train)

    contesting = commands.add_parser("contest", help="train every compact preset alike; what is there is kept")
    contesting.add_argument("names", nargs="*", metavar="NAME", help="only these presets")
    _recipe(contesting)
    contesting.add_argument("--workers", type=_whole, help="networks trained at a time (default: one a core)")
    contesting.set_defaults(run=_contest)


def _recipe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--epochs", type=_whole)
    parser.add_argument("--seed", type=_whole)
    parser.add_argument("--items", type=_whole, help="pictures to train on")
    parser.add_argument("--folder", type=Path, help="for pictures, checkpoints and metrics (default: runs)")
    parser.add_argument("--out", type=Path, help="for the weights and their table (default: FOLDER/weights)")


def _knobs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--set", action="append", default=[], dest="knobs", type=_knob, metavar="KNOB=VALUE")


def _on_network(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="a preset, block:NAME, torchvision:NAME or timm:NAME")
    _knobs(parser)
    parser.add_argument("--input", type=_input_size, dest="input_size", metavar="CxHxW")
    parser.add_argument("--json", action="store_true", dest="as_json")


def _on_picture(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("name", help="a preset, torchvision:NAME or timm:NAME")
    parser.add_argument("image", help="a picture file, or the name of a sample (cat, car, …)")
    _knobs(parser)
    parser.add_argument("--weights", help="shipped, random, an ImageNet entry, or a .safetensors file")
    parser.add_argument("--seed", type=_whole, default=0)
    parser.add_argument("--device")
    return parser


def _knob(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form KNOB=VALUE.")
    return name, value


def _whole(text: str) -> int:
    """A whole number as large as the page takes for a seed, which is more than any other option needs."""
    if text.isdecimal() and len(text) <= 10 and int(text) < 2**31:
        return int(text)
    raise argparse.ArgumentTypeError(f"{shorten(text)} is not a whole number from 0 to {2**31 - 1:,}.")


def _input_size(text: str) -> tuple[int, int, int]:
    parts = text.lower().split("x")
    if len(parts) != 3 or not all(part.isdecimal() and 0 < int(part) <= 100_000 for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form CxHxW, for example 3x224x224.")
    channels, height, width = map(int, parts)
    return channels, height, width


# -- list, describe ---------------------------------------------------------------------------------------------------


def list_command(as_json: bool) -> None:
    """Every architecture with its year and presets."""
    found = [
        {"name": a.name, "title": a.title, "year": a.year, "paper": a.paper.url, "presets": list(a.presets)}
        for a in models.architectures()
    ]
    if as_json:
        print(json.dumps(found, indent=2))
        return
    for entry in found:
        print(f"{entry['year']}  {entry['title']:<16} {' '.join(entry['presets'])}")


def describe_command(
    name: str, knobs: list[tuple[str, str]], input_size: tuple[int, int, int] | None, as_json: bool
) -> None:
    """Structure and figures of a network, on meta: nothing is allocated."""
    from explorer import network

    analysis = network.find(name, dict(knobs)).analysis(input_size)
    if as_json:
        print(json.dumps({"name": name, **as_data(analysis)}))
    else:
        print(_table(name, analysis))


def as_data(analysis: Analysis) -> dict[str, Any]:
    """An analysis as plain data, as `describe --json` prints it."""
    return {
        "params": analysis.params,
        "params_used": analysis.params_used,
        "macs": analysis.macs,
        "activation_bytes": analysis.activation_bytes,
        "peak_bytes": analysis.peak_bytes,
        "weight_bytes": analysis.weight_bytes,
        "receptive_field": field_data(analysis.receptive_field),
        "local_receptive_field": field_data(analysis.local_receptive_field),
        "unknown": list(analysis.unknown),
        "layers": [
            {
                "id": layer.id,
                "kind": layer.kind,
                "scope": layer.scope,
                "output_shape": list(layer.output_shape),
                "params": layer.params,
                "macs": layer.macs,
                "receptive_field": field_data(layer.receptive_field),
            }
            for layer in analysis.layers
        ],
    }


def field_data(field: ReceptiveField) -> dict[str, Any]:
    """A receptive field as plain data; strides and paddings that are no whole numbers become decimals."""
    return {
        "size": list(field.size),
        "stride": [_number(value) for value in field.stride],
        "padding": [_number(value) for value in field.padding],
        "is_global": field.is_global,
    }


def _number(value: Fraction) -> int | float:
    return int(value) if value.denominator == 1 else float(value)


def _table(name: str, analysis: Analysis) -> str:
    rows = [
        (layer.id, layer.kind, "×".join(map(str, layer.output_shape[1:])), f"{layer.params:,}",
         "unknown" if layer.macs is None else f"{layer.macs:,}", "×".join(map(str, layer.receptive_field.size)))
        for layer in analysis.layers
    ]  # fmt: skip
    rows.insert(0, ("layer", "kind", "output", "params", "MACs", "field"))
    widths = [max(len(row[i]) for row in rows) for i in range(6)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, "", *_summary(name, analysis)])


def _summary(name: str, analysis: Analysis) -> list[str]:
    field, local = analysis.receptive_field, analysis.local_receptive_field
    lines = [
        f"{name}: {analysis.params:,} parameters ({format_bytes(analysis.weight_bytes)}), {analysis.macs:,} MACs",
        f"activations {format_bytes(analysis.activation_bytes)}, at once {format_bytes(analysis.peak_bytes)}",
        f"receptive field {'×'.join(map(str, field.size))} px" + (" (the whole image)" if field.is_global else ""),
    ]
    if field.is_global and not local.is_global:
        lines.append(f"local receptive field, without gates, {'×'.join(map(str, local.size))} px")
    if analysis.params_used != analysis.params:
        lines.append(f"{analysis.params - analysis.params_used:,} of the parameters are not used at inference")
    if analysis.unknown:
        lines.append(f"not counted, because their operation is unknown: {', '.join(analysis.unknown)}")
    return lines


def _receipt(**options: Any) -> None:
    from explorer.cli_receipt import receipt_command

    receipt_command(**options)


def _compare(**options: Any) -> None:
    from explorer.cli_compare import compare_command

    compare_command(**options)


# -- commands with pictures -------------------------------------------------------------------------------------------


def _features(**options: Any) -> int:
    from explorer.cli_picture import features_command

    return features_command(**options)


def _occlude(**options: Any) -> int:
    from explorer.cli_picture import occlude_command

    return occlude_command(**options)


def _train(preset_name: str, **options: Any) -> int:
    from explorer.training import train_command

    return train_command(preset_name, **_given(options))


def _contest(**options: Any) -> int:
    from explorer.contest import contest_command

    return contest_command(**_given(options))


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
