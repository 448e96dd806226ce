"""Builds picture files for the tests: whole ones with Pillow (VALID), PNG chunks and TIFF tags by hand."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 24, 16


def gradient() -> np.ndarray:
    """A picture whose four corners differ, uint8 [HEIGHT, WIDTH, 3]."""
    row, column = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.stack([row * 15, column * 10, 255 - row * 7 - column * 5], -1).astype(np.uint8)


def encode(kind: str, image: Image.Image | None = None, **options: Any) -> bytes:
    buffer = io.BytesIO()
    (image or Image.fromarray(gradient())).save(buffer, kind, **options)
    return buffer.getvalue()


def frames(kind: str, count: int = 3) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (count, HEIGHT, WIDTH, 3), np.uint8)
    first, *rest = [Image.fromarray(frame) for frame in noise]
    return encode(kind, first, save_all=True, append_images=rest)


def chunk(kind: bytes, data: bytes, checksum: int | None = None) -> bytes:
    crc = zlib.crc32(kind + data) if checksum is None else checksum
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


def png(width: int, height: int, depth: int, colour: int, rows: bytes, extra: bytes = b"", interlace: int = 0) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def png_rows(row: bytes, height: int = HEIGHT) -> bytes:
    return (b"\0" + row) * height


def tiff(entries: list[tuple[int, int, int, int]], pixels: bytes = b"", next_ifd: int = 0) -> bytes:
    """A little-endian TIFF: entries of (tag, type, count, value), pixels at byte 8, then the directory."""
    at = 8 + len(pixels)
    rows = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    directory = struct.pack("<H", len(entries)) + rows + struct.pack("<I", next_ifd)
    return b"II*\0" + struct.pack("<I", at) + pixels + directory


def gray_tiff(bits: int, sample: int, pixels: bytes, width: int = WIDTH, height: int = HEIGHT, **change: int) -> bytes:
    tags = {"photometric": 1, "compression": 1, "strip": 8, "length": len(pixels), "planes": 1} | change
    return tiff(
        [
            (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, bits), (259, 3, 1, tags["compression"]),
            (262, 3, 1, tags["photometric"]), (273, 4, 1, tags["strip"]), (277, 3, 1, tags["planes"]),
            (278, 4, 1, height), (279, 4, 1, tags["length"]), (339, 3, 1, sample),
        ],
        pixels,
    )  # fmt: skip


def exif_block(orientation: int) -> bytes:
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 1) + entry + struct.pack("<I", 0)


VALID = {
    "png": encode("PNG"), "png_palette": encode("PNG", Image.fromarray(gradient()).quantize(16)),
    "apng": frames("PNG"), "jpeg": encode("JPEG", exif=exif_block(6)),
    "jpeg_progressive": encode("JPEG", progressive=True),
    "gif": encode("GIF"), "gif_animated": frames("GIF"), "webp": encode("WEBP"), "webp_animated": frames("WEBP"),
    "bmp": encode("BMP"), "tiff": encode("TIFF"), "tiff_lzw": encode("TIFF", compression="tiff_lzw"),
    "tiff_float": gray_tiff(32, 3, np.linspace(0, 9, WIDTH * HEIGHT, dtype="<f4").tobytes()), "avif": encode("AVIF"),
}  # fmt: skip
