"""A Spec as a JSON file, and back without loss."""

from __future__ import annotations

import json
from pathlib import Path

import models
from explorer.errors import UserError, shown
from explorer.types import InputSize
from models.spec import NetSpec, Spec

MOST_SPEC_BYTES = 1024**2  # the largest Spec has some ten thousand


def spec_text(spec: Spec) -> str:
    """The JSON of a Spec: the architecture or block that it is of, and all hyperparameters."""
    if isinstance(spec, NetSpec):
        owner = {"architecture": models.architecture_for(spec).name}
    else:
        owner = {"block": next(block.name for block in models.blocks() if block.spec is type(spec))}
    return json.dumps(owner | {"spec": spec.model_dump(mode="json")}, indent=2) + "\n"


def read_spec(name: str, content: bytes | Path) -> Spec:
    """The Spec in a file, uploaded (bytes) or on disk. Raises UserError that names the file, SpecError."""
    try:
        if isinstance(content, Path) and content.stat().st_size > MOST_SPEC_BYTES:
            raise UserError(f"{name} has {content.stat().st_size:,} bytes; at most {MOST_SPEC_BYTES:,} are read.")
        text = content if isinstance(content, bytes) else content.read_bytes()
        said = json.loads(text)
    except OSError as error:
        raise UserError(f"{name} cannot be read: {error.strerror or error}.") from None
    except (ValueError, RecursionError):
        raise UserError(f"{name} is not valid JSON.") from None
    match said:
        case {"architecture": str(owner), "spec": {**values}}:
            known = {each.name: each.spec for each in models.architectures()}
        case {"block": str(owner), "spec": {**values}}:
            known = {each.name: each.spec for each in models.blocks()}
        case _:
            raise UserError(f"{name} holds no network: a JSON object with architecture and spec is needed.")
    if owner not in known:
        raise UserError(f"{name} is of {shown(owner)}, which is not known here.")
    return known[owner].parse(values)


def spec_input_size(spec: Spec) -> InputSize:
    """(channels, height, width) of what the network or block of a Spec reads."""
    if isinstance(spec, NetSpec):
        return spec.in_channels, spec.image_size, spec.image_size
    size = next(block.input_size for block in models.blocks() if block.spec is type(spec))
    return getattr(spec, "in_channels", size[0]), size[1], size[2]
