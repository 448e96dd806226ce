"""What the command line says of a picture's way into a network, and what a person can say of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

import models
from tests.cli.test_describe import run


@pytest.fixture
def wide(tmp_path: Path) -> str:
    """A picture twice as wide as high, white in its middle and black at both ends."""
    pixels = np.zeros((64, 128, 3), np.uint8)
    pixels[:, 32:96] = 255
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    return str(tmp_path / "wide.png")


def maps_of(capsys, picture: str, out: Path, *options: str) -> tuple[np.ndarray, str]:
    """The network's input itself, and what was said."""
    code, _, err = run(
        capsys, "features", "lenet_mini", picture, "--layer", "input", "--out", str(out / "x.png"), *options
    )
    assert code == 0, err
    return np.load(out / "x.npy"), err


def test_the_centre_is_cut_out_and_said_to_be(capsys, tmp_path: Path, wide: str) -> None:
    values, said = maps_of(capsys, wide, tmp_path, "--mean", "0", "--std", "1")
    assert values.min() == 1
    assert "does not see the outer 25 % at left and right" in said
    assert "centre 64×64" in said


@pytest.mark.parametrize("fit", ["stretch", "pad"])
def test_all_of_the_picture_is_seen_when_it_is_stretched_or_padded(capsys, tmp_path, wide: str, fit: str) -> None:
    values, said = maps_of(capsys, wide, tmp_path, "--mean", "0", "--std", "1", "--fit", fit)
    middle = values[0, values.shape[1] // 2]
    assert middle.min() == 0
    assert middle.max() == 1
    assert "does not see" not in said
    assert "from: fit, mean, std as chosen, else its training" in said


def test_values_go_through_the_range_mean_and_std_that_are_given(capsys, tmp_path: Path, wide: str) -> None:
    values, said = maps_of(capsys, wide, tmp_path, "--range=-1..1")
    assert values.max() == 1
    assert "values from -1 to 1" in said
    values, _ = maps_of(capsys, wide, tmp_path, "--mean", "100,100,100", "--std", "50", "--range", "0..255")
    assert values.max() == pytest.approx(3.1)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--std", "1e-40", "--mean", "0"], "std=1e-40"),
        (["--mean", "0"], "mean=0 needs std beside it"),
        (["--mean", "a,b"], "is not numbers with commas between"),
        (["--resize", "10"], "resize=10"),
        (["--mean", "0,0", "--std", "1"], "mean=0, 0 has 2 numbers"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(capsys, tmp_path: Path, wide: str, options, sentence: str) -> None:
    out = tmp_path / "x.png"
    code, _, err = run(capsys, "features", "lenet_mini", wide, "--layer", "input", "--out", str(out), *options)
    assert code == 2
    assert sentence in err
    assert not out.exists()


def test_the_summary_of_an_occlusion_holds_it(capsys, tmp_path: Path, wide: str) -> None:
    square = ["--window", "32", "--stride", "32"]
    code, out, err = run(capsys, "occlude", "lenet_mini", wide, "--out", str(tmp_path / "out"), *square)
    assert code == 0
    assert json.loads(out)["preprocessing"] in err
    assert "its training" in json.loads(out)["preprocessing"]


def test_the_size_in_a_files_header_is_the_size_of_the_network(capsys, tmp_path: Path, wide: str) -> None:
    network = models.build("resnet_mini", image_size=96)
    save_file(network.state_dict(), tmp_path / "own.safetensors", {"image_size": "96"})
    code, _, err = run(
        capsys, "features", "resnet_mini", wide, "--layer", "input", "--out", str(tmp_path / "x.png"),
        "--weights", str(tmp_path / "own.safetensors"),
    )  # fmt: skip
    assert code == 0, err
    assert np.load(tmp_path / "x.npy").shape == (3, 96, 96)


def test_channels_come_in_the_order_that_is_asked_for_and_mean_and_std_with_them(capsys, tmp_path: Path) -> None:
    Image.fromarray(np.full((64, 64, 3), (255, 51, 0), np.uint8)).save(tmp_path / "orange.png")
    picture, given = str(tmp_path / "orange.png"), ("--mean", "0,0,1", "--std", "1,1,2")
    straight, said = maps_of(capsys, picture, tmp_path, *given)
    assert straight[:, 0, 0].tolist() == pytest.approx([1, 0.2, -0.5])
    assert "blue, green, red" not in said
    flipped, said = maps_of(capsys, picture, tmp_path, *given, "--channels", "BGR")
    assert flipped[:, 0, 0].tolist() == pytest.approx([0, 0.2, 0])
    assert "channels blue, green, red" in said


def test_a_usual_mean_follows_its_colours(capsys, tmp_path: Path) -> None:
    straight, _ = maps_of(capsys, "cat", tmp_path)
    flipped, _ = maps_of(capsys, "cat", tmp_path, "--channels", "BGR")
    np.testing.assert_array_equal(flipped, straight[::-1])


def test_the_order_is_in_the_file_that_is_written_and_read_from_it(capsys, tmp_path: Path) -> None:
    plain, first, own = (tmp_path / f"{name}.safetensors" for name in ("plain", "first", "own"))
    save_file(models.build("lenet_mini").state_dict(), plain)
    save_file(models.build("lenet_mini").state_dict(), first, {"channels": "BGR"})
    code, _, err = run(capsys, "export", "lenet_mini", "--weights", str(first), "--out", str(own))
    assert code == 0, err
    straight, _ = maps_of(capsys, "cat", tmp_path, "--weights", str(plain))
    flipped, said = maps_of(capsys, "cat", tmp_path, "--weights", str(own))
    np.testing.assert_allclose(flipped, straight[::-1], atol=1e-6)
    assert "channels blue, green, red" in said


@pytest.mark.parametrize("order", ["GBR", "bgr"])
def test_another_order_is_refused(capsys, tmp_path: Path, order: str) -> None:
    options = ("features", "lenet_mini", "cat", "--layer", "input", "--out", str(tmp_path / "x.png"))
    code, _, err = run(capsys, *options, "--channels", order)
    assert code == 2
    assert order in err
