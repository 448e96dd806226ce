"""`open`: the page on a network that a person's own file makes or holds, as `explorer.open` in a notebook."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
import threading
import traceback
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from torch import nn

import explorer
from explorer.discovery import own_models
from explorer.errors import UserError, shown

FORM = "FILE.py:NAME, a function without arguments, a class or a module"
OF_NETWORKS = (".onnx", ".pt2")
OF_WEIGHTS = (".safetensors", ".pt", ".pth", ".ckpt")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(message)


def main(argv: Sequence[str]) -> int:
    """Run the command by itself, without our own models: a person's file may import theirs. Returns the exit code."""
    parser = _Parser(prog="cnn-explorer open", description="Open a network of your own in the browser.")
    add_arguments(parser)
    try:
        return open_command(**vars(parser.parse_args(argv)))
    except (UserError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("target", metavar="FILE.py:NAME|FILE",
                        help=f"{FORM}: the file is imported, which runs its code; or a file of a network (.onnx, .pt2) "
                        "or of weights")  # fmt: skip
    parser.add_argument("--input", type=_input_size, dest="input_size", metavar="CxHxW")
    parser.add_argument("--pictures", metavar="PATH", help="a picture or a folder of them")
    parser.add_argument("--quiet", action="store_true", help="only print the link, and open no browser")


def open_command(target: str, input_size: Any = None, pictures: str | None = None, quiet: bool = False) -> int:
    """Import a file, make its module, and serve the page on it until Ctrl-C."""
    page = explorer.open(pictures=pictures, **_given(target, input_size))
    print(page.url, flush=True)
    if not quiet:
        webbrowser.open(page.url)
        print("Ctrl-C ends it.", file=sys.stderr)
    try:
        threading.Event().wait()
    finally:
        explorer.close()
    return 0


def _given(target: str, input_size: Any) -> dict[str, Any]:
    """What `explorer.open` is given: the module of a file of code; or that of a file of a network or of weights, with
    what goes with it."""
    ending = target.lower()
    if not ending.endswith((*OF_NETWORKS, *OF_WEIGHTS)):
        return {"module": _module(target), "input_size": input_size}
    with own_models():  # who the weights are of is known to our models alone
        files = importlib.import_module("explorer.cli.opening_weights")
        return files.opened_network(target) if ending.endswith(OF_NETWORKS) else files.opened_weights(target)


def _module(target: str) -> nn.Module:
    path, colon, name = target.rpartition(":")
    if not colon or not path.endswith(".py"):
        endings = ", ".join((*OF_NETWORKS, *OF_WEIGHTS))
        raise UserError(f"{shown(target)} is not {FORM}; nor a file of a network or of weights ({endings}).")
    file = Path(path)
    if not file.is_file():
        raise UserError(f"{path}: there is no such file.")
    found = getattr(_attempt(file, "when it is imported", lambda: _imported(file)), name, None)
    if found is None:
        raise UserError(f"{path} has no {name}.")
    made = found if isinstance(found, nn.Module) or not callable(found) else _attempt(file, f"in {name}()", found)
    if not isinstance(made, nn.Module):
        raise UserError(f"{target} gives a {type(made).__name__}, and no nn.Module.")
    return made


def _imported(file: Path) -> Any:
    """The file as a module, its folder first on the path of imports, as for a script that is run."""
    sys.path.insert(0, str(file.resolve().parent))
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(file.stem, module)
    spec.loader.exec_module(module)
    return module


def _attempt(file: Path, when: str, work: Callable[[], Any]) -> Any:
    try:
        return work()
    except (Exception, SystemExit) as error:  # whatever a person's file raises
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
        where = f", line {lines[-1]}" if lines else ""
        reason = (str(error).strip().splitlines() or [""])[0]
        raise UserError(f"{file}{where} fails {when}: {type(error).__name__}: {reason}") from None


def _input_size(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(side) for side in text.split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form CxHxW, as 3x224x224") from None
