"""A network in a file, opened: its module, and what the file says of itself. No code of it is run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from explorer.exchange.onnx_file import OnnxModel, read_onnx
from explorer.exchange.onnx_program import input_size, network_of
from explorer.exchange.pt2_file import Pt2Model, read_pt2
from explorer.exchange.pt2_program import network_of_pt2, pt2_input_size
from explorer.types import InputSize

NETWORK_SUFFIXES = (".onnx", ".pt2", ".json")


@dataclass(frozen=True, eq=False)
class NetworkFile:
    """build: makes the module on a device ("meta" allocates nothing), with the file's weights. metadata: the texts that
    the file holds beside the network. digest: of its content."""

    build: Callable[[str], nn.Module]
    input_size: InputSize
    metadata: Mapping[str, str]
    digest: str


def is_network_file(name: str) -> bool:
    """Whether a name is that of a file with a network, and of no preset."""
    return name.lower().endswith(NETWORK_SUFFIXES)


def open_network_file(name: str, content: bytes | Path) -> NetworkFile:
    """Read a file, uploaded (bytes) or on disk. Raises UserError, one sentence that names it."""
    if name.lower().endswith(".pt2"):
        program = read_pt2(name, content)
        return _opened(lambda device: network_of_pt2(program, device), pt2_input_size(program), program)
    model = read_onnx(name, content)
    return _opened(lambda device: network_of(model, device), input_size(model), model)


def _opened(build: Callable[[str], nn.Module], size: InputSize, model: OnnxModel | Pt2Model) -> NetworkFile:
    build("meta")  # what cannot be built is found out here
    return NetworkFile(build, size, model.metadata, model.digest)
