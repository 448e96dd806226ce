"""The options of `scan`, beside those of every network: apart from the command, which takes long to import."""

from __future__ import annotations

import argparse

from explorer.cli.options import whole


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `scan` takes beside the network and its weights."""
    parser.add_argument("pictures", metavar="FOLDER|unseen", help="a folder of pictures, or the embedded unseen set")
    parser.add_argument("--layers", nargs="+", metavar="L", help="layers of `describe`, modules, or all (default: "
                        "every activation, and the values of the classes)")  # fmt: skip
    parser.add_argument("--engine", choices=("local", "ray"), default="local",
                        help="this process, or the workers of Ray: of the cluster at RAY_ADDRESS, or "
                        "here")  # fmt: skip
    parser.add_argument("--batch", type=whole, help="pictures a pass (default: as many as are fast)")
    parser.add_argument("--workers", type=whole, help="threads that decode (default: one a core)")
    parser.add_argument("--every", type=whole,
                        help="pictures after which what is found is kept (default: 1,000)")  # fmt: skip
    parser.add_argument("--restart", action="store_true", help="drop what an earlier scan left in the folder")
    parser.add_argument("--out", required=True, metavar="DIR", help="for scan.safetensors; an unfinished scan goes on")
