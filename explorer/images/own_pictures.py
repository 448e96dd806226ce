"""Pictures that a person hands over in Python, by name: files, folders, Pillow's images, arrays, tensors."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image
from torch import Tensor

from explorer.errors import UserError
from explorer.images.folder import pictures_in

Source = Path | bytes  # of a picture: its file, or what would be in one
MOST_GIVEN = 1000
_EXPECTED = "a path, a folder, a PIL image, an array or a tensor is expected"


def own_pictures(given: Any) -> dict[str, Source]:
    """What was given as pictures, one or several, by names that no two share.

    given: a path or folder, a PIL image, an array [H, W, 3], [H, W] or a tensor [3, H, W], [1, H, W] of levels from 0
    to 255 (uint8) or values from 0 to 1; a sequence of these, or a mapping from names. Raises UserError.
    """
    found: dict[str, Source] = {}
    for name, picture in _named(given):
        for own, source in _sources(name, picture):
            found[_free(own, found)] = source
    if len(found) > MOST_GIVEN:
        raise UserError(f"pictures: {len(found):,} were given; at most {MOST_GIVEN:,} are taken.")
    return found


def _named(given: Any) -> Iterable[tuple[str, Any]]:
    if given is None:
        return ()
    if isinstance(given, Mapping):
        return [(str(name), picture) for name, picture in cast("Mapping[Any, Any]", given).items()]
    several = isinstance(given, Iterable) and not isinstance(given, str | Path | Image.Image | np.ndarray | Tensor)
    is_batch = isinstance(given, np.ndarray | Tensor) and given.ndim == 4
    pictures: list[Any] = list(cast("Iterable[Any]", given)) if several or is_batch else [given]
    return [("", picture) for picture in pictures]


def _sources(name: str, picture: Any) -> list[tuple[str, Source]]:
    if isinstance(picture, str | Path):
        path = Path(picture).expanduser()
        if not path.exists():
            raise UserError(f"pictures: {path} is not there.")
        if path.is_file():
            return [(name or path.name, path)]
        return [(found.name, found.path) for found in pictures_in(path)]
    return [(name or "picture", _encoded(_image(picture)))]


def _image(picture: Any) -> Image.Image:
    if isinstance(picture, Image.Image):
        return picture
    if isinstance(picture, Tensor):
        picture = picture.detach().cpu().float().numpy() if picture.is_floating_point() else picture.cpu().numpy()
        picture = np.moveaxis(picture, 0, -1) if picture.ndim == 3 else picture
    if not isinstance(picture, np.ndarray):
        raise UserError(f"pictures: of a {type(picture).__name__} none can be made; {_EXPECTED}.")
    return Image.fromarray(_levels(picture))


def _levels(values: np.ndarray) -> np.ndarray:
    """uint8 [H, W] or [H, W, 3]."""
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] != 3):
        raise UserError(f"pictures: an array of shape {values.shape} is none, neither [H, W, 3] nor [H, W].")
    if values.dtype == np.uint8:
        return values
    if not np.issubdtype(values.dtype, np.floating) or not (values >= 0).all() or not (values <= 1).all():
        raise UserError("pictures: values must be levels from 0 to 255 (uint8), or from 0 to 1, before normalisation.")
    return (values * 255).round().astype(np.uint8)


def _encoded(image: Image.Image) -> bytes:
    file = io.BytesIO()
    (image if image.mode in ("L", "RGB", "RGBA") else image.convert("RGB")).save(file, "PNG")
    return file.getvalue()


def _free(name: str, taken: Mapping[str, Any]) -> str:
    """The name, numbered where it is taken; a picture without one of its own always is."""
    if name != "picture" and name not in taken:
        return name
    return next(own for i in range(1, len(taken) + 2) if (own := f"{name} {i}") not in taken)
