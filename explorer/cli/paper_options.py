"""The commands below `paper`: the figures of Zeiler and Fergus (2014), one each."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from explorer.cli.options import add_loaded, add_output, add_picture, whole, whole_numbers

_Command = Callable[[str, str], Callable[..., int | None]]


def add_arguments(parser: argparse.ArgumentParser, command: _Command) -> None:
    """What follows `paper`. command: the function of a command, by its module and name."""
    figures = parser.add_subparsers(required=True, parser_class=type(parser), metavar="FIGURE")
    _occlusion(figures, command)
    _correspondence(figures, command)
    for name, (about, add) in _MEASURES.items():
        measuring = figures.add_parser(name, help=about)
        add(measuring)
        measuring.add_argument("--json", action="store_true", dest="as_json")
        measuring.set_defaults(run=command("paper_measures", name))


def _occlusion(figures: Any, command: _Command) -> None:
    hiding = figures.add_parser("occlusion", help="figure 7: what hiding each place does to a map and to the answer")
    add_picture(hiding)
    hiding.add_argument("--layer", help="a layer of `describe`, or a module (default: the last maps)")
    hiding.add_argument("--target", help="class, by name or number (default: the most probable)")
    hiding.add_argument("--window", type=whole, help="side of the square, px (default: 3/8 of the input)")
    hiding.add_argument("--stride", type=whole, help="step of the square, px (default: 1/6 of the window)")
    hiding.add_argument("--others", type=whole, default=200,
                        help="unseen pictures of the program's own set that are looked through")  # fmt: skip
    hiding.add_argument("--out", required=True, metavar="FILE.png")
    hiding.set_defaults(run=command("paper", "paper_occlusion"))


def _correspondence(figures: Any, command: _Command) -> None:
    hiding = figures.add_parser("correspondence", help="table 1: whether a hidden part changes features alike")
    add_loaded(hiding)
    hiding.add_argument("--parts-of", nargs="+", metavar="CLASS", help="of the program's own set (default: all)")
    hiding.add_argument("--layers", nargs="+", metavar="L", help="default: those through which everything passes")
    hiding.add_argument("--groups", type=whole, default=4, help="of five pictures, for each part")
    hiding.add_argument("--pooled", action="store_true", help="means of maps, whatever the place of the part")
    hiding.add_argument("--json", action="store_true", dest="as_json", help="part by part")
    hiding.set_defaults(run=command("paper", "paper_correspondence"))


_MOVES = ("vertical", "horizontal", "scale", "rotation")  # those of `analysis.moving`, which imports torch


def _evolution(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "preset", nargs="?", metavar="NAME", help="a preset (default: the one whose epochs are shipped)"
    )
    parser.add_argument(
        "--folder", type=Path, help="with NAME-epochN.safetensors, as `train --checkpoints` writes them"
    )
    parser.add_argument("--layer", help="a layer of `describe` (default: the third before a convolution or linear one)")
    parser.add_argument("--channels", type=whole_numbers, metavar="C,…", help="default: the six strongest at the end")
    parser.add_argument("--items", type=whole, default=200, help="unseen pictures (default: 200)")
    parser.add_argument("--out", type=Path, metavar="FILE.png", help="also a sheet of the units, an epoch a column")


def _invariance(parser: argparse.ArgumentParser) -> None:
    add_loaded(parser)
    parser.add_argument(
        "--move", choices=_MOVES, action="append", dest="moves", help="may be given often (default: all)"
    )
    parser.add_argument("--layers", nargs="+", metavar="L", help="of `describe` (default: the first and last of depth)")
    parser.add_argument("--pictures", default="unseen", metavar="FOLDER|unseen", help="(default: the unseen set)")
    parser.add_argument("--items", type=whole, default=5, help="how many of the unseen set (default: 5, as the paper)")
    add_output(parser)


def _equivariance(parser: argparse.ArgumentParser) -> None:
    add_loaded(parser)
    parser.add_argument("--layers", nargs="+", metavar="L", help="of `describe` (default: at most eight, by depth)")
    parser.add_argument("--shift", type=whole, help="px down and to the right (default: the layer's own stride)")


def _probes(parser: argparse.ArgumentParser) -> None:
    add_loaded(parser)
    parser.add_argument("--items", type=whole, default=300, help="pictures to fit on, and as many to judge on")


def _filters(parser: argparse.ArgumentParser) -> None:
    add_loaded(parser)
    parser.add_argument("--items", type=whole, default=200, help="unseen pictures (default: 200)")
    parser.add_argument("--out", type=Path, metavar="FILE.png", help="also the filters as a picture")


_MEASURES = {
    "evolution": ("figure 4: what excites units after each epoch, and when layers come to rest", _evolution),
    "invariance": ("figure 5: how far features and the answer change as pictures move", _invariance),
    "equivariance": ("figure 5: whether maps move as the picture does", _equivariance),
    "filters": ("figure 6: dead and aliased filters of the first layer", _filters),
    "probes": ("table 7: how well a linear classifier on each layer tells the classes", _probes),
}
