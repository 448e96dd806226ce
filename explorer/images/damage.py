"""Damage that the decoders pass over in silence: they paint what is missing gray or black."""

from __future__ import annotations

import re
import struct
import zlib

# A progressive JPEG has about 10 scans; each costs a pass over the whole picture, so thousands are a bomb.
MAX_JPEG_SCANS = 100
_JPEG_SCAN = re.compile(rb"\xff\xda\0[\x08\x0a\x0c\x0e][\x01-\x04]")
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# Column and row where each pass of an interlaced PNG starts, and its steps (PNG specification, section 8.2).
_ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def has_too_many_scans(jpeg: bytes) -> bool:
    """Whether a JPEG would take minutes to decode; bytes after FF are stuffed, so a mark is no accident."""
    return len(_JPEG_SCAN.findall(jpeg)) > MAX_JPEG_SCANS


def is_jpeg_short(jpeg: bytes, width: int, height: int) -> bool:
    """Whether a JPEG is smaller than it can be: a block of 8 × 8 pixels takes at least one bit."""
    return len(jpeg) * 8 * 64 < width * height


def is_png_short(png: bytes) -> bool:
    """Whether the pixel data of a PNG with a right header inflate to fewer bytes than its size asks for."""
    missing, at = _png_bytes(png), 8
    inflate = zlib.decompressobj()
    while missing > 0 and at + 8 <= len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        pending = png[at + 8 : at + 8 + length] if kind == b"IDAT" else b""
        while pending and missing > 0:
            missing -= len(inflate.decompress(pending, 1 << 20))
            pending = inflate.unconsumed_tail
        at += length + 12
    return missing > 0


def _png_bytes(png: bytes) -> int:
    width, height, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", png, 16)
    passes = _ADAM7 if interlaced else [(0, 0, 1, 1)]
    sizes = [(-((x - width) // dx), -((y - height) // dy)) for x, y, dx, dy in passes]
    bits = depth * _PNG_CHANNELS[colour]
    return sum(rows * (1 + (columns * bits + 7) // 8) for columns, rows in sizes if columns > 0)
