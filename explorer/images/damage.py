"""Damage that the decoders pass over in silence: they paint what is missing gray or black."""

from __future__ import annotations

import io
import random
import re
import struct
import zlib
from dataclasses import dataclass, field

from PIL import Image, ImageChops

# A progressive JPEG has about 10 scans; each costs a pass over the whole picture, so thousands are a bomb.
MAX_JPEG_SCANS = 100
_JPEG_SCAN = re.compile(rb"\xff\xda\0[\x08\x0a\x0c\x0e][\x01-\x04]")
_JPEG_PART = re.compile(rb"\xff([^\0\xff])", re.DOTALL)
_JPEG_MARKER = re.compile(rb"\xff[^\0\xff\xd0-\xd7]", re.DOTALL)  # ends a scan: FF 00 and restarts do not
_HUFFMAN_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive
_PROGRESSIVE = 0xC2
# Bits that no picture ends with: the first is 1, where the decoder makes up zeros, and no byte is FF.
_JUNK = bytes([0xB5, *random.Random(9).choices(range(255), k=127)])
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# Column and row where each pass of an interlaced PNG starts, and its steps (PNG specification, section 8.2).
_ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def has_too_many_scans(jpeg: bytes) -> bool:
    """Whether a JPEG would take minutes to decode; bytes after FF are stuffed, so a mark is no accident."""
    return len(_JPEG_SCAN.findall(jpeg)) > MAX_JPEG_SCANS


def is_jpeg_short(jpeg: bytes, width: int, height: int) -> bool:
    """Whether a JPEG is smaller than it can be: a block of 8 × 8 pixels takes at least one bit."""
    return len(jpeg) * 8 * 64 < width * height


def jpeg_loss(jpeg: bytes, shown: Image.Image) -> str | None:
    """What is missing from a JPEG that `shown` was decoded from, as a notice; None where it is whole.

    A file that was cut and closed with an end mark is decoded without a word, gray where the data ran out. Junk before
    the end mark then changes the picture, and never one that is whole.
    """
    layout = _jpeg_layout(jpeg)
    if layout is None:
        return None
    try:
        with Image.open(io.BytesIO(layout.with_junk(jpeg)), formats=("JPEG",)) as other:
            other.load()
            changed = ImageChops.difference(shown, other).getbbox()
    except Exception:  # junk can be no picture at all
        changed = (0, 0, *shown.size)
    if changed is None and not layout.is_unfinished:
        return None
    if changed is None or layout.frame == _PROGRESSIVE:
        return "The file ends too early: parts or details of the picture are missing."
    share = 100 * (1 - changed[1] / shown.size[1])
    return f"The file ends too early: about {max(1, round(share))} % of the picture is missing."


@dataclass
class _JpegLayout:
    """The frame's kind and components, how far each coefficient of them was sent, and where the last scan ends.

    pending: the lowest bit sent so far of (component, coefficient); 0 is all of it.
    """

    frame: int = 0
    components: bytes = b""
    pending: dict[tuple[int, int], int] = field(default_factory=dict)
    restarts: bool = False
    data: tuple[int, int] = (0, 0)

    @property
    def is_unfinished(self) -> bool:
        """Whether a scan is missing that the frame announces."""
        coefficients = range(64 if self.frame == _PROGRESSIVE else 1)
        return any(self.pending.get((one, k), 1) for one in self.components for k in coefficients)

    def scan(self, header: bytes) -> None:
        """Take in the header of a scan."""
        count = header[0]
        first, last, bits = header[1 + 2 * count : 4 + 2 * count]
        for one in header[1 : 1 + 2 * count : 2]:
            self.pending |= {(one, k): bits & 15 for k in range(first, last + 1)}

    def with_junk(self, jpeg: bytes) -> bytes:
        """The file with junk where its last scan ends, and again as the restart interval that would come next."""
        start, end = self.data
        scan = jpeg[start:end].rstrip(b"\xff")
        marks = re.findall(rb"\xff([\xd0-\xd7])", scan)
        following = 0xD0 + (marks[-1][0] - 0xD0 + 1) % 8 if marks else 0xD0
        again = bytes([0xFF, following]) + _JUNK if self.restarts else b""
        return jpeg[:start] + scan + _JUNK + again + jpeg[end:]


def _jpeg_layout(jpeg: bytes) -> _JpegLayout | None:
    """The parts of a JPEG up to its end mark; None where they are not understood, or coded arithmetically."""
    found, at = _JpegLayout(), 2
    try:
        while (place := _JPEG_PART.search(jpeg, at)) and (mark := place[1][0]) != 0xD9:
            (length,) = struct.unpack_from(">H", jpeg, place.end())
            part, at = jpeg[place.end() + 2 : place.end() + length], place.end() + length
            if 0xC0 <= mark <= 0xCF and mark not in (0xC4, 0xC8, 0xCC):
                found.frame, found.components = mark, part[6 : 6 + 3 * part[5] : 3]
            elif mark == 0xDD:
                found.restarts = part[:2] != b"\0\0"
            elif mark == 0xDA:
                found.scan(part)
                end = _JPEG_MARKER.search(jpeg, at)
                found.data = at, end.start() if end else len(jpeg)
                at = found.data[1]
    except (IndexError, ValueError, struct.error):
        return None
    return found if found.frame in _HUFFMAN_FRAMES and found.data[1] else None


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
