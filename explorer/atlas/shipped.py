"""The scans that come with the program: of trained compact networks, over all unseen pictures of the embedded set."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from explorer.atlas.scan_file import Scan, read_scan
from explorer.atlas.scan_folder import RESULT
from explorer.errors import UserError
from explorer.resources import asset

SHIPPED_SCANS = ("zfnet_mini", "resnet_mini", "googlenet_mini")


def shipped_path(network: str) -> Path:
    """Where the scan of a network is, or would be."""
    return asset("atlas", network, RESULT)


def is_shipped(network: str) -> bool:
    """Whether a scan of that network comes with the program."""
    return network in SHIPPED_SCANS and shipped_path(network).exists()


@lru_cache(maxsize=len(SHIPPED_SCANS))
def shipped(network: str) -> Scan:
    """The scan of a network by its preset's name. Raises UserError where none is shipped."""
    if not is_shipped(network):
        raise UserError(f"No scan of {network} comes with the program; {', '.join(SHIPPED_SCANS)} have one.")
    return read_scan(shipped_path(network))
