"""The command line: one function a command. Bad input is one line on stderr and exit code 2."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import explorer
import models
from explorer.cli import opening, paper_options, scan_options
from explorer.cli.options import (
    add_knobs,
    add_loaded,
    add_network,
    add_output,
    add_picture,
    add_preprocessing,
    add_weights,
    byte_count,
    cell,
    input_size,
    number,
    rule,
    unit,
    whole,
    whole_numbers,
)
from explorer.errors import UserError
from explorer.networks.budget import FIGURES


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, or serve the app; returns the exit code: 0 done, 2 bad input, 130 stopped by Ctrl-C."""
    try:
        given = sys.argv[1:] if argv is None else argv
        serving = not given or given[0].startswith("--port")
        options = vars(_parser().parse_args(["serve", *given] if serving else given))
        return options.pop("run")(**options) or 0
    except BrokenPipeError:  # the reader of a pipe has seen enough
        os.close(sys.stdout.fileno())
        return 0
    except (UserError, OSError) as error:
        print(f"error: {_sentence(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    finally:
        for problem in models.broken_files():  # of networks that were left out
            print(f"note: {problem}", file=sys.stderr)


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}."
    return " ".join(str(error).split())


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(message)


def _parser() -> argparse.ArgumentParser:
    about = "Explore convolutional networks: in the browser, or by one of the commands."
    parser = _Parser(prog="cnn-explorer", description=about)
    parser.add_argument("--version", action="version", version=f"%(prog)s {explorer.__version__}")
    commands = parser.add_subparsers(required=True, parser_class=_Parser, metavar="COMMAND")
    serving = commands.add_parser("serve", help="the app in the browser, also where no command is given")
    serving.add_argument("--port", type=whole, help="default: 8501, or as Streamlit is set")
    serving.set_defaults(run=_command("serve"))
    opening.add_arguments(commands.add_parser("open", help="a network of your own, made by a file, in the browser"))
    commands.choices["open"].set_defaults(run=opening.open_command)
    _add_structure(commands)
    _add_pictures(commands)
    _add_attributions(commands)
    paper_options.add_arguments(
        commands.add_parser("paper", help="the figures of Zeiler and Fergus (2014), of any network"), _command
    )
    _add_training(commands)
    _add_export(commands)
    return parser


def _add_structure(commands: Any) -> None:
    listing = commands.add_parser("list", help="all architectures and their presets")
    listing.add_argument("--json", action="store_true", dest="as_json")
    listing.set_defaults(run=_command("describe", "list"))

    describing = commands.add_parser("describe", help="layers, receptive field, parameters and MACs of a network")
    add_network(describing)
    describing.set_defaults(run=_command("describe"))

    counting = commands.add_parser("receipt", help="what other tools count, and which layers make the difference")
    add_network(counting)
    counting.set_defaults(run=_command("receipt"))

    identifying = commands.add_parser("identify", help="which network a file of weights belongs to")
    identifying.add_argument("file", help="a .safetensors, .pt, .pth or .ckpt file")
    identifying.add_argument("--json", action="store_true", dest="as_json")
    identifying.set_defaults(run=_command("identify"))

    drawing = commands.add_parser("graph", help="the graph of layers, as a DOT file or drawn by Graphviz")
    drawing.add_argument("name", help="a preset, block:NAME, torchvision:NAME or timm:NAME")
    add_knobs(drawing)
    drawing.add_argument("--input", type=input_size, dest="input_size", metavar="CxHxW")
    drawing.add_argument("--depth", type=whole, help="levels of modules to open (default: what fits 60 boxes)")
    drawing.add_argument(
        "--figure",
        nargs="?",
        const="",
        metavar="MODULE",
        help="a figure as in papers, as .svg or as .tex for TikZ, of a module or all (24 boxes)",
    )
    drawing.add_argument("--out", required=True, metavar="FILE.dot|.svg|.pdf|.png|.tex")
    drawing.set_defaults(run=_command("graph"))

    comparing = commands.add_parser("compare", help="networks side by side, or blocks on the same input")
    comparing.add_argument("names", nargs="+", metavar="NAME", help="networks, edited ones as PRESET!k.KNOB=VALUE; "
                           "or blocks, as block:NAME")  # fmt: skip
    comparing.add_argument("--match", choices=tuple(FIGURES), help="blocks: the others are made as dear as the first")
    comparing.add_argument("--input", type=input_size, dest="input_size", metavar="CxHxW")
    comparing.add_argument("--json", action="store_true", dest="as_json")
    comparing.set_defaults(run=_command("compare"))


def _add_pictures(commands: Any) -> None:
    predicting = add_picture(commands.add_parser("predict", help="the classes of a picture, or of all of a folder"))
    add_output(predicting)
    predicting.add_argument("--out", metavar="FILE.csv", help="also a table with a row for each picture")
    predicting.add_argument("--json", action="store_true", dest="as_json")
    predicting.set_defaults(run=_command("predict"))

    features = add_picture(commands.add_parser("features", help="the feature maps of a layer, as a picture"))
    features.add_argument("--layer", required=True, help="a layer of `describe`, or a module, as layer4")
    features.add_argument("--out", required=True, metavar="FILE.png")
    features.set_defaults(run=_command("pictures", "features"))

    occluding = add_picture(commands.add_parser("occlude", help="how the prediction depends on each part of a picture"))
    occluding.add_argument("--window", type=whole, help="side of the square, px (default: 3/8 of the input)")
    occluding.add_argument("--stride", type=whole, help="step of the square, px (default: 1/6 of the window)")
    occluding.add_argument("--fill", default="gray", choices=("gray", "mean", "blur"))
    occluding.add_argument("--target", help="class, by name or number (default: the most probable)")
    occluding.add_argument("--layer", help="also the summed activation of this layer's or module's strongest map")
    occluding.add_argument("--channel", type=whole, help="also that of this map of the layer, by number")
    add_output(occluding)
    occluding.add_argument(
        "--method", default="auto", choices=("auto", "full", "incremental"),
        help="run the whole network at each position, or only what the square can reach, with the same result",
    )  # fmt: skip
    occluding.add_argument("--memory", type=byte_count, help="the most to take beside the weights, as 500MB or 1.5GB")
    occluding.add_argument("--out", required=True, metavar="DIR")
    occluding.set_defaults(run=_command("pictures", "occlude"))

    scanning = commands.add_parser("scan", help="the nine pictures of a set that excite each channel most")
    add_loaded(scanning)
    scan_options.add_arguments(scanning)
    scanning.set_defaults(run=_command("scan"))

    reporting = commands.add_parser("report", help="a network on one HTML page, with what it makes of a picture")
    add_picture(reporting, is_needed=False)
    reporting.add_argument("--out", required=True, metavar="FILE.html")
    reporting.set_defaults(run=_command("report"))


def _add_attributions(commands: Any) -> None:
    projecting = add_picture(commands.add_parser("deconvnet", help="what excites a unit, projected back to pixels"))
    projecting.add_argument("--layer", required=True, help="a layer of `describe`, or a module, as layer4")
    projecting.add_argument("--channel", type=whole, help="default: the one with the greatest activation")
    projecting.add_argument("--position", type=cell, metavar="ROW,COLUMN", help="default: where it is greatest")
    projecting.add_argument("--method", default="deconvnet", choices=("deconvnet", "guided", "gradient"))
    projecting.add_argument(
        "--rule", action="append", default=[], dest="rules", type=rule, metavar="KIND=RULE",
        help="how the signal passes a kind of layer, or one layer: rectify, guided, gradient, pass or hold",
    )  # fmt: skip
    projecting.add_argument("--steps", action="store_true", help="also the signal at each layer on the way")
    projecting.add_argument("--out", required=True, metavar="DIR")
    projecting.set_defaults(run=_command("attributions", "deconvnet"))

    drawing_units = commands.add_parser("atlas", help="units with the pictures that excite them most, as one picture")
    add_loaded(drawing_units)
    drawing_units.add_argument("--units", nargs="+", required=True, type=unit,
                               metavar="LAYER:CHANNEL", help="drawn three to a row")  # fmt: skip
    drawing_units.add_argument("--scan", metavar="DIR", help="that `scan` wrote (default: what is shipped)")
    drawing_units.add_argument("--pictures", help="the set that the scan is of, where it is a folder")
    drawing_units.add_argument("--out", required=True, metavar="FILE.png")
    drawing_units.set_defaults(run=_command("atlas"))

    optimising = commands.add_parser("optimise", help="the image that excites a unit most, made from noise")
    add_loaded(optimising)
    optimising.add_argument("--layer", required=True, help="a layer of `describe`, or a module, as layer4")
    optimising.add_argument("--channel", type=whole, required=True)
    optimising.add_argument("--position", type=cell, metavar="ROW,COLUMN", help="default: the whole channel")
    optimising.add_argument("--steps", type=whole, default=256)
    optimising.add_argument("--out", required=True, metavar="FILE.png")
    optimising.set_defaults(run=_command("optimise"))

    attributing = add_picture(commands.add_parser("attribute", help="which pixels a class's score is due to"))
    attributing.add_argument(
        "--method", action="append", dest="methods", choices=_ATTRIBUTIONS, help="may be given often (default: six)"
    )
    attributing.add_argument("--target", help="class, by name or number (default: the most probable)")
    attributing.add_argument("--layer", help="of gradcam and layercam (default: the last map before the last pools)")
    attributing.add_argument("--fill", default="gray", choices=("gray", "mean", "blur"), help="the picture's absence")
    attributing.add_argument("--samples", type=whole, default=25, help="of smoothgrad and gradient_shap")
    attributing.add_argument("--noise", type=number, default=0.15, help="theirs, as a share of the picture's range")
    attributing.add_argument("--steps", type=whole, default=50, help="of integrated_gradients")
    attributing.add_argument("--window", type=whole, help="of occlusion, px (default: 3/8 of the input)")
    attributing.add_argument("--stride", type=whole, help="of occlusion, px (default: 1/6 of the window)")
    add_output(attributing)
    attributing.add_argument("--judge", action="store_true", help="also curves, infidelity and sensitivity of each")
    attributing.add_argument("--out", required=True, metavar="DIR")
    attributing.set_defaults(run=_command("attributions", "attribute"))

    measuring = commands.add_parser("faithfulness", help="how far attributions keep to the object and the network")
    measuring.add_argument("names", nargs="+", metavar="NAME", help="compact presets, as they were trained here")
    measuring.add_argument(
        "--method", action="append", dest="methods", choices=(*_ATTRIBUTIONS, "random"),
        help="may be given often (default: all, and a map of random values)",
    )  # fmt: skip
    measuring.add_argument("--items", type=whole, help="pictures that no network was trained on (default: all 2,000)")
    measuring.add_argument("--device")
    measuring.add_argument("--out", required=True, type=Path, metavar="DIR", help="its results are kept, and reused")
    measuring.set_defaults(run=_command("faithfulness"))


# Those of `attribution_settings`, which is not imported before a command runs.
_ATTRIBUTIONS = (
    "occlusion", "deconvnet", "guided", "saliency", "input_x_gradient", "integrated_gradients", "smoothgrad", "gradcam",
    "layercam", "deeplift", "gradient_shap",
)  # fmt: skip


def _add_training(commands: Any) -> None:
    training = commands.add_parser("train", help="train a preset on the pictures that the program draws")
    training.add_argument("preset_name", metavar="NAME")
    _recipe(training)
    training.add_argument("--checkpoints", type=whole_numbers, metavar="EPOCH,…",
                          help="also keep the weights after these epochs")  # fmt: skip
    training.add_argument("--device")
    training.add_argument("--restart", action="store_true", help="do not resume a run that was stopped")
    training.set_defaults(run=_train)

    contesting = commands.add_parser("contest", help="train every compact preset alike; what is there is kept")
    contesting.add_argument("names", nargs="*", metavar="NAME", help="only these presets")
    _recipe(contesting)
    contesting.add_argument("--workers", type=whole, help="networks trained at a time (default: one a core)")
    contesting.set_defaults(run=_contest)


def _add_export(commands: Any) -> None:
    exporting = commands.add_parser("export", help="a network as a file: Python, ONNX, .pt2, safetensors, JSON")
    exporting.add_argument("name", help="a preset, block:NAME, torchvision:NAME or timm:NAME")
    add_knobs(exporting)
    add_weights(exporting)
    add_preprocessing(exporting)
    exporting.add_argument("--to", choices=("python", "onnx", "pt2", "safetensors", "json"),
                           help="default: what the ending of --out says")  # fmt: skip
    exporting.add_argument("--out", required=True, metavar="FILE")
    exporting.set_defaults(run=_command("export"))


def _recipe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--epochs", type=whole)
    parser.add_argument("--seed", type=whole)
    parser.add_argument("--items", type=whole, help="pictures to train on")
    parser.add_argument("--folder", type=Path, help="for pictures, checkpoints and metrics (default: runs)")
    parser.add_argument("--out", type=Path, help="for the weights and their table (default: FOLDER/weights)")


# -- commands, each imported when it is called ------------------------------------------------------------------------


def _command(module: str, name: str = "") -> Callable[..., int | None]:
    """The function of a command, by default named like its module: help and errors do not wait for it."""

    def run(**options: Any) -> int | None:
        return getattr(import_module(f"explorer.cli.{module}"), f"{name or module}_command")(**options)

    return run


def _train(preset_name: str, **options: Any) -> int:
    from explorer.cli.training import train_command

    return train_command(preset_name, **_given(options))


def _contest(**options: Any) -> int:
    from explorer.cli.training import contest_command

    return contest_command(**_given(options))


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
