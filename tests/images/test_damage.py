"""Damage that decoders pass over: a JPEG that was cut and closed says so at any cut, and a whole one never does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from explorer.errors import ImageError
from explorer.images.codec import load
from tests.support.picture_files import encode

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
CLOSE = b"\xff\xd9"
KINDS = {
    "4:4:4": {"subsampling": 0, "quality": 92},
    "4:2:2": {"subsampling": 1, "quality": 75},
    "4:2:0": {"subsampling": 2, "quality": 30},
    "own tables": {"optimize": True},
    "progressive": {"progressive": True, "quality": 85},
    "restart rows": {"restart_marker_rows": 1},
    "restart blocks": {"restart_marker_blocks": 3},
    "progressive with restarts": {"progressive": True, "restart_marker_blocks": 7},
}
MODES = ("RGB", "L", "CMYK")


def photo(height: int = 90, width: int = 120, mode: str = "RGB", seed: int = 0) -> Image.Image:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8)).resize((width, height))
    grain = rng.integers(-12, 12, (height, width, 3))
    return Image.fromarray((np.asarray(coarse) + grain).clip(0, 255).astype(np.uint8)).convert(mode)


def jpeg(kind: str, mode: str = "RGB", **size: int) -> bytes:
    return encode("JPEG", photo(mode=mode, **size), **KINDS[kind])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_jpeg_that_was_cut_and_closed_says_that_it_ends_too_early(kind: str, mode: str) -> None:
    whole = jpeg(kind, mode)
    full, start = load(whole).pixels, whole.index(b"\xff\xda")
    assert not load(whole).notices
    for cut in range(start + 14, len(whole) - 2, max(1, (len(whole) - start) // 80)):
        try:
            picture = load(whole[:cut] + CLOSE)
        except ImageError:
            continue
        told = any("ends too early" in notice for notice in picture.notices)
        assert told or np.array_equal(picture.pixels, full), cut


@pytest.mark.parametrize("kind", ["restart rows", "restart blocks"])
def test_a_cut_just_before_a_restart_is_found(kind: str) -> None:
    whole = jpeg(kind)
    places = [at for at in range(len(whole) - 1) if whole[at] == 0xFF and 0xD0 <= whole[at + 1] <= 0xD7]
    assert len(places) > 4
    for at in places:
        for cut in (at, at + 1, at + 2):
            assert "ends too early" in " ".join(load(whole[:cut] + CLOSE).notices), cut


def test_a_progressive_jpeg_without_its_last_scans_is_found() -> None:
    whole = jpeg("progressive")
    scans = [at for at in range(len(whole)) if whole[at : at + 2] == b"\xff\xda"]
    assert len(scans) > 5
    for at in scans[1:]:
        tables = whole.rfind(b"\xff\xc4", 0, at)
        cut = tables if tables > scans[scans.index(at) - 1] else at
        assert "details of the picture are missing" in " ".join(load(whole[:cut] + CLOSE).notices)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_the_notice_says_how_much_is_missing(share: float) -> None:
    whole = jpeg("4:4:4", height=800, width=200)
    start = whole.index(b"\xff\xda")
    picture = load(whole[: start + int((len(whole) - start) * share)] + CLOSE)
    (notice,) = picture.notices
    gray = (np.ptp(picture.pixels.reshape(800, -1), axis=1) == 0).mean()
    (told,) = [int(word) for word in notice.split() if word.isdecimal()]
    assert told == pytest.approx(100 * gray, abs=2)
    assert told == pytest.approx(100 * (1 - share), abs=8)


@given(
    st.sampled_from(sorted(KINDS)), st.sampled_from(MODES), st.integers(1, 70), st.integers(1, 70), st.integers(0, 9)
)
def test_a_whole_jpeg_of_any_encoder_setting_and_size_has_no_notice(
    kind: str, mode: str, height: int, width: int, seed: int
) -> None:
    options = {"quality": 10 + 10 * seed, **KINDS[kind]}
    assert not load(encode("JPEG", photo(height, width, mode, seed), **options)).notices


@pytest.mark.parametrize("colour", [0, 128, 255])
def test_a_picture_that_is_gray_itself_has_no_notice(colour: int) -> None:
    for options in KINDS.values():
        assert not load(encode("JPEG", Image.new("RGB", (100, 70), (colour,) * 3), **options)).notices


def test_what_follows_the_end_mark_or_fills_up_before_it_is_no_loss() -> None:
    whole = jpeg("4:2:0")
    for extra in (whole + whole[:500], whole[:-2] + b"\xff" * 5 + CLOSE, whole[:-2] + bytes(64) + CLOSE):
        assert not load(extra).notices


@pytest.mark.parametrize("bits", [9, 10, 12, 14])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_gray_picture_of_few_bits_in_16_is_stretched_and_says_so(bits: int, kind: str) -> None:
    values = np.linspace(0, 2**bits - 1, 24 * 16).round().astype(np.uint16).reshape(16, 24)
    picture = load(encode(kind, Image.fromarray(values)))
    expected = np.round(values * (255 / (2**bits - 1)))
    assert np.abs(picture.pixels[..., 0] - expected).max() <= 1
    assert picture.notices == (f"Values from 0 to {2**bits - 1:g} are shown as black to white.",)


def test_a_gray_picture_that_uses_16_bits_is_left_as_it_is() -> None:
    values = np.linspace(20_000, 40_000, 24 * 16).astype(np.uint16).reshape(16, 24)
    picture = load(encode("PNG", Image.fromarray(values)))
    assert np.abs(picture.pixels[..., 0] - values / 257).max() <= 0.51
    assert not picture.notices
