"""Makes bad and odd picture files, each with what must come of it: CASES."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from tests.support.picture_files import HEIGHT, WIDTH, chunk, encode, exif_block, frames, gray_tiff, png, png_rows, tiff

HEADER = "begins like a picture"
BLACK, WHITE = (0, 0, 0), (255, 255, 255)
SEE_THROUGH = "Transparent parts are laid over"


@dataclass(frozen=True)
class Case:
    """A file: refused with `says` in the message, or accepted with `says` in the notices (none if empty)."""

    name: str
    data: bytes
    refused: bool
    says: str = ""
    size: tuple[int, int] = (HEIGHT, WIDTH)
    colour: tuple[int, int, int] | None = None  # of the first pixel


def bad(name: str, data: bytes, says: str = "") -> Case:
    return Case(name, data, True, says)


def odd(name: str, data: bytes, says: str = "", **expected: Any) -> Case:
    return Case(name, data, False, says, **expected)


def _png_cases() -> Iterator[Case]:
    whole = encode("PNG")
    data_at = whole.index(b"IDAT")
    yield bad("png_only_magic", whole[:8], HEADER)
    yield bad("png_cut_in_header", whole[:20], HEADER)
    yield bad("png_header_checksum", whole[:29] + b"\0\0\0\0" + whole[33:], HEADER)
    yield bad("png_cut_before_data", whole[: data_at - 4], HEADER)
    yield bad("png_cut_in_data", whole[: data_at + 30], "PNG")
    yield bad("png_half", whole[: len(whole) // 2], "PNG")
    yield bad("png_without_end", whole[:-12], "PNG")
    yield odd("png_cut_in_end", whole[:-2])
    flipped = bytearray(whole)
    flipped[data_at + 40] ^= 0xFF
    yield bad("png_flipped_data_byte", bytes(flipped), "damaged")
    yield bad("png_data_not_zlib", _png_with_data(b"not zlib at all"), "damaged")
    yield bad("png_too_few_rows", _png_with_data(zlib.compress(png_rows(b"\0" * 72, 3))), "PNG")
    yield bad("png_unknown_row_filter", _png_with_data(zlib.compress((b"\x09" + b"\0" * 72) * 16)), "PNG")
    rgb = png_rows(bytes(72))
    yield bad("png_zero_width", png(0, 16, 8, 2, rgb), HEADER)
    yield bad("png_zero_height", png(24, 0, 8, 2, rgb), HEADER)
    yield bad("png_depth_7", png(24, 16, 7, 2, rgb), HEADER)
    yield bad("png_colour_type_5", png(24, 16, 8, 5, rgb), HEADER)
    yield bad("png_declares_60000_squared", png(60000, 60000, 8, 2, b"\0"), "3,600,000,000 pixels")
    yield bad("png_declares_2_to_31", png(2**31 - 1, 2**31 - 1, 8, 2, b"\0"), " pixels, and the limit is 25,000,000")
    yield bad("png_just_too_large", png(5001, 5000, 8, 0, b"\0"), "5001 × 5000 = 25,005,000 pixels")
    bomb = png(10000, 10000, 1, 0, b"\0" * (1251 * 10000))
    yield bad("png_compressed_bomb", bomb, "100,000,000 pixels")
    yield bad("png_large_without_data", png(5000, 5000, 8, 2, b"\0"), "PNG")
    profile = b"icc\0\0" + zlib.compress(bytes(5_000_000))
    yield bad("png_profile_bomb", png(24, 16, 8, 2, rgb, chunk(b"iCCP", profile)), HEADER)
    comment = b"k\0\0" + zlib.compress(bytes(5_000_000))
    yield bad("png_text_bomb", png(24, 16, 8, 2, rgb, chunk(b"zTXt", comment)), HEADER)
    yield bad("png_short_transparency", png(24, 16, 8, 2, rgb, chunk(b"tRNS", b"\0")), HEADER)
    yield bad("png_checksum_of_text", png(24, 16, 8, 2, rgb, chunk(b"tEXt", b"a\0b", 1)))
    yield odd("png_unknown_critical_chunk", png(24, 16, 8, 2, rgb, chunk(b"ABCD", b"xyz")))


def _png_with_data(data: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def _odd_png_cases() -> Iterator[Case]:
    """Rare but right PNG files, and two that every viewer opens."""
    gray16 = png_rows(struct.pack(">H", 0x8080) * 24)
    yield odd("png_gray_16_bit", png(24, 16, 16, 0, gray16), colour=(128, 128, 128))
    dark16 = png_rows(struct.pack(">H", 0x0100) * 24)
    yield odd("png_gray_16_bit_dark", png(24, 16, 16, 0, dark16), colour=(1, 1, 1))
    see_through = chunk(b"tRNS", struct.pack(">H", 0x8080))
    yield odd("png_16_bit_transparent", png(24, 16, 16, 0, gray16, see_through), SEE_THROUGH, colour=WHITE)
    rgb16 = png_rows(struct.pack(">HHH", 0xFFFF, 0x8000, 0) * 24)
    yield odd("png_rgb_16_bit", png(24, 16, 16, 2, rgb16), colour=(255, 128, 0))
    yield odd("png_1_bit", png(24, 16, 1, 0, png_rows(b"\xf0" * 3)), colour=WHITE)
    palette = chunk(b"PLTE", bytes([10, 20, 30, 40, 50, 60]))
    yield odd("png_palette", png(24, 16, 8, 3, png_rows(b"\1" * 24), palette), colour=(40, 50, 60))
    yield odd("png_palette_overflow", png(24, 16, 8, 3, png_rows(b"\xc8" * 24), palette))
    clear = palette + chunk(b"tRNS", b"\x80\0")
    yield odd("png_palette_clear", png(24, 16, 8, 3, png_rows(b"\1" * 24), clear), SEE_THROUGH, colour=WHITE)
    rgb = png_rows(bytes(72))
    half = Image.new("LA", (WIDTH, HEIGHT), (0, 128))
    yield odd("png_gray_alpha", encode("PNG", half), SEE_THROUGH, colour=(127, 127, 127))
    opaque = Image.new("RGBA", (WIDTH, HEIGHT), (1, 2, 3, 255))
    yield odd("png_opaque_alpha", encode("PNG", opaque), colour=(1, 2, 3))
    colour_key = png(24, 16, 8, 2, png_rows(b"\x05\x06\x07" * 24), chunk(b"tRNS", struct.pack(">HHH", 5, 6, 7)))
    yield odd("png_colour_key", colour_key, SEE_THROUGH, colour=WHITE)
    yield bad("png_interlaced_cut", png(24, 16, 8, 2, b"\0" * 40, interlace=1), "PNG")
    yield odd("png_one_pixel", png(1, 1, 8, 2, b"\0\1\2\3"), size=(1, 1), colour=(1, 2, 3))
    yield odd("png_strip", png(20000, 1, 8, 0, bytes(20001)), size=(1, 20000), colour=BLACK)
    yield odd("png_bytes_after_end", encode("PNG") + b"<script>alert(1)</script>")
    not_hex = chunk(b"tEXt", b"Raw profile type exif\0\nexif\n  8\nnot hex!")
    yield odd("png_exif_garbage", png(24, 16, 8, 2, rgb, not_hex), "EXIF data are damaged")
    yield odd("png_animated", frames("PNG"), "first frame")


# The other formats


def _jpeg_cases() -> Iterator[Case]:
    whole = encode("JPEG", quality=95)
    yield bad("jpeg_only_magic", b"\xff\xd8\xff", HEADER)
    yield bad("jpeg_start_and_end", b"\xff\xd8\xff\xd9", HEADER)
    yield bad("jpeg_half", whole[: len(whole) // 2], HEADER)
    yield bad("jpeg_cut_in_scan", whole[:-40], "is cut short")
    yield bad("jpeg_without_end", whole[:-2], "is cut short")
    frame = whole.index(b"\xff\xc0")
    for label, height, width, says in [
        ("zero_height", 0, 24, HEADER),
        ("zero_width", 16, 0, HEADER),
        ("declares_65500_squared", 65500, 65500, "4,290,250,000 pixels"),
        ("large_with_tiny_data", 5000, 5000, "is cut short"),
    ]:
        yield bad(f"jpeg_{label}", whole[: frame + 5] + struct.pack(">HH", height, width) + whole[frame + 9 :], says)
    twelve = whole[: frame + 4] + b"\x0c" + whole[frame + 5 :]
    yield bad("jpeg_12_bit", twelve, HEADER)
    tables = whole.index(b"\xff\xc4")
    yield bad("jpeg_broken_huffman_table", whole[: tables + 5] + b"\xff" * 16 + whole[tables + 21 :], "JPEG")
    yield bad("jpeg_scan_bomb", _scan_bomb(), "JPEG scans")
    yield odd("jpeg_gray", encode("JPEG", Image.new("L", (WIDTH, HEIGHT), 77)), colour=(77, 77, 77))
    cmyk = Image.new("CMYK", (WIDTH, HEIGHT), (0, 0, 0, 255))
    yield odd("jpeg_cmyk", encode("JPEG", cmyk), colour=BLACK)
    yield odd("jpeg_progressive", encode("JPEG", progressive=True))
    yield odd("jpeg_mpo", frames("MPO", 2))
    for orientation in (0, 1, 9, 65535):
        yield odd(f"jpeg_orientation_{orientation}", encode("JPEG", exif=exif_block(orientation)))
    for orientation in (6, 8):
        turned = encode("JPEG", exif=exif_block(orientation))
        yield odd(f"jpeg_orientation_{orientation}", turned, size=(WIDTH, HEIGHT))
    yield odd("jpeg_exif_garbage", encode("JPEG", exif=b"Exif\0\0" + b"\xff" * 40))
    yield odd("jpeg_exif_cut", encode("JPEG", exif=exif_block(6)[:20]))
    loop = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 0x8769, 4, 1, 8, 8)
    yield odd("jpeg_exif_loop", encode("JPEG", exif=loop))


def _scan_bomb() -> bytes:
    whole = encode("JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    return whole[:last] + whole[last:-2] * 5000 + b"\xff\xd9"


def _gif_cases() -> Iterator[Case]:
    whole, animated = encode("GIF"), frames("GIF")
    yield bad("gif_only_magic", b"GIF89a", HEADER)
    yield bad("gif_cut_in_palette", whole[:100], HEADER)
    yield bad("gif_cut_in_data", whole[:-60], "GIF")
    yield bad("gif_without_frames", whole[:13] + bytes(768) + b";", HEADER)
    yield bad("gif_code_size_13", _gif_code_size(whole, 13), "GIF")
    yield bad("gif_declares_65535_squared", b"GIF89a\xff\xff\xff\xff" + whole[10:], "4,294,836,225 pixels")
    yield odd("gif_animated", animated, "first frame")
    yield odd("gif_animation_cut_in_frame_3", animated[:-200], "first frame")
    yield bad("gif_animation_cut_in_frame_1", animated[:900], "GIF")
    clear = Image.new("P", (WIDTH, HEIGHT), 0)
    clear.putpalette([9, 9, 9, 200, 0, 0])
    yield odd("gif_transparent", encode("GIF", clear, transparency=0), SEE_THROUGH, colour=WHITE)


def _gif_code_size(whole: bytes, bits: int) -> bytes:
    at = whole.index(b",", 13 + 3 * 2 ** ((whole[10] & 7) + 1)) + 10
    return whole[:at] + bytes([bits]) + whole[at + 1 :]


def _webp_cases() -> Iterator[Case]:
    whole, animated = encode("WEBP", lossless=True), bytearray(frames("WEBP"))
    yield bad("webp_only_magic", b"RIFF\x20\0\0\0WEBP", HEADER)
    yield bad("webp_half", whole[: len(whole) // 2], "damaged")
    yield bad("webp_corrupt", whole[:30] + b"\xff" * (len(whole) - 30), "damaged")
    yield odd("webp_animated", bytes(animated), "first frame")
    yield bad("webp_animation_cut", bytes(animated[:-40]), "damaged")
    animated[24:30] = b"\xff\x3f\0\xff\x3f\0"
    yield bad("webp_declares_16384_squared", bytes(animated), "268,435,456 pixels")
    clear = encode("WEBP", Image.new("RGBA", (WIDTH, HEIGHT), (9, 9, 9, 0)), lossless=True)
    yield odd("webp_transparent", clear, SEE_THROUGH, colour=WHITE)
    yield bad("riff_wave", b"RIFF\x24\0\0\0WAVEfmt " + bytes(40), "is not a picture")


def _bmp_cases() -> Iterator[Case]:
    whole = encode("BMP")
    yield bad("bmp_only_magic", b"BM", HEADER)
    yield bad("bmp_half", whole[: len(whole) // 2], "is cut short")
    yield bad("bmp_zero_width", whole[:18] + bytes(4) + whole[22:], HEADER)
    huge = whole[:18] + struct.pack("<ii", 60000, 60000) + whole[26:]
    yield bad("bmp_declares_60000_squared", huge, "3,600,000,000 pixels")
    yield bad("bmp_large_with_tiny_data", whole[:18] + struct.pack("<ii", 5000, 5000) + whole[26:], "is cut short")
    yield bad("bmp_3_bits", whole[:28] + b"\3\0" + whole[30:], HEADER)
    yield bad("bmp_unknown_compression", whole[:30] + b"\x63" + whole[31:], HEADER)
    runs = bytearray(encode("BMP", Image.new("P", (WIDTH, HEIGHT))))
    runs[30] = 1
    yield bad("bmp_run_length_cut", bytes(runs[: struct.unpack_from("<I", runs, 10)[0]]) + b"\x04\x01", "BMP")
    upside_down = whole[:22] + struct.pack("<i", -HEIGHT) + whole[26:]
    yield odd("bmp_top_down", upside_down)


def _tiff_cases() -> Iterator[Case]:
    whole, size = encode("TIFF", compression="tiff_lzw"), WIDTH * HEIGHT
    yield bad("tiff_only_magic", b"II*\0", HEADER)
    yield bad("tiff_directory_past_end", b"II*\0\xff\xff\xff\x7f", HEADER)
    yield bad("tiff_half", whole[: len(whole) // 2])
    yield bad("tiff_strip_past_end", gray_tiff(8, 1, bytes(size), strip=10**6), "TIFF")
    yield bad("tiff_cut_pixels", gray_tiff(8, 1, bytes(size), width=240), "TIFF")
    yield bad("tiff_zero_width", gray_tiff(8, 1, bytes(size), width=0), HEADER)
    yield bad("tiff_declares_60000_squared", gray_tiff(8, 1, b"", 60000, 60000), "3,600,000,000 pixels")
    yield bad("tiff_compression_999", gray_tiff(8, 1, bytes(size), compression=999), HEADER)
    yield bad("tiff_deflate_garbage", gray_tiff(8, 1, b"\x13" * size, compression=8), "TIFF")
    yield bad("tiff_999_planes", gray_tiff(8, 1, bytes(size), planes=999), HEADER)
    yield bad("tiff_gigantic_tag_count", tiff([(256, 4, 2**32 - 1, 8), (257, 4, 1, 16)]), HEADER)
    yield bad("tiff_65535_entries", b"II*\0\x08\0\0\0\xff\xff" + bytes(100), HEADER)
    yield bad("tiff_without_tags", tiff([]), HEADER)
    for label, worst in [("nan", np.nan), ("infinity", np.inf), ("minus_infinity", -np.inf)]:
        values = np.linspace(0, 1, size, dtype="<f4")
        values[7] = worst
        yield bad(f"tiff_float_{label}", gray_tiff(32, 3, values.tobytes()), "not finite numbers")
    ones = np.full(size, 0.5, "<f4").tobytes()
    yield odd("tiff_float_unit_range", gray_tiff(32, 3, ones), colour=(128, 128, 128))
    wide = np.linspace(-3e38, 3e38, size, dtype="<f4").tobytes()
    yield odd("tiff_float_wide", gray_tiff(32, 3, wide), "from -3e+38 to 3e+38", colour=BLACK)
    yield bad("tiff_float_64_bit", gray_tiff(64, 3, bytes(size * 8)), "of a kind that is not supported")
    words = np.full(size, 0x8080, "<u2").tobytes()
    yield odd("tiff_16_bit", gray_tiff(16, 1, words), colour=(128, 128, 128))
    yield odd("tiff_16_bit_white_is_zero", gray_tiff(16, 1, words, photometric=0), colour=(127, 127, 127))
    twelve = gray_tiff(12, 1, b"\xff" * (size * 3 // 2))
    yield odd("tiff_12_bit", twelve, "from 0 to 4095", colour=WHITE)
    signed = np.arange(size, dtype="<i4") - 100
    yield odd("tiff_32_bit_signed", gray_tiff(32, 2, signed.tobytes()), "from -100 to 283", colour=BLACK)
    yield bad("tiff_lab", encode("TIFF", Image.new("LAB", (WIDTH, HEIGHT))), "LAB, which is not supported")
    yield odd("tiff_two_pages", frames("TIFF", 2), "first page")
    yield odd("tiff_page_loop", gray_tiff(8, 1, bytes(size))[:-4] + struct.pack("<I", 8 + size), colour=BLACK)
    turned = Image.Exif()
    turned[0x0112] = 6
    yield odd("tiff_orientation_6", encode("TIFF", exif=turned), size=(WIDTH, HEIGHT))


def _avif_cases() -> Iterator[Case]:
    whole = encode("AVIF", quality=90)
    yield bad("avif_only_magic", b"\0\0\0\x1cftypavif", HEADER)
    yield bad("avif_half", whole[: len(whole) // 2], "damaged")
    yield odd("avif", whole)
    yield odd("avif_animated", frames("AVIF"), "first frame")


class _Payload:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return print, ("a pickle was run",)


def _other_files() -> Iterator[Case]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("picture.png", encode("PNG"))
    svg = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    yield bad("empty", b"", "is empty")
    yield bad("one_byte", b"\x89", "is not a picture")
    yield bad("random_bytes", np.random.default_rng(1).bytes(4096), "is not a picture")
    yield bad("zeros", bytes(100_000), "is not a picture")
    yield bad("text", "Ceci n'est pas une image. ☃".encode(), "is not a picture")
    yield bad("html", b"<!DOCTYPE html><html><body><img src=x onerror=alert(1)></body></html>", "an HTML page")
    yield bad("svg", svg, "an SVG")
    yield bad("pdf", b"%PDF-1.7\n%%EOF", "a PDF document")
    yield bad("zip", archive.getvalue(), "a ZIP archive")
    yield bad("script", b"#!/bin/sh\nrm -rf /\n", "is not a picture")
    yield bad("pickle", pickle.dumps(_Payload()), "is not a picture")
    yield bad("heic", b"\0\0\0\x18ftypheic" + bytes(64), "a HEIC picture")
    yield bad("video", b"\0\0\0\x18ftypisom" + bytes(64), "a video")
    yield bad("photoshop", b"8BPS\0\1" + bytes(64), "a Photoshop document")
    yield bad("jpeg_2000", encode("JPEG2000"), "a JPEG 2000 picture")
    yield bad("icon", encode("ICO"), "an icon")
    yield bad("portable_pixmap", encode("PPM"), "is not a picture")
    yield bad("postscript", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not a picture")
    yield bad("over_25_megabytes", encode("PNG") + bytes(25_000_000), "is larger than 25 MB")


_MAKERS = [
    _png_cases, _odd_png_cases, _jpeg_cases, _gif_cases, _webp_cases, _bmp_cases, _tiff_cases, _avif_cases,
    _other_files,
]  # fmt: skip
CASES = [case for make in _MAKERS for case in make()]
