"""A module out to a file: Python, ONNX, torch's .pt2, or the weights alone as safetensors."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from explorer.errors import UserError, shown
from explorer.exchange.onnx_out import write_onnx
from explorer.exchange.source.write import python_source
from explorer.graph import doors
from explorer.graph.export import quiet
from explorer.graph.reasons import reason
from explorer.graph.trace import mode
from explorer.graph.unchanged import unchanged
from explorer.images.preprocess import Preprocessing
from explorer.types import InputSize
from explorer.whole_file import write_whole

FileFormat = Literal["python", "onnx", "pt2", "safetensors"]
FILE_ENDINGS: dict[FileFormat, str] = {"python": ".py", "onnx": ".onnx", "pt2": ".pt2", "safetensors": ".safetensors"}


@dataclass(frozen=True)
class Said:
    """What a file says beside the network: the classes in the order of its outputs, and a picture's way into it."""

    classes: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None

    def entries(self) -> dict[str, Any]:
        """The entries of a header, under the names that `models.weights.header` reads."""
        found: dict[str, Any] = {"classes": list(self.classes)} if self.classes else {}
        if (how := self.preprocessing) is None:
            return found
        if len({*how.crop}) == 1:
            found |= {"image_size": how.crop[0], "resize": how.resize_px}
        order = {} if how.channels == 1 else {"channels": how.order}
        mean_and_std = {"mean": list(how.mean), "std": list(how.std)}
        return found | {"fit": how.fit, "interpolation": how.interpolation} | mean_and_std | order


def export(
    module: nn.Module,
    path: str | Path,
    format: FileFormat | None = None,
    input_size: InputSize = (3, 224, 224),
    *,
    classes: Sequence[str] = (),
    preprocessing: Preprocessing | None = None,
) -> None:
    """Write a network to a file, whole or not at all; the module is left as it was.

    format: "python", one file of classes that needs torch alone and loads the module's own state dict; "onnx", with
    weights, for any number of images, compared with onnxruntime; "pt2", torch's exported program, the same;
    "safetensors", the weights; by default what the ending of `path` says. input_size: (channels, height, width) of the
    image that it is written for. classes, preprocessing: what the file says of them. Raises TraceError, UserError that
    names what cannot be written or is not installed, OSError.
    """
    target, size = Path(path), doors.checked_size(input_size)
    kind = _by_ending(target) if format is None else format
    if kind not in FILE_ENDINGS:
        raise UserError(f"format={shown(kind)} is not one of {', '.join(FILE_ENDINGS)}.")
    said, network = Said(tuple(classes), preprocessing), doors.checked(module)
    with mode(network, training=False), unchanged(network):
        write_whole(target, lambda draft: _WRITERS[kind](network, draft, size, said))


def _by_ending(path: Path) -> FileFormat:
    for kind, ending in FILE_ENDINGS.items():
        if path.suffix.lower() == ending:
            return kind
    raise UserError(f"path={shown(path.name)} does not end in one of {', '.join(FILE_ENDINGS.values())}.")


def _python(module: nn.Module, path: Path, size: InputSize, said: Said) -> None:
    stated = {name.upper(): value for name, value in said.entries().items()}
    path.write_text(python_source(module, size, stated, path.name), encoding="utf-8")


def _onnx(module: nn.Module, path: Path, size: InputSize, said: Said) -> None:
    _refuse_meta(module)
    write_onnx(module, path, size, said.entries())


def _pt2(module: nn.Module, path: Path, size: InputSize, said: Said) -> None:
    _refuse_meta(module)
    example = torch.zeros(2, *size, dtype=next(module.parameters()).dtype, device=next(module.parameters()).device)
    try:
        with quiet(), torch.no_grad():
            program = torch.export.export(
                module, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},), strict=False
            )
            for node in program.graph.nodes:
                node.meta.pop("stack_trace", None)  # it has paths of this machine
            files = {f"{name}.json": json.dumps(value) for name, value in {"cnn-explorer": said.entries()}.items()}
            torch.export.save(program, path, extra_files=files)
    except Exception as error:
        raise UserError(f"{type(module).__name__} cannot be exported by torch: {reason(error)}.") from None


def _safetensors(module: nn.Module, path: Path, size: InputSize, said: Said) -> None:
    del size
    _refuse_meta(module)
    entries = said.entries()
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in entries.items()}
    state = {name: value.detach().cpu().contiguous().clone() for name, value in module.state_dict().items()}
    save_file({name: value for name, value in state.items() if isinstance(value, Tensor)}, path, texts)


def _refuse_meta(module: nn.Module) -> None:
    if any(value.is_meta for value in module.state_dict().values()):
        raise UserError(
            f"{type(module).__name__} has no weights, only their shapes: it can be written as Python alone."
        )


_WRITERS: dict[FileFormat, Callable[[nn.Module, Path, InputSize, Said], None]] = {
    "python": _python, "onnx": _onnx, "pt2": _pt2, "safetensors": _safetensors
}  # fmt: skip
