"""The commands below `paper`: the figures of Zeiler and Fergus (2014), one each."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from explorer.cli.options import add_loaded, add_picture, whole

_Command = Callable[[str, str], Callable[..., int | None]]


def add_arguments(parser: argparse.ArgumentParser, command: _Command) -> None:
    """What follows `paper`. command: the function of a command, by its module and name."""
    figures = parser.add_subparsers(required=True, parser_class=type(parser), metavar="FIGURE")
    _occlusion(figures, command)
    _correspondence(figures, command)


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
