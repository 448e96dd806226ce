"""Pictures in and out: any bytes to RGB pixels or one clear error, and arrays to files."""

from __future__ import annotations

import hashlib
import io
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from explorer.errors import ImageError
from explorer.images import damage
from explorer.types import Colour

MAX_PIXELS = 25_000_000
MAX_BYTES = 25_000_000
DARK_16_BIT = 2**14  # a 16-bit gray picture below it holds the 8 to 14 bits of some camera or scanner
_WHITE: Colour = (255, 255, 255)
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")


_SUPPORTED = "PNG, JPEG, WebP, GIF, BMP, TIFF and AVIF pictures can be opened"
# What the first bytes say about a file that no decoder takes: the first pattern that matches.
_SIGNATURES = [
    (rb"\x89PNG|\xff\xd8\xff|GIF8|BM|II\*\0|MM\0\*|II\+\0|MM\0\+|RIFF....WEBP|....ftypavi[fs]", ""),
    (rb"....ftyp(hei[cmsx]|hev[cmsx]|mi?f1|msf1)", "a HEIC picture"),
    (rb"....ftyp", "a video"),
    (rb"\s*%PDF", "a PDF document"),
    (rb"PK\x03\x04", "a ZIP archive"),
    (rb"8BPS", "a Photoshop document"),
    (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (rb"\0\0\x01\0", "an icon"),
    (rb"(?i)(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*(<!doctype svg[^>]*>\s*)?<svg", "an SVG"),
    (rb"(?i)(\xef\xbb\xbf)?\s*<(!doctype html|html|head|body|script)", "an HTML page"),
]
_ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class _RefusedError(Exception):
    """Why a file is refused: the rest of a sentence that starts with the file's name."""


@dataclass(frozen=True)
class LoadedImage:
    """A decoded picture: pixels uint8 [H, W, 3], what was changed on the way in, the file's SHA-256 (hex)."""

    pixels: np.ndarray = field(compare=False)
    name: str
    notices: tuple[str, ...]
    digest: str


def load(source: bytes | Path | str, name: str | None = None, background: Colour = _WHITE) -> LoadedImage:
    """Decodes a picture, upright, in RGB, transparent parts laid over `background`.

    `source` is the file's bytes, or its path. Raises ImageError, one sentence that names the file, for
    anything that is not a whole picture of at most MAX_PIXELS pixels and MAX_BYTES bytes.
    """
    label = _label(name or ("" if isinstance(source, bytes) else str(source)))
    try:
        data = source if isinstance(source, bytes) else _read(Path(source))
        picture, notices = _decode(data, background)
    except _RefusedError as refusal:
        raise ImageError(f"{label} {refusal}.") from None
    return LoadedImage(np.array(picture), label, notices, hashlib.sha256(data).hexdigest())


def pixels_of(file: bytes | Path, name: str) -> np.ndarray:
    """The pixels that `load` gives of a file, uint8 [H, W, 3], and nothing else of it: half the work of a JPEG.

    Raises ImageError.
    """
    return np.array(picture_of(file, name))


def picture_of(file: bytes | Path, name: str) -> Image.Image:
    """The same as Pillow has it, in RGB: for whoever hands it to Pillow again. Raises ImageError."""
    try:
        data = file if isinstance(file, bytes) else _read(file)
        return _decode(data, _WHITE, looks_for_loss=False)[0]
    except _RefusedError as refusal:
        raise ImageError(f"{_label(name)} {refusal}.") from None


def _label(name: str) -> str:
    """The file's own name without its folder, printable and short enough for a sentence."""
    base = re.split(r"[\\/]", name)[-1].strip()
    shown = "".join(c if c.isprintable() else "?" for c in base)
    return (shown if len(shown) <= 60 else f"{shown[:40]}…{shown[-19:]}") or "image"


def _read(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise _RefusedError("is not a file")
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _RefusedError("does not exist") from None
    except (OSError, ValueError):  # ValueError: a null character in the path
        raise _RefusedError("cannot be read from disk") from None


def _decode(data: bytes, background: Colour, looks_for_loss: bool = True) -> tuple[Image.Image, tuple[str, ...]]:
    if not data:
        raise _RefusedError("is empty (0 bytes)")
    if len(data) > MAX_BYTES:
        raise _RefusedError(f"is larger than {MAX_BYTES / 1e6:.0f} MB, the limit")
    notices: list[str] = []
    kind = _inspect(data, notices)
    # Pillow's decoders raise nearly every kind of exception on broken bytes (OSError, ValueError, TypeError,
    # SyntaxError, IndexError, struct.error, MemoryError, ...), so whatever they raise is a damaged file.
    try:
        image = _open(data)
        image.load()
        if looks_for_loss and kind in ("JPEG", "MPO") and (loss := damage.jpeg_loss(data, image)):
            notices.append(loss)
        upright = _upright(image, notices)
        return _flatten(_eight_bit(upright, notices), background, notices), tuple(notices)
    except _RefusedError:
        raise
    except Exception as error:
        raise _RefusedError(_damage(kind, error)) from None


def _open(data: bytes) -> Image.Image:
    """Reads the header only and checks the size that it declares."""
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        pixels = re.search(r"\d+", str(error))
        count = f"{int(pixels[0]):,}" if pixels else "too many"
        raise _RefusedError(f"has {count} pixels, and the limit is {MAX_PIXELS:,}") from None
    except Exception:
        raise _RefusedError(_unidentified(data)) from None
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise _RefusedError(f"has {width} × {height} = {width * height:,} pixels, and the limit is {MAX_PIXELS:,}")
    return image


def _unidentified(data: bytes) -> str:
    for pattern, kind in _SIGNATURES:
        if re.match(pattern, data[:1024], re.DOTALL):
            if kind:
                return f"is {kind}; only {_SUPPORTED}"
            return "begins like a picture, but is cut short, damaged or of a kind that is not supported"
    return f"is not a picture; only {_SUPPORTED}"


def _inspect(data: bytes, notices: list[str]) -> str:
    """Returns the format's name; notes further frames; finds what a decoder would pass over in silence."""
    image = _open(data)
    kind = image.format or "picture"
    # Not for MPO: the further frames of a phone's JPEG are its preview or depth map.
    if kind != "MPO" and _has_more_frames(image):
        notices.append("Only the first page is used." if kind == "TIFF" else "Only the first frame is used.")
    if kind in ("JPEG", "MPO") and damage.has_too_many_scans(data):
        raise _RefusedError(f"has more than {damage.MAX_JPEG_SCANS} JPEG scans, the limit")
    try:
        short = kind in ("JPEG", "MPO") and damage.is_jpeg_short(data, *image.size)
        if kind == "PNG":
            image.verify()  # the decoder skips the checksums of the pixel data
            short = damage.is_png_short(data)
    except Exception as error:
        raise _RefusedError(_damage(kind, error)) from None
    if short:
        raise _RefusedError(_cut_short(kind))
    return kind


def _has_more_frames(image: Image.Image) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # a damaged second frame: the first one is judged on its own
        return True


def _damage(kind: str, error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "does not fit in memory"
    if "truncated" in str(error).lower():
        return _cut_short(kind)
    return f"is damaged: its {kind} data cannot be decoded"


def _cut_short(kind: str) -> str:
    return f"is cut short: its {kind} data end before the picture does"


def _upright(image: Image.Image, notices: list[str]) -> Image.Image:
    try:
        transpose = _ORIENTATIONS.get(image.getexif().get(0x0112, 1))
    except Exception:  # whatever a damaged EXIF block raises, the pixels are whole
        notices.append("The EXIF data are damaged, so the picture may not be upright.")
        return image
    return image if transpose is None else image.transpose(transpose)


def _eight_bit(image: Image.Image, notices: list[str]) -> Image.Image:
    """Rescales 16-bit, 32-bit and float grays to 8 bits, where Pillow's own conversion would clip them."""
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise _RefusedError("holds values that are not finite numbers (NaN or infinity)")
    low, high = _value_range(image, values)
    if (low, high) not in ((0, 1), (0, 65535)):
        notices.append(f"Values from {low:g} to {high:g} are shown as black to white.")
    scaled = ((values - low) * (255 / ((high - low) or 1))).round().astype(np.uint8)
    if _tag(image, "PhotometricInterpretation", 1) == 0:  # white is zero; Pillow inverts 8-bit grays only
        scaled = 255 - scaled
    gray = Image.fromarray(scaled)
    if isinstance(transparent := image.info.get("transparency"), int):
        gray.putalpha(Image.fromarray((values != transparent).astype(np.uint8) * 255))
    return gray


def _value_range(image: Image.Image, values: np.ndarray) -> tuple[float, float]:
    """The values that become black and white: the type's own range where it is known and used, else the picture's.

    12 bits in a 16-bit file would be nearly black.
    """
    low, high = float(values.min()), float(values.max())
    if image.mode.startswith("I;16"):
        bits = int(_tag(image, "BitsPerSample", 16))
        return (low, high) if bits == 16 and low < high < DARK_16_BIT else (0, 2**bits - 1)
    return (0, 1) if image.mode == "F" and low >= 0 and high <= 1 else (low, high)


def _tag(image: Image.Image, name: str, default: int) -> int:
    """A TIFF tag's first value; `default` where the format has no tags."""
    codes = {"BitsPerSample": 258, "PhotometricInterpretation": 262}
    value = getattr(image, "tag_v2", {}).get(codes[name], default)
    return value[0] if isinstance(value, tuple) else value


def _flatten(image: Image.Image, background: Colour, notices: list[str]) -> Image.Image:
    """Any 8-bit mode to RGB."""
    if image.mode in ("La", "RGBa"):  # alpha already multiplied into the colours
        image = image.convert(image.mode.upper())
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        picture = image.convert("RGBA")
        if picture.getextrema()[3][0] < 255:  # type: ignore[index]
            notices.append("Transparent parts are laid over RGB({}, {}, {}).".format(*background))
        image = Image.alpha_composite(Image.new("RGBA", picture.size, (*background, 255)), picture)
    if image.mode not in ("1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr"):
        raise _RefusedError(f"stores its colours as {image.mode}, which is not supported")
    return image if image.mode == "RGB" else image.convert("RGB")


def encode_png(array: np.ndarray) -> bytes:
    """uint8 [H, W], [H, W, 3] or [H, W, 4] as a PNG file."""
    if array.dtype != np.uint8:
        raise TypeError(f"a PNG holds uint8, not {array.dtype}")
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def encode_npy(array: np.ndarray) -> bytes:
    """Any numeric array as an NPY file."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
