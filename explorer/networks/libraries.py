"""The networks that torchvision and timm build, by name."""

from __future__ import annotations

import difflib
import importlib.util
import warnings
from collections.abc import Callable, Mapping
from functools import cache, lru_cache, partial
from itertools import groupby
from string import ascii_lowercase
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from explorer.errors import UnknownNameError
from explorer.types import InputSize
from models.weights.kept import Shapes, shapes_of

INSTALL_TIMM = "pip install 'cnn-explorer[timm]'"
LIBRARIES = ("torchvision", "timm")
BACKBONE = ".backbone"  # behind a detector's name: what makes its maps, without the search for boxes behind it
_USUAL_PX, _DETECTION_PX, _SSD_PX = 224, 320, 300


@cache
def torchvision_kinds() -> dict[str, str]:
    """The networks of torchvision that read one image, by name, and what each is for."""
    from torchvision import models as library  # only here and below: it takes a second to import

    listed: Any = library.list_models
    return {
        **dict.fromkeys(listed(module=library), "classification"),
        **dict.fromkeys(listed(module=library.segmentation), "segmentation"),
        **dict.fromkeys((name + BACKBONE for name in listed(module=library.detection)), "detection"),
    }


def library_task(name: str) -> str:
    """What a network of torchvision or timm is for: "classification", "segmentation" or "detection"."""
    library, _, inner = name.partition(":")
    return torchvision_kinds()[inner] if library == "torchvision" else "classification"


@cache
def timm_names() -> tuple[str, ...]:
    """The networks of timm; none where it is not installed."""
    if not has_timm():
        return ()
    import timm  # pyright: ignore[reportMissingImports]

    return tuple(timm.list_models())


def has_timm() -> bool:
    """Whether timm is installed."""
    return importlib.util.find_spec("timm") is not None


def library_names() -> list[str]:
    """Every name of both: `torchvision:NAME`, then `timm:NAME`."""
    return [*(f"torchvision:{name}" for name in torchvision_kinds()), *(f"timm:{name}" for name in timm_names())]


@cache
def timm_families() -> dict[tuple[str, str], tuple[str, ...]]:
    """timm's networks, as `timm:NAME`, by the module of timm that has them and the letters that their names begin with:
    some modules have networks of many kinds. None where it is not installed."""
    if not has_timm():
        return {}
    import timm  # pyright: ignore[reportMissingImports]

    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for module in timm.list_modules():
        for letters, names in groupby(sorted(timm.list_models(module=module)), key=_first_letters):
            found[module, letters] = tuple(f"timm:{name}" for name in names)
    return found


def _first_letters(name: str) -> str:
    return name[: len(name) - len(name.lstrip(ascii_lowercase))]


def check_name(name: str) -> None:
    """Refuse what neither library builds. Raises UnknownNameError that names the nearest, or how to install timm."""
    if why := why_unknown(name):
        raise UnknownNameError(f"{name!r} {why}.")


def why_unknown(name: str) -> str:
    """Why neither library builds a network of this name, as half a sentence; "" where one does."""
    library, _, inner = name.partition(":")
    if library not in LIBRARIES:
        return f"is no preset, nor a name of {' or '.join(LIBRARIES)}"
    if library == "timm" and not has_timm():
        return f"needs timm, which is not installed: {INSTALL_TIMM}"
    known = [*(torchvision_kinds() if library == "torchvision" else timm_names())]
    if inner in known:
        return ""
    near = [inner + BACKBONE] if inner + BACKBONE in known else difflib.get_close_matches(inner, known, n=1)
    return f"is no network of {library}" + "".join(f"; the nearest is {library}:{one}" for one in near)


def library_input_size(name: str) -> InputSize:
    """(channels, height, width) of the images that a network is meant for, by what its weights say of them."""
    library, _, inner = name.partition(":")
    if library == "timm":
        import timm  # pyright: ignore[reportMissingImports]

        described: Any = timm.get_pretrained_cfg(inner)
        return described.input_size
    side = _torchvisions_side(inner)
    return 3, side, side


def library_options(name: str) -> dict[str, tuple[int, int]]:
    """The options that tell a builder of classes and channels: the side of a tensor in which each shows, and its value
    by itself."""
    library, _, inner = name.partition(":")
    if library == "timm":
        import timm  # pyright: ignore[reportMissingImports]

        described: Any = timm.get_pretrained_cfg(inner)
        return {"num_classes": (0, described.num_classes), "in_chans": (1, described.input_size[0])}
    classes = {"classification": 1000, "segmentation": 21, "detection": 91}
    return {"num_classes": (0, classes[torchvision_kinds()[inner]])}


def _torchvisions_side(name: str) -> int:
    if torchvision_kinds()[name] == "detection":
        return _SSD_PX if name.startswith("ssd300") else _DETECTION_PX
    from torchvision.models import get_model_weights

    entries: Any = list(get_model_weights(name))
    transform = entries[0].transforms() if entries else None
    side = getattr(transform, "crop_size", None) or getattr(transform, "resize_size", None) or [_USUAL_PX]
    return side[0]


def library_module(
    name: str, device: str, seed: int = 0, options: Mapping[str, Any] = MappingProxyType({})
) -> nn.Module:
    """A network in evaluation mode, with weights as the seed initialises them; "meta" allocates nothing.

    options: what its builder is told, see `library_options`.
    """
    library, _, inner = name.partition(":")
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        make = _timms(inner, options) if library == "timm" else _torchvisions(inner, options)
        torch.manual_seed(seed)
        try:
            with torch.device(device):
                return make().eval()
        except NotImplementedError:  # widths that are computed with tensors, which "meta" cannot: it allocates first
            torch.manual_seed(seed)
            return make().eval().to(device)


def library_shapes(name: str, options: Mapping[str, Any] = MappingProxyType({})) -> Shapes:
    """The shapes in the state dict of a network that is told these options; kept, as building one takes a while."""
    return _shapes(name, tuple(options.items()))


@lru_cache(maxsize=2048)
def _shapes(name: str, options: tuple[tuple[str, Any], ...]) -> Shapes:
    return shapes_of(library_module(name, "meta", options=dict(options)))


def _timms(name: str, options: Mapping[str, Any]) -> Callable[[], nn.Module]:
    import timm  # pyright: ignore[reportMissingImports]

    return partial(timm.create_model, name, **options)


def _torchvisions(name: str, options: Mapping[str, Any]) -> Callable[[], nn.Module]:
    from torchvision.models import get_model

    if torchvision_kinds()[name] == "classification":
        return partial(get_model, name, **options)
    # By default these would download weights of the network that they are built around.
    make: Callable[[], Any] = partial(
        get_model, name.removesuffix(BACKBONE), weights=None, weights_backbone=None, **options
    )
    return partial(_backbone, make) if name.endswith(BACKBONE) else make


def _backbone(make: Callable[[], Any]) -> nn.Module:
    return make().backbone
