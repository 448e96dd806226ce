"""Pictures: every bad file gives one clear sentence, every odd one the right pixels; preprocessing as torchvision's."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile
from torchvision.models import ResNet50_Weights
from torchvision.transforms import v2

from explorer.errors import ImageError
from explorer.images.codec import LoadedImage, Preprocessing, encode_npy, encode_png, load, resize, save_png, to_pixels
from tests.support.bad_images import CASES, Case
from tests.support.picture_files import HEIGHT, VALID, WIDTH, encode, exif_block, gradient

# Pillow warns of what it tolerates; torch's and Pillow's warnings are not what is tested here.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")

IMAGENET = Preprocessing(256, (224, 224), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def assert_one_clear_sentence(message: str, name: str) -> None:
    assert message.startswith(name) and message.endswith(".")
    assert len(message) < 200 and ". " not in message and "\n" not in message
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
        assert_one_clear_sentence(str(caught.value), name)
        assert case.says in str(caught.value)
        assert caught.value.__suppress_context__
    else:
        picture = load(case.data, name)
        assert picture.pixels.shape == (*case.size, 3) and picture.pixels.dtype == np.uint8
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
        assert picture.pixels.ndim == 3 and picture.pixels.shape[2] == 3 and picture.pixels.dtype == np.uint8


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
        assert picture.name == "photo.png" and np.array_equal(picture.pixels, gradient())
        assert picture.digest == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["absent.png", "nul\0.png", "", "a" * 400])
def test_paths_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(ImageError) as caught:
        load(tmp_path / name)
    assert str(tmp_path) not in str(caught.value) and len(str(caught.value)) < 200


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

    monkeypatch.setattr(load, "_flatten", exhausted)
    with pytest.raises(ImageError, match="a.png does not fit in memory"):
        load(VALID["png"], "a.png")


def test_background_shows_through() -> None:
    clear = encode("PNG", Image.new("RGBA", (WIDTH, HEIGHT), (255, 255, 255, 0)))
    picture = load(clear, background=(10, 20, 30))
    assert (picture.pixels == (10, 20, 30)).all() and "RGB(10, 20, 30)" in picture.notices[0]


def photo(height: int, width: int) -> np.ndarray:
    coarse = np.random.default_rng(height).integers(0, 256, (9, 7, 3), np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("size", [(300, 500), (500, 300), (257, 256), (224, 224), (100, 37), (64, 999)])
def test_preprocessing_equals_torchvisions(size: tuple[int, int]) -> None:
    pixels = photo(*size)
    ours, theirs = IMAGENET.tensor(pixels), ResNet50_Weights.IMAGENET1K_V1.transforms()(Image.fromarray(pixels))
    assert ours.shape == (1, 3, 224, 224) and ours.dtype == torch.float32
    one_level = 1 / 255 / 0.224
    assert (ours[0] - theirs).abs().max() <= 1.01 * one_level
    assert (ours[0] - theirs).abs().mean() <= 0.02 * one_level
    on_tensors = v2.Compose([v2.Resize(256, antialias=True), v2.CenterCrop(224), v2.ToDtype(torch.float32, scale=True)])
    view = torch.from_numpy(IMAGENET.view(pixels)).permute(2, 0, 1) / 255
    assert (view - on_tensors(torch.from_numpy(pixels).permute(2, 0, 1))).abs().max() <= 1.01 / 255


def test_preprocessing_of_a_network_with_one_channel() -> None:
    lenet = Preprocessing(32, (32, 32), (0.1307,), (0.3081,), channels=1)
    pixels = photo(40, 60)
    theirs = v2.Compose([v2.Resize(32), v2.CenterCrop(32), v2.Grayscale(), v2.PILToTensor()])(Image.fromarray(pixels))
    expected = (theirs / 255 - 0.1307) / 0.3081
    assert lenet.tensor(pixels).shape == (1, 1, 32, 32)
    assert (lenet.tensor(pixels)[0] - expected).abs().max() <= 1.01 / 255 / 0.3081
    view = lenet.view(pixels)
    assert view.shape == (32, 32, 3) and (view == view[..., :1]).all()


def test_mini_networks_see_the_whole_square() -> None:
    mini = Preprocessing(64, (64, 64), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    pixels = photo(64, 64)
    assert np.array_equal(mini.view(pixels), pixels)
    assert np.array_equal(to_pixels(mini.tensor(pixels), mini.mean, mini.std), pixels)


@pytest.mark.parametrize("size", [(1, 1), (1, 20000), (20000, 1), (3, 25_000_000 // 3)])
@pytest.mark.parametrize("crop", [(224, 224), (128, 224), (224, 100)])
def test_extreme_sizes_cost_only_what_is_kept(
    size: tuple[int, int], crop: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    computed, real = list[tuple[int, int]](), Image.Image.resize

    def counted(image: Image.Image, to: tuple[int, int], *rest: Any, **options: Any) -> Image.Image:
        computed.append(to)
        return real(image, to, *rest, **options)

    monkeypatch.setattr(Image.Image, "resize", counted)
    view = Preprocessing(256, crop, IMAGENET.mean, IMAGENET.std).view(np.full((*size, 3), 77, np.uint8))
    assert view.shape == (*crop, 3) and (view == 77).all()
    assert computed == [crop[::-1]]


def test_non_square_crop_keeps_the_aspect_ratio() -> None:
    pixels = np.zeros((100, 400, 3), np.uint8)
    pixels[40:60, 190:210] = 255  # a square in the middle
    view = Preprocessing(100, (80, 160), IMAGENET.mean, IMAGENET.std).view(pixels)
    bright = view[..., 0] > 127
    assert bright.any(0).sum() == bright.any(1).sum() == 20
    assert np.flatnonzero(bright.any(0)).mean() == 79.5 and np.flatnonzero(bright.any(1)).mean() == 39.5


def test_stretch_keeps_every_edge() -> None:
    pixels = np.zeros((10, 40, 3), np.uint8)
    pixels[:, :4] = 255
    stretched = resize(pixels, (20, 20), "stretch")
    assert stretched.shape == (20, 20, 3) and (stretched[5, 0] == 255).all()
    assert resize(pixels, (20, 20), "cover").max() == 0


def test_to_pixels_takes_any_values() -> None:
    tensor = torch.tensor([float("nan"), -9.0, 0.5, float("inf")]).view(1, 1, 2, 2)
    assert to_pixels(tensor, (0.0,), (1.0,))[..., 2].tolist() == [[0, 0], [128, 255]]


@pytest.mark.parametrize(
    "change", [{"channels": 2}, {"mean": (0.5,)}, {"crop": (300, 300)}, {"crop": (0, 224)}], ids=str
)
def test_preprocessing_that_cannot_be(change: dict) -> None:
    arguments = {"resize_px": 256, "crop": (224, 224), "mean": IMAGENET.mean, "std": IMAGENET.std, **change}
    with pytest.raises(ValueError):
        Preprocessing(**arguments)


def test_png_and_npy_round_trip(tmp_path: Path) -> None:
    for array in (gradient(), gradient()[..., 0], np.dstack([gradient(), gradient()[..., :1]])):
        assert np.array_equal(np.array(Image.open(io.BytesIO(encode_png(array)))), array)
    save_png(gradient(), tmp_path / "out.png")
    assert np.array_equal(load(tmp_path / "out.png").pixels, gradient())
    values = np.linspace(0, 1, 24, dtype=np.float32).reshape(2, 3, 4)
    assert np.array_equal(np.load(io.BytesIO(encode_npy(values))), values)
    with pytest.raises(TypeError, match="uint8"):
        encode_png(values)


def test_a_loaded_image_is_a_cache_key() -> None:
    assert {load(VALID["png"], "a"): 1}[load(VALID["png"], "a")] == 1
    assert load(VALID["png"], "a") != load(VALID["bmp"], "a")
    assert isinstance(load(VALID["png"]), LoadedImage)
