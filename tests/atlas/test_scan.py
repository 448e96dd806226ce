"""Scans of a folder: what they find, and what comes of kills, locks, full disks and broken pictures."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from explorer.analysis.activations import feature_maps
from explorer.atlas import scan_folder
from explorer.atlas.picture_sets import FolderPictures, UnseenPictures
from explorer.atlas.scan import ScanJob, scan_steps, with_names
from explorer.atlas.scan_file import Scan, encode, read_scan
from explorer.cli.main import main
from explorer.errors import Cancelled, UserError
from explorer.networks import catalog
from explorer.networks.catalog import LoadedNetwork
from tests.support.page import TRAINED
from tests.support.places import ROOT

LAYERS = ("features.2", "features.6")
COUNT = 22


def picture(number: int) -> np.ndarray:
    """Blocks of colour, uint8 [64, 64, 3]."""
    blocks = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
    return np.kron(blocks, np.ones((8, 8, 1), np.uint8))


def save_pictures(folder: Path, count: int) -> Path:
    for number in range(count):
        path = folder / f"{number % 3}" / f"{number:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(number)).save(path, compress_level=1)
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 pictures in three folders, and among them files that are no pictures, or too large."""
    folder = save_pictures(tmp_path_factory.mktemp("pictures"), COUNT)
    (folder / "0" / "0000a.png").write_text("not a picture")
    (folder / "1" / "empty.jpg").touch()
    huge = io.BytesIO()
    Image.new("1", (6000, 6000)).save(huge, "PNG")
    (folder / "2" / "huge.png").write_bytes(huge.getvalue())
    return folder


@pytest.fixture(scope="module")
def loaded() -> LoadedNetwork:
    return catalog.load(catalog.find(TRAINED), catalog.weights_source(TRAINED), "cpu")


def job(loaded: LoadedNetwork, folder: Path, batch: int = 8) -> ScanJob:
    return ScanJob.of(TRAINED, loaded, FolderPictures(folder), LAYERS, batch)


def scanned(of: ScanJob, workers: int = 2) -> Scan:
    *_, last = scan_steps(of, workers=workers)
    return with_names(last, of.pictures)


def run(pictures: Path, out: Path, *more: str) -> int:
    return main(["scan", TRAINED, str(pictures), "--layers", *LAYERS, "--batch", "8", "--out", str(out), *more])


def test_each_picture_was_seen_alone_by_the_network_as_well(pictures: Path, loaded: LoadedNetwork) -> None:
    found = scanned(job(loaded, pictures))
    files = sorted(path for path in pictures.rglob("0*.png") if path.stem.isdecimal())
    inputs = [loaded.input(np.array(Image.open(path))) for path in files]
    for layer in LAYERS:
        maps = np.stack([feature_maps(loaded.program, each, layer).numpy() for each in inputs])
        expected = np.sort(maps.max((2, 3)), 0)[::-1][:9].T
        np.testing.assert_allclose(found.of(layer).values, expected, rtol=1e-4, atol=1e-5)
        names = np.array([path.relative_to(pictures).as_posix() for path in files])
        best = names[maps.max((2, 3)).argmax(0)].tolist()
        assert [found.names[number] for number in found.of(layer).pictures[:, 0].tolist()] == best


def test_broken_and_huge_pictures_are_listed_and_skipped(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(pictures, tmp_path / "out") == 0
    said = capsys.readouterr()
    found = read_scan(tmp_path / "out" / scan_folder.RESULT)
    assert found.is_complete
    assert (found.seen, found.broken_count) == (COUNT + 3, 3)
    assert [each.name for each in found.broken] == ["0/0000a.png", "1/empty.jpg", "2/huge.png"]
    assert "25 pictures, the strongest nine of each of 72 channels of 2 layers" in said.out
    for each in found.broken:
        assert f"skipped {each.name}: {each.problem}" in said.err
    assert "the limit is 25,000,000" in found.broken[2].problem


def test_a_name_that_would_steer_a_terminal_is_told_with_its_signs_escaped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = save_pictures(tmp_path / "set", 2)
    (folder / "\x1b]0;owned\x07.png").write_bytes(b"")
    assert run(folder, tmp_path / "out") == 0
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert "\\x1b]0;owned\\x07.png" in said


def test_neither_threads_nor_where_it_was_stopped_change_a_byte(pictures: Path, loaded: LoadedNetwork) -> None:
    of = job(loaded, pictures)
    whole = encode(scanned(of))
    assert encode(scanned(of, workers=7)) == whole
    for stopped_at in (1, 2):
        steps = scan_steps(of)
        for _ in range(stopped_at):
            before = next(steps)
        steps.close()
        *_, last = scan_steps(of, before)
        assert encode(with_names(last, of.pictures)) == whole


def test_what_was_scanned_is_not_scanned_again(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(pictures, tmp_path) == 0
    monkeypatch.setattr("explorer.cli.scan.scan_steps", None)
    assert run(pictures, tmp_path) == 0
    assert "holds this scan already" in capsys.readouterr().err


def test_a_folder_with_the_scan_of_something_else_is_left_alone(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(pictures, tmp_path) == 0
    before = (tmp_path / scan_folder.RESULT).read_bytes()
    others = {
        "network": ["--set", "num_classes=5"], "weights": ["--weights", "random"], "batch": ["--batch", "4"],
        "layers": ["--layers", "features.2"], "preprocessing": ["--fit", "pad"],
    }  # fmt: skip
    for field, more in others.items():
        capsys.readouterr()
        assert run(pictures, tmp_path, *more) == 2
        said = capsys.readouterr().err.splitlines()[-1]
        assert f"is a scan of other {field}" in said
        assert "--restart" in said
        assert (tmp_path / scan_folder.RESULT).read_bytes() == before


def test_pictures_that_were_changed_are_another_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = save_pictures(tmp_path / "set", 10)
    assert run(folder, tmp_path / "out") == 0
    (folder / "0" / "0000.png").unlink()
    assert run(folder, tmp_path / "out") == 2
    assert "is a scan of other pictures" in capsys.readouterr().err
    Image.fromarray(picture(99)[:32]).save(folder / "0" / "0000.png")
    assert run(folder, tmp_path / "out") == 2
    assert "is a scan of other pictures" in capsys.readouterr().err
    assert run(folder, tmp_path / "out", "--restart") == 0
    assert "all 10 pictures are scanned again" in capsys.readouterr().err
    replace_by_one_of_its_size(folder / "0" / "0000.png")
    assert run(folder, tmp_path / "out") == 2
    assert "is a scan of other pictures (files were replaced" in capsys.readouterr().err
    assert run(folder, tmp_path / "out", "--restart") == 0
    assert read_scan(tmp_path / "out" / scan_folder.RESULT).subject.pictures_digest == FolderPictures(folder).digest


@pytest.mark.parametrize("left", [scan_folder.RESULT, scan_folder.UNFINISHED, scan_folder.ROWS])
def test_what_any_engine_left_is_forgotten_and_told(left: str, tmp_path: Path) -> None:
    assert not scan_folder.forget(tmp_path)
    (tmp_path / left).mkdir() if left == scan_folder.ROWS else (tmp_path / left).touch()
    assert scan_folder.forget(tmp_path)
    assert not (tmp_path / left).exists()


def replace_by_one_of_its_size(path: Path) -> None:
    old, size = path.read_bytes(), path.stat().st_size
    path.write_bytes(old[: size // 2] + bytes(size - size // 2))
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 10**9))


def test_two_scans_do_not_mix_in_one_folder(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with scan_folder.own_folder(tmp_path):
        assert run(pictures, tmp_path) == 2
    said = capsys.readouterr().err
    assert "another scan is at work in this folder" in said
    assert run(pictures, tmp_path) == 0


class FullDisk:
    """Takes so many files, then none."""

    def __init__(self, room: int) -> None:
        self.room, self.write = room, Path.write_bytes

    def __call__(self, path: Path, content: bytes) -> int:
        self.room -= 1
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.write(path, content)


def test_on_a_full_disk_what_was_kept_stays_and_the_scan_goes_on_later(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, out = FullDisk(2), tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", lambda path, content: disk(path, content))
        assert run(pictures, out, "--every", "1") == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "unfinished.safetensors cannot be written: No space left on device. What was kept before stays" in said[0]
    assert read_scan(out / scan_folder.UNFINISHED).seen == 16
    assert run(pictures, out, "--every", "1") == 0
    assert "going on after 16 of 25 pictures" in capsys.readouterr().err
    assert run(pictures, tmp_path / "other") == 0
    results = [(folder / scan_folder.RESULT).read_bytes() for folder in (out, tmp_path / "other")]
    assert results[0] == results[1]
    assert not (out / scan_folder.UNFINISHED).exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nothing_here"], "There is no folder nothing_here"),
        ([str(Path(__file__).parent)], "holds no pictures"),
        ([str(ROOT / "assets" / "samples"), "--layers", "conv9"], "layer='conv9' is not a layer"),
        ([str(ROOT / "assets" / "samples"), "--batch", "0"], "--batch 0"),
        ([str(ROOT / "assets" / "samples"), "--out", __file__], "test_scan.py"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scan", TRAINED, "--out", str(tmp_path), *arguments]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert says in said


def test_a_folder_of_which_nothing_can_be_opened_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.png").write_text("not a picture")
    assert main(["scan", TRAINED, str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "None of the 1 pictures could be opened; the first: a.png is not a picture" in capsys.readouterr().err


def test_a_damaged_state_is_named(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / scan_folder.UNFINISHED).write_bytes(b"half of a sc")
    assert run(pictures, tmp_path) == 2
    assert "unfinished.safetensors is not a safetensors file" in capsys.readouterr().err


def test_a_cancelled_scan_raises(pictures: Path, loaded: LoadedNetwork) -> None:
    with pytest.raises(Cancelled):
        next(scan_steps(job(loaded, pictures), cancel=lambda: True))


def test_the_unseen_set_is_that_of_the_contest() -> None:
    found = UnseenPictures(30)
    assert len(found) == 30
    assert {found.label(number) for number in range(12)} == set(catalog.weights_source(TRAINED).classes or ())
    assert found.pixels(3).shape == (64, 64, 3)
    assert found.name(3) == f"{found.label(3)} 3"
    assert found.parts(3)
    with pytest.raises(UserError, match="count=0"):
        UnseenPictures(0)


@pytest.mark.fuzz
@pytest.mark.timeout(300)
def test_killed_at_random_points_a_scan_of_2000_ends_with_the_same_bytes(tmp_path: Path) -> None:
    kills = 20 if "FUZZ_EXAMPLES" in os.environ else 6
    pictures = save_pictures(tmp_path / "set", 2_000)
    command = [sys.executable, "-m", "tests.support.killed_scans", str(pictures), str(tmp_path), str(kills)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == kills
    found = [(tmp_path / name / scan_folder.RESULT).read_bytes() for name in ("whole", "killed")]
    assert found[0] == found[1]
    assert read_scan(tmp_path / "killed" / scan_folder.RESULT).seen == 2_000
    assert not (tmp_path / "killed" / scan_folder.UNFINISHED).exists()
