"""Pictures: every bad file gives one clear sentence, every odd one the right pixels."""

from __future__ import annotations

import hashlib
import io
import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from explorer.errors import ImageError
from explorer.images import codec
from explorer.images.codec import LoadedImage, encode_npy, encode_png, load, pixels_of
from tests.support.bad_images import CASES, Case
from tests.support.picture_files import HEIGHT, VALID, WIDTH, encode, exif_block, gradient

# Pillow warns of what it tolerates; torch's and Pillow's warnings are not what is tested here.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")


def assert_one_clear_sentence(message: str, name: str) -> None:
    assert message.startswith(name)
    assert message.endswith(".")
    assert len(message) < 200
    assert ". " not in message
    assert "\n" not in message
    leaks = ("Traceback", "Error", "site-packages", str(Path.home()), os.sep + "tmp")
    assert not any(leak in message for leak in leaks)


def test_there_are_enough_distinct_cases() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 60
    assert len({case.data for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_and_odd_files(case: Case) -> None:
    name = f"{case.name}.png"
    if case.refused:
        with pytest.raises(ImageError) as caught:
            load(case.data, name)
        with pytest.raises(ImageError, match=re.escape(str(caught.value))):
            pixels_of(case.data, name)
        assert_one_clear_sentence(str(caught.value), name)
        assert case.says in str(caught.value)
        assert caught.value.__suppress_context__
    else:
        picture = load(case.data, name)
        assert np.array_equal(pixels_of(case.data, name), picture.pixels)
        assert picture.pixels.shape == (*case.size, 3)
        assert picture.pixels.dtype == np.uint8
        assert case.colour is None or tuple(picture.pixels[0, 0].tolist()) == case.colour
        assert case.says in " ".join(picture.notices) if case.says else not picture.notices


TOO_MUCH = [case for case in CASES if "pixels" in case.says or "scans" in case.says]


@pytest.mark.parametrize("case", TOO_MUCH, ids=lambda case: case.name)
def test_what_is_too_much_is_refused_before_it_is_decoded(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda *_: pytest.fail("pixels were decoded"))
    with pytest.raises(ImageError, match="limit"):
        load(case.data)


@pytest.mark.fuzz
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(VALID)), st.data())
def test_mutated_files_load_or_are_refused(kind: str, data: st.DataObject) -> None:
    whole = bytearray(VALID[kind])
    places = st.integers(0, len(whole) - 1)
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=6)):
        whole[place] = value
    cut = data.draw(st.one_of(st.just(len(whole)), places))
    try:
        picture = load(bytes(whole[:cut]), "mutated.png")
    except ImageError as error:
        assert_one_clear_sentence(str(error), "mutated.png")
    else:
        assert picture.pixels.ndim == 3
        assert picture.pixels.shape[2] == 3
        assert picture.pixels.dtype == np.uint8


@pytest.mark.parametrize("kind", ["png", "jpeg_progressive", "gif", "webp", "bmp", "tiff", "tiff_lzw", "avif"])
def test_no_truncation_is_half_shown(kind: str) -> None:
    whole = VALID[kind]
    full = load(whole).pixels
    for cut in range(0, len(whole), max(1, len(whole) // 60)):
        try:
            shown = load(whole[:cut]).pixels
        except ImageError:
            continue
        assert np.array_equal(shown, full), cut  # only what is no pixel was lost


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation: int) -> None:
    upright = gradient()
    # How the camera stored it: the inverse of what the tag asks for.
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.swapaxes(0, 1),
        6: np.rot90(upright), 7: upright[::-1, ::-1].swapaxes(0, 1), 8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    data = encode("PNG", Image.fromarray(np.ascontiguousarray(stored)), exif=exif_block(orientation)[6:])
    assert np.array_equal(load(data).pixels, upright)


def test_the_content_and_not_the_extension_decides(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(encode("BMP"))
    for source in (path, str(path)):
        picture = load(source)
        assert picture.name == "photo.png"
        assert np.array_equal(picture.pixels, gradient())
        assert picture.digest == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["absent.png", "nul\0.png", "", "a" * 400])
def test_paths_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(ImageError) as caught:
        load(tmp_path / name)
    assert str(tmp_path) not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_a_device_file_is_not_read() -> None:
    with pytest.raises(ImageError, match=r"^zero is not a file\.$"):
        load(Path("/dev/zero"))


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("/home/someone/cat.png", "cat.png"),
        (r"C:\Users\someone\cat.png", "cat.png"),
        ("../../etc/passwd", "passwd"),
        ("line\nbreak\x1b[31m\u202e.png", "line?break?[31m?.png"),
        ("x" * 300 + ".png", "x" * 40 + "…" + "x" * 15 + ".png"),
        ("", "image"),
    ],
)
def test_the_shown_name_is_short_and_printable_and_has_no_folder(name: str, shown: str) -> None:
    assert load(VALID["png"], name).name == shown


def test_memory_errors_are_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(codec, "_flatten", exhausted)
    with pytest.raises(ImageError, match="a.png does not fit in memory"):
        load(VALID["png"], "a.png")


def test_background_shows_through() -> None:
    clear = encode("PNG", Image.new("RGBA", (WIDTH, HEIGHT), (255, 255, 255, 0)))
    picture = load(clear, background=(10, 20, 30))
    assert (picture.pixels == (10, 20, 30)).all()
    assert "RGB(10, 20, 30)" in picture.notices[0]


def test_png_and_npy_round_trip() -> None:
    for array in (gradient(), gradient()[..., 0], np.dstack([gradient(), gradient()[..., :1]])):
        assert np.array_equal(np.array(Image.open(io.BytesIO(encode_png(array)))), array)
    assert np.array_equal(load(encode_png(gradient())).pixels, gradient())
    values = np.linspace(0, 1, 24, dtype=np.float32).reshape(2, 3, 4)
    assert np.array_equal(np.load(io.BytesIO(encode_npy(values))), values)
    with pytest.raises(TypeError, match="uint8"):
        encode_png(values)


def test_a_loaded_image_is_a_cache_key() -> None:
    assert {load(VALID["png"], "a"): 1}[load(VALID["png"], "a")] == 1
    assert load(VALID["png"], "a") != load(VALID["bmp"], "a")
    assert isinstance(load(VALID["png"]), LoadedImage)
