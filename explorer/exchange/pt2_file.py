"""What a .pt2 file of torch.export says, as plain data. It may be hostile: no code and no pickle in it is opened.

The graph is JSON and weights are bytes in a zip that compresses nothing; `torch.export.load`, which runs code that a
crafted file holds, has no part in it.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from pydantic import BaseModel, ValidationError

from explorer.errors import UserError, shown
from explorer.exchange.pt2_schema import (
    ExportedNode,
    ExportedProgram,
    GraphModule,
    InputSpec,
    Payload,
    Payloads,
    TensorMeta,
)
from explorer.exchange.stored import StoredTensor, content_of
from explorer.types import Shape

MOST_JSON_BYTES = 32 * 1024**2  # the largest network of timm has a fifth of that
MOST_JSON_VALUES = 3_000_000  # in as many bytes; each takes some hundred bytes of memory
OWN_ENTRY = "extra/cnn-explorer.json"  # what `explorer.export` says of the network
_MOST_ENTRIES = 100_000
_Parsed = TypeVar("_Parsed", bound=BaseModel)

# Of torch's ScalarType: torch's type, and numpy's of the stored bytes.
PT2_TYPES: dict[int, tuple[torch.dtype, str]] = {
    1: (torch.uint8, "u1"), 2: (torch.int8, "i1"), 3: (torch.int16, "<i2"), 4: (torch.int32, "<i4"),
    5: (torch.int64, "<i8"), 6: (torch.float16, "<f2"), 7: (torch.float32, "<f4"), 8: (torch.float64, "<f8"),
    12: (torch.bool, "?"), 13: (torch.bfloat16, "<i2"),
}  # fmt: skip


class _Pt2Error(Exception):
    """What is wrong with a file, as the rest of a sentence that begins with its name."""


@dataclass(frozen=True, eq=False)
class Pt2Model:
    """A parsed file. tensors: by the name that the program reads them under, with whether they are trained.

    input_shape: of [N, C, H, W], None where a side is left open, `sides` what it was where the program was made.
    """

    name: str
    nodes: tuple[ExportedNode, ...]
    tensors: Mapping[str, tuple[StoredTensor, bool]]
    input: str
    input_shape: tuple[int | None, ...]
    sides: Shape
    dtype: torch.dtype
    outputs: tuple[str, ...]
    metadata: Mapping[str, str]
    digest: str


def read_pt2(name: str, content: bytes | Path) -> Pt2Model:
    """Parse a file, uploaded (bytes) or on disk. Raises UserError, one sentence that names it."""
    data = content_of(name, content)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _model(name, _Archive(archive, len(data)), hashlib.sha256(data).hexdigest())
    except _Pt2Error as error:
        raise UserError(f"{name} {error}.") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError):
        raise UserError(f"{name} is no .pt2 file of torch.export, or it is damaged.") from None


class _Archive:
    """The entries of a zip by their path inside its one folder; each is read as it is, and all of them once at most."""

    def __init__(self, archive: zipfile.ZipFile, size_bytes: int) -> None:
        self._archive, self._left_bytes = archive, size_bytes
        entries = archive.infolist()
        if len(entries) > _MOST_ENTRIES:
            raise _Pt2Error(f"has {len(entries):,} entries; at most {_MOST_ENTRIES:,} are read")
        self._entries = {entry.filename.partition("/")[2]: entry for entry in entries}

    def __contains__(self, path: str) -> bool:
        return path in self._entries

    def paths(self, folder: str) -> list[str]:
        """The entries in a folder."""
        return [path for path in self._entries if path.startswith(folder)]

    def size_bytes(self, path: str) -> int:
        return self._entries[path].file_size

    def read(self, path: str) -> bytes:
        """An entry's bytes, once its checksum is found right."""
        if path not in self._entries:
            raise _Pt2Error(f"is damaged: it lacks {shown(path)}")
        entry = self._entries[path]
        if entry.compress_type != zipfile.ZIP_STORED:
            raise _Pt2Error(f"holds {shown(path)} compressed, which torch never writes")
        self._left_bytes -= entry.file_size
        if self._left_bytes < 0:
            raise _Pt2Error("is damaged: its parts are larger than the whole")
        return self._archive.read(entry)

    def parsed(self, path: str, kind: type[_Parsed]) -> _Parsed:
        """An entry of JSON."""
        if path in self._entries and self.size_bytes(path) > MOST_JSON_BYTES:
            raise _Pt2Error(
                f"describes its network in {self.size_bytes(path):,} bytes; at most {MOST_JSON_BYTES:,} are read"
            )
        data = self.read(path)
        if sum(map(data.count, (b",", b"{", b"["))) > MOST_JSON_VALUES:
            raise _Pt2Error(f"describes its network in more than the {MOST_JSON_VALUES:,} values that are read")
        try:
            return kind.model_validate_json(data)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise _Pt2Error(f"is damaged: {shown(path)} at {shown(place, 80)}: {first['msg']}") from None


def _model(name: str, archive: _Archive, digest: str) -> Pt2Model:
    label = _label(archive)
    program = archive.parsed(f"models/{label}.json", ExportedProgram).graph_module
    image = _image(program)
    described = program.graph.tensor_values.get(image)
    if described is None:
        raise _Pt2Error(f"is damaged: it does not say what its input {shown(image)} is")
    shape, sides = _input_shape(described)
    dtype, _ = _type(image, described)
    return Pt2Model(
        name, tuple(program.graph.nodes), _tensors(program, _Weights(archive, label)), image, shape, sides, dtype,
        _outputs(program), _metadata(archive), digest,
    )  # fmt: skip


def _label(archive: _Archive) -> str:
    """The name of the one program in the file."""
    if "serialized_exported_program.json" in archive or archive.paths("") == [""]:
        raise _Pt2Error("was written by an older torch, with its weights as a pickle; save it again with torch 2.9 on")
    labels = [path[7:-5] for path in archive.paths("models/") if path.endswith(".json")]
    if len(labels) == 1:
        return labels[0]
    if archive.paths("data/aotinductor/") and not labels:
        raise _Pt2Error("holds compiled code and no graph; save the exported program itself")
    raise _Pt2Error(f"holds {len(labels)} programs; a file with one is read" if labels else "holds no exported program")


def _image(program: GraphModule) -> str:
    """The name of the one input that is no weight."""
    given = [spec.user_input.arg for spec in program.signature.input_specs if spec.user_input]
    if len(given) != 1 or given[0].as_tensor is None:
        raise _Pt2Error(f"takes {len(given)} inputs, or one that is no tensor: networks of one image can be opened")
    return given[0].as_tensor.name


def _input_shape(described: TensorMeta) -> tuple[tuple[int | None, ...], Shape]:
    """The shape with None for what is left open, and (channels, height, width) where the program was made."""
    if len(described.sizes) != 4:
        raise _Pt2Error(
            f"takes an input of {len(described.sizes)} dimensions: networks of images [N, C, H, W] can be opened"
        )
    shape = tuple(side.as_int for side in described.sizes)
    hints = tuple(side.as_expr and side.as_expr.hint and side.as_expr.hint.as_int for side in described.sizes)
    sides = tuple(known or hint or 0 for known, hint in zip(shape, hints, strict=True))
    for side in (*(side for side in shape if side is not None), *sides):
        if not 0 <= side <= 100_000:
            raise _Pt2Error(f"takes an input with a side of {shown(side)}, which is none")
    return shape, sides[1:]


def _outputs(program: GraphModule) -> tuple[str, ...]:
    given = [spec.user_output.arg for spec in program.signature.output_specs if spec.user_output]
    names = tuple(arg.as_tensor.name for arg in given if arg.as_tensor)
    if not names:
        raise _Pt2Error("gives no tensor")
    return names


def _metadata(archive: _Archive) -> dict[str, str]:
    """What the file says of the network in our own words, each entry a text."""
    if OWN_ENTRY not in archive or archive.size_bytes(OWN_ENTRY) > MOST_JSON_BYTES:
        return {}
    try:
        said: Any = json.loads(archive.read(OWN_ENTRY))
    except (ValueError, RecursionError):
        return {}
    if not isinstance(said, dict):
        return {}
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in said.items()}


# -- tensors ----------------------------------------------------------------------------------------------------------


class _Weights:
    """The tensors of the file by name: the weights, and what is beside them in the program's constants."""

    def __init__(self, archive: _Archive, label: str) -> None:
        self._archive = archive
        self._payloads: dict[str, tuple[str, Payload]] = {}
        for folder, config in (("weights", "weights"), ("constants", "constants")):
            path = f"data/{folder}/{label}_{config}_config.json"
            if path in archive:
                found = archive.parsed(path, Payloads).config
                self._payloads |= {name: (folder, payload) for name, payload in found.items()}
        self._bytes: dict[str, bytes] = {}
        self._tied: dict[Any, StoredTensor] = {}

    def named(self, name: str) -> StoredTensor:
        """A tensor; two names for one tensor give one."""
        folder, payload = self._payloads.get(name, ("", None))
        if payload is None:
            raise _Pt2Error(f"is damaged: it lacks the weight {shown(name)}")
        if payload.use_pickle or payload.tensor_meta is None:
            raise _Pt2Error(f"holds {shown(name)} as a pickle, which is not opened, as it could run code")
        path = f"data/{folder}/{payload.path_name}"
        key = path, payload.tensor_meta.model_dump_json()
        if key not in self._tied:
            if path not in self._bytes:
                self._bytes[path] = self._archive.read(path)
            self._tied[key] = _stored(name, payload.tensor_meta, self._bytes[path])
        return self._tied[key]


def _tensors(program: GraphModule, weights: _Weights) -> dict[str, tuple[StoredTensor, bool]]:
    """By the name under which the program reads them."""
    found = {}
    for spec in program.signature.input_specs:
        if spec.user_input is None:
            read_as, name = _weight(spec)
            found[read_as] = weights.named(name), spec.parameter is not None
    return found


def _weight(spec: InputSpec) -> tuple[str, str]:
    if spec.parameter:
        return spec.parameter.arg.name, spec.parameter.parameter_name
    if spec.buffer:
        return spec.buffer.arg.name, spec.buffer.buffer_name
    if spec.tensor_constant:
        return spec.tensor_constant.arg.name, spec.tensor_constant.tensor_constant_name
    raise _Pt2Error("takes something that is neither an image nor a weight")


def _type(name: str, described: TensorMeta) -> tuple[torch.dtype, str]:
    found = PT2_TYPES.get(described.dtype)
    if found is None:
        raise _Pt2Error(f"holds {shown(name)} in a type that is not read (number {shown(described.dtype)})")
    return found


def _stored(name: str, described: TensorMeta, storage: bytes) -> StoredTensor:
    """A tensor from the bytes of its storage, of which it may be a part, in any order."""
    dtype, kind = _type(name, described)
    shape, strides = (tuple(side.as_int for side in sides) for sides in (described.sizes, described.strides))
    offset = described.storage_offset.as_int
    numbers = (*shape, *strides, offset)
    if not all(number is not None and 0 <= number < 2**48 for number in numbers) or len(shape) != len(strides):
        raise _Pt2Error(f"is damaged: {shown(name)} has no size")
    held = len(storage) // np.dtype(kind).itemsize
    last = offset + sum((side - 1) * stride for side, stride in zip(shape, strides, strict=True))  # pyright: ignore
    count = math.prod(shape)  # pyright: ignore
    if count and (last >= held or count > held):
        size = "×".join(map(str, shape[:8])) or "a single value"
        raise _Pt2Error(f"is damaged: {shown(name)} should be {shown(size)} and has {held:,} values")
    flat = np.frombuffer(storage, kind, count=held)[offset:] if count else np.zeros(0, kind)
    steps = tuple(stride * flat.itemsize for stride in strides)  # pyright: ignore
    values = np.lib.stride_tricks.as_strided(flat, shape, steps, writeable=False)  # pyright: ignore if count else flat
    return StoredTensor(name, shape, dtype, np.ascontiguousarray(values).reshape(-1))  # pyright: ignore
