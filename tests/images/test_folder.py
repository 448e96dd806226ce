"""Which files of a folder are pictures, and what their folders call them."""

from __future__ import annotations

from pathlib import Path

import pytest

from explorer.errors import ImageError
from explorer.images.folder import MOST_FILES, pictures_in


def test_pictures_are_listed_by_name_with_the_folder_that_they_lie_in(tmp_path: Path) -> None:
    for name in ("b/2.PNG", "a/x/1.jpg", "z.webp", "a/notes.txt", ".git/3.png", "a/.hidden.png", "b/deep/4.avif"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = pictures_in(tmp_path)
    assert [(file.name, file.label) for file in found] == [
        ("a/x/1.jpg", "x"), ("b/2.PNG", "b"), ("b/deep/4.avif", "deep"), ("z.webp", "")
    ]  # fmt: skip
    assert all(file.path == tmp_path / file.name for file in found)


def test_a_link_in_a_circle_ends(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").touch()
    (tmp_path / "a" / "again").symlink_to(tmp_path, target_is_directory=True)
    assert [file.name for file in pictures_in(tmp_path)] == ["a/1.png"]


def test_what_is_no_folder_or_empty_is_named(tmp_path: Path) -> None:
    (tmp_path / "file.png").touch()
    (tmp_path / "empty").mkdir()
    for path, why in (("gone", "no folder"), ("file.png", "not a folder"), ("empty", "no pictures")):
        with pytest.raises(ImageError, match=f"{why}.*" if why == "no folder" else why) as caught:
            pictures_in(tmp_path / path)
        assert str(tmp_path / path) in str(caught.value)


def test_more_files_than_anybody_means_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("explorer.images.folder.MOST_FILES", 3)
    for i in range(4):
        (tmp_path / f"{i}.png").touch()
    with pytest.raises(ImageError, match="more than 3 pictures"):
        pictures_in(tmp_path)
    assert MOST_FILES == 5_000_000
