"""Where a network's weights come from: random, shipped with the program, ImageNet (torchvision), or a person's file."""

from __future__ import annotations

import io
import json
import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from torch import nn

from explorer.resources import asset
from models.errors import WeightsError
from models.registry import preset
from models.spec import NetSpec
from models.weights.download import ByteProgress, cached, fetch, is_cached
from models.weights.safetensors_file import read_into, read_metadata

SHIPPED = asset("weights")
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
GRAY_MEAN, GRAY_STD = 0.449, 0.226  # the averages of ImageNet's three

# torchvision builds these with transform_input=True for its weights: they were trained on pixels in [-1, 1], and the
# network undoes ImageNet's normalisation. We give them such pixels at once.
_CENTRED = {"googlenet", "inception_v3"}


@dataclass(frozen=True)
class ExpectedInput:
    """The shorter side is resized to `resize_px`, the middle `crop_px`² kept, and (x − mean) / std taken, x in 0…1.

    interpolation: how pixels are resized, by torchvision's name for it.
    """

    resize_px: int
    crop_px: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bilinear"


@dataclass(frozen=True)
class WeightsSource:
    """One choice of weights for a preset; `name` is unique among them and `classes` in the order of the logits."""

    kind: Literal["random", "shipped", "imagenet", "file"]
    name: str
    title: str
    preprocessing: ExpectedInput
    note: str = ""
    classes: tuple[str, ...] | None = None
    path: Path | None = None
    url: str | None = None
    data: bytes | None = field(default=None, repr=False)

    @property
    def needs_download(self) -> bool:
        """Whether `load` would ask the network."""
        return self.url is not None and not is_cached(self.url)


def available(preset_name: str) -> list[WeightsSource]:
    """The weights that a preset can have, those that need no download first. Raises UnknownNameError."""
    chosen = preset(preset_name)
    random = WeightsSource("random", "random", "Random", _default(chosen.spec), "As initialised, untrained.")
    published = imagenet(chosen.torchvision, chosen.spec.image_size) if chosen.torchvision else []
    return [*_shipped(preset_name), random, *published]


def file_source(name: str, content: bytes | Path, preset_name: str) -> WeightsSource:
    """A person's safetensors file, uploaded (bytes) or on disk, for a preset.

    Its header may hold `classes`, `mean`, `std` and `image_size` as JSON. Raises WeightsError that names the file.
    """
    data = content if isinstance(content, bytes) else None
    path = content if isinstance(content, Path) else None
    facts = _facts(name, content)
    preprocessing = _described(facts, preset(preset_name).spec)
    return WeightsSource(
        "file", name, name, preprocessing, "Your own file.", _classes(facts), path=path, data=data
    )  # fmt: skip


def load(
    module: nn.Module,
    source: WeightsSource,
    progress: ByteProgress | None = None,
    cancel: Callable[[], bool] | None = None,
) -> None:
    """Give the module the source's weights, every tensor by name; "random" leaves it as it was built.

    `progress(bytes_done, bytes_total)` and `cancel()` are called during a download. Raises WeightsError with one
    sentence that names the file and says what to do, or Cancelled; the module is then unchanged.
    """
    if source.kind == "random":
        return
    if source.data is not None:
        with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
            file.write(source.data)
            file.flush()
            read_into(module, Path(file.name), source.name)
        return
    if source.url is not None:
        _read_cached(module, fetch(source.url, progress or (lambda done, total: None), cancel or (lambda: False)))
        return
    assert source.path is not None
    read_into(module, source.path, source.name if source.kind == "file" else source.path.name)


def _read_cached(module: nn.Module, path: Path) -> None:
    try:
        read_into(module, path, path.name)
    except WeightsError as error:
        cure = f"if no knob was changed, delete {path}, and it is fetched again"
        raise WeightsError(f"{str(error).rstrip('.')}; {cure}.") from None


def _default(spec: NetSpec) -> ExpectedInput:
    """The whole picture at the network's size, normalised as for ImageNet (the average of it for other channels)."""
    rgb, channels = spec.in_channels == 3, spec.in_channels
    mean, std = (IMAGENET_MEAN, IMAGENET_STD) if rgb else ((GRAY_MEAN,) * channels, (GRAY_STD,) * channels)
    return ExpectedInput(spec.image_size, spec.image_size, mean, std)


def shipped_rows() -> dict[str, dict[str, Any]]:
    """How each shipped network was trained and what came of it: metrics.json, by preset."""
    return json.loads((SHIPPED / "metrics.json").read_text(encoding="utf-8"))


def _shipped(preset_name: str) -> list[WeightsSource]:
    path, row = SHIPPED / f"{preset_name}.safetensors", shipped_rows().get(preset_name)
    if row is None or not path.exists():  # a contest that was stopped may leave one without the other
        return []
    facts = _facts(path.name, path)
    note = f"{row['accuracy']:.2%} right on unseen pictures of the program's own set, after {row['epochs']} epochs."
    preprocessing = _described(facts, preset(preset_name).spec)
    return [WeightsSource("shipped", "shipped", "Trained here", preprocessing, note, _classes(facts), path)]


def imagenet(builder: str, size_px: int) -> list[WeightsSource]:
    """What torchvision has for one of its builders and inputs of `size_px`: at another size weights lose accuracy, or
    do not fit (ViT)."""
    from torchvision.models import get_model_weights  # only here: it takes a second to import

    found = [_published(builder, entry) for entry in get_model_weights(builder) if _is_classifier(entry)]
    return [source for source in found if source.preprocessing.crop_px == size_px]


def _is_classifier(entry: Any) -> bool:
    """Not a backbone alone, of which no accuracy is known."""
    return not math.isnan(_accuracy(entry))


def _accuracy(entry: Any) -> float:
    return entry.meta["_metrics"]["ImageNet-1K"]["acc@1"]


def _published(builder: str, entry: Any) -> WeightsSource:
    transform = entry.transforms()
    mean, std = tuple(transform.mean), tuple(transform.std)
    if builder in _CENTRED:
        mean, std = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    return WeightsSource(
        kind="imagenet",
        name=entry.name,
        title=f"ImageNet ({entry.name.removeprefix('IMAGENET1K_')})",
        preprocessing=ExpectedInput(
            transform.resize_size[0], transform.crop_size[0], mean, std, transform.interpolation.value
        ),
        note=f"{_accuracy(entry):.2f} % top-1; {entry.meta['_file_size']:.0f} MiB from {urlsplit(entry.url).netloc}.",
        classes=tuple(entry.meta["categories"]),
        path=cached(entry.url),
        url=entry.url,
    )


def _facts(name: str, content: bytes | Path) -> dict[str, Any]:
    """What the header's free text says, each value read as JSON where it is JSON."""
    try:
        if isinstance(content, bytes):
            metadata = read_metadata(io.BytesIO(content), len(content), name)
        else:
            with content.open("rb") as handle:
                metadata = read_metadata(handle, content.stat().st_size, name)
    except OSError as error:
        raise WeightsError(f"{name} cannot be read: {error.strerror or error}.") from None
    return {key: _json(text) for key, text in metadata.items()}


def _json(text: Any) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return None


def _classes(facts: dict[str, Any]) -> tuple[str, ...] | None:
    match facts.get("classes"):
        case [*names] if names and all(isinstance(name, str) for name in names):
            return tuple(names)
    return None


def _described(facts: dict[str, Any], spec: NetSpec) -> ExpectedInput:
    """The preprocessing that the header describes; what it leaves out, or has wrong, is the preset's default."""
    default = _default(spec)
    size = facts.get("image_size")
    size = size if type(size) is int and 8 <= size <= 1024 else spec.image_size
    mean, std = _numbers(facts.get("mean"), spec.in_channels), _numbers(facts.get("std"), spec.in_channels)
    if mean is None or std is None or min(std) <= 0:
        mean, std = default.mean, default.std
    return ExpectedInput(size, size, mean, std)


def _numbers(value: Any, count: int) -> tuple[float, ...] | None:
    numbers = value if isinstance(value, list) and len(value) == count else []
    plain = [float(x) for x in numbers if type(x) in (int, float) and abs(x) < 1e6]
    return tuple(plain) if len(plain) == count else None
