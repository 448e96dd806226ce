"""Where a network's weights come from: random, shipped with the program, torchvision's, or a person's file."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from torch import nn

from explorer.errors import in_percent
from explorer.resources import asset
from models.errors import WeightsError
from models.registry import preset
from models.spec import NetSpec
from models.weights.download import ByteProgress, cached, fetch, is_cached
from models.weights.expected_input import ExpectedInput, imagenet_normalisation
from models.weights.fit import fit
from models.weights.header import Header, read
from models.weights.kept import Kept, Shapes
from models.weights.recognise import shapes_of_spec
from models.weights.safetensors_file import read_into

SHIPPED = asset("weights")
# torchvision builds these with transform_input=True for its weights: they were trained on pixels in [-1, 1], and the
# network undoes ImageNet's normalisation. We give them such pixels at once.
_CENTRED = {"googlenet", "inception_v3"}


@dataclass(frozen=True)
class WeightsSource:
    """One choice of weights for a preset; `name` is unique among them and `classes` in the order of the logits.

    notes: what of a file's header was passed over or changed, one sentence each. shapes: of a file's tensors, None
    where the file need not be here: then they are those of the preset. partial: a person wants what fits of the file,
    even where the network is the preset. room: the folder of a file that lives as long as it is referred to.
    """

    kind: Literal["random", "shipped", "imagenet", "coco", "file", "held"]
    name: str
    title: str
    preprocessing: ExpectedInput
    note: str = ""
    classes: tuple[str, ...] | None = None
    path: Path | None = None
    url: str | None = None
    data: bytes | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()
    shapes: Shapes | None = field(default=None, repr=False, compare=False)
    partial: bool = False
    room: Any = field(default=None, repr=False, compare=False)

    @property
    def needs_download(self) -> bool:
        """Whether `load` would ask the network."""
        return self.url is not None and not is_cached(self.url)


def available(preset_name: str) -> list[WeightsSource]:
    """The weights that a preset can have, those that need no download first. Raises UnknownNameError."""
    chosen = preset(preset_name)
    random = WeightsSource("random", "random", "Random", default_input(chosen.spec), "As initialised, untrained.")
    published = imagenet(chosen.torchvision, chosen.spec.image_size) if chosen.torchvision else []
    return [*_shipped(preset_name), random, *published]


def file_source(name: str, content: bytes | Path, preset_name: str, header: Header | None = None) -> WeightsSource:
    """A person's safetensors file, uploaded (bytes) or on disk, for a preset.

    Its header may hold classes, size and preprocessing, see `models.weights.header`, where it was read before; what it
    leaves out is as the preset's own weights expect it. Raises WeightsError that names the file.
    """
    data = content if isinstance(content, bytes) else None
    path = content if isinstance(content, Path) else None
    found = header or read(name, content)
    source = described_source(name, found, usual_input(preset_name))
    if preset(preset_name).torchvision in _CENTRED and found.choices.mean and found.choices.transform_input is None:
        said = "The header has mean and std, but no transform_input: the network gets exactly these values."
        source = replace(source, notes=(*source.notes, said))
    return replace(source, path=path, data=data)


def described_source(name: str, header: Header, usual: ExpectedInput) -> WeightsSource:
    """Weights as the header of a person's file describes them, `usual` where it says nothing of a picture."""
    preprocessing, notes = header.described(usual)
    return WeightsSource(
        "file", name, name, preprocessing, "Your own file.", header.classes, notes=notes, shapes=header.shapes
    )


def usual_input(preset_name: str) -> ExpectedInput:
    """What the preset's own weights expect of a picture: those shipped, else those that torchvision takes by default.

    Where there are none, a guess, of which the origin says that it is one.
    """
    found = usual_of(available(preset_name), preset(preset_name).torchvision)
    if found.kind != "random":
        return found.preprocessing
    return replace(found.preprocessing, origin=f"a guess, as there are no published weights of {preset_name}")


def usual_of(found: Iterable[WeightsSource], builder: str | None) -> WeightsSource:
    """Of a network's weights those shipped, else those that torchvision takes by default; random where none are."""
    by_name = {source.name: source for source in found}
    if (usual := _torchvisions_choice(builder)) in by_name:
        return by_name[usual]
    return next((source for source in by_name.values() if source.kind != "random"), by_name["random"])


def _torchvisions_choice(builder: str | None) -> str:
    from torchvision.models import get_model_weights  # only here: it takes a second to import

    entries = get_model_weights(builder) if builder else None
    return entries["DEFAULT"].name if entries else ""


def keeps(source: WeightsSource, preset_name: str, spec: NetSpec) -> Kept | None:
    """What a network, whose Spec may be another than the preset's, keeps of the preset's weights; nothing is loaded.

    None where there is nothing to keep (random weights), or the network has to have exactly those (it is the preset).
    Raises WeightsError where nothing of a person's file fits.
    """
    if source.kind == "random" or (spec == preset(preset_name).spec and not source.partial):
        return None
    held = shapes_of_spec(preset(preset_name).spec) if source.shapes is None else source.shapes
    return _something(fit(held, shapes_of_spec(spec)).kept, source)


def _something(kept: Kept, source: WeightsSource) -> Kept:
    """Refuse a person's file of which a network keeps nothing: it was chosen by mistake."""
    if source.kind == "file" and kept.is_nothing:
        raise WeightsError(
            f"{source.name} holds the weights of another network: none of its tensors has the name and shape of one of "
            f"the {len(kept.fresh):,} here."
        )
    return kept


def load(
    module: nn.Module,
    source: WeightsSource,
    progress: ByteProgress | None = None,
    cancel: Callable[[], bool] | None = None,
    partial: bool = False,
) -> Kept | None:
    """Give the module the source's weights, every tensor by name; "random" leaves it as it was built.

    partial: take what fits by name and shape, and leave the rest as it was built. Returns what was taken and what not,
    None for random weights. `progress(bytes_done, bytes_total)` and `cancel()` are called during a download. Raises
    WeightsError with one sentence that names the file and says what to do, or Cancelled; the module is then unchanged.
    """
    if source.kind == "random":
        return None
    if source.data is not None:
        with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
            file.write(source.data)
            file.flush()
            return _something(read_into(module, Path(file.name), source.name, partial), source)
    if source.url is not None:
        path = fetch(source.url, progress or (lambda *_: None), cancel or (lambda: False))
        return _read_cached(module, path, partial)
    assert source.path is not None
    name = source.name if source.kind == "file" else source.path.name
    return _something(read_into(module, source.path, name, partial), source)


def _read_cached(module: nn.Module, path: Path, partial: bool) -> Kept:
    try:
        return read_into(module, path, path.name, partial)
    except WeightsError as error:
        cure = f"if no knob was changed, delete {path}, and it is fetched again"
        raise WeightsError(f"{str(error).rstrip('.')}; {cure}.") from None


def default_input(spec: NetSpec) -> ExpectedInput:
    """The whole picture at the network's size, normalised as for ImageNet (the average of it for other channels)."""
    mean, std = imagenet_normalisation(spec.in_channels)
    return ExpectedInput(spec.image_size, spec.image_size, mean, std, origin="the usual, as no weights say otherwise")


def shipped_rows() -> dict[str, dict[str, Any]]:
    """How each shipped network was trained and what came of it: metrics.json, by preset; nothing without the assets."""
    table = SHIPPED / "metrics.json"
    return json.loads(table.read_text(encoding="utf-8")) if table.exists() else {}


def _shipped(preset_name: str) -> list[WeightsSource]:
    path, row = SHIPPED / f"{preset_name}.safetensors", shipped_rows().get(preset_name)
    if row is None or not path.exists():  # a contest that was stopped may leave one without the other
        return []
    header = read(path.name, path)
    right, epochs = in_percent(row["accuracy"], 2), row["epochs"]
    note = f"{right} right on unseen pictures of the program's own set, after {epochs} epochs."
    preprocessing = replace(header.described(default_input(preset(preset_name).spec))[0], origin="its training")
    return [WeightsSource("shipped", "shipped", "Trained here", preprocessing, note, header.classes, path,
                          shapes=header.shapes)]  # fmt: skip


def imagenet(builder: str, size_px: int) -> list[WeightsSource]:
    """What torchvision has for one of its builders and inputs of `size_px`: at another size weights lose accuracy, or
    do not fit (ViT)."""
    from torchvision.models import get_model_weights  # only here: it takes a second to import

    found = [_published(builder, entry) for entry in get_model_weights(builder) if _is_classifier(entry)]
    return [source for source in found if source.preprocessing.crop_px == size_px]


def coco(builder: str) -> list[WeightsSource]:
    """What torchvision has for one of its builders of segmentation networks, for whole pictures of any size."""
    from torchvision.models import get_model_weights  # only here: it takes a second to import

    return [_segmenting(builder, entry) for entry in get_model_weights(builder)]


def _segmenting(builder: str, entry: Any) -> WeightsSource:
    transform, (side,) = entry.transforms(), entry.transforms().resize_size
    overlap = entry.meta["_metrics"]["COCO-val2017-VOC-labels"]["miou"]
    origin = f"published weights {entry.name} of {builder}"
    return WeightsSource(
        kind="coco",
        name=entry.name,
        title="COCO, the classes of Pascal VOC",
        preprocessing=ExpectedInput(
            side, side, tuple(transform.mean), tuple(transform.std), transform.interpolation.value, origin=origin
        ),
        note=f"{overlap:.1f} % mean intersection over union; {_download_size(entry)}.",
        classes=tuple(entry.meta["categories"]),
        path=cached(entry.url),
        url=entry.url,
    )


def _download_size(entry: Any) -> str:
    return f"{entry.meta['_file_size']:.0f} MiB from {urlsplit(entry.url).netloc}"


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
            transform.resize_size[0],
            transform.crop_size[0],
            mean,
            std,
            transform.interpolation.value,
            origin=f"published weights {entry.name} of {builder}{' (transform_input=True)' * (builder in _CENTRED)}",
        ),
        note=f"{_accuracy(entry):.2f} % top-1; {_download_size(entry)}.",
        classes=tuple(entry.meta["categories"]),
        path=cached(entry.url),
        url=entry.url,
    )
