"""A person's file of weights and the network that it is for: with the classes and channels that its tensors show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from explorer.networks import catalog
from explorer.networks.catalog import Network
from explorer.networks.libraries import check_name, library_options, library_shapes
from models.errors import WeightsError
from models.weights import sources
from models.weights.expected_input import ExpectedInput
from models.weights.own_file import OwnFile
from models.weights.recognise import Buildable, NetworkMatch, adapted, buildable
from models.weights.safetensors_file import difference
from models.weights.sources import WeightsSource

AUX_LOGITS = ("googlenet", "inception_v3")  # torchvision's with heads that training alone uses


@dataclass(frozen=True)
class OwnWeights:
    """A network with a person's file: the source to load it from, and how the two go together."""

    network: Network
    source: WeightsSource
    match: NetworkMatch


def own_weights(
    file: OwnFile, name: str, knobs: Mapping[str, str] | None = None, seed: int = 0, partial: bool = False
) -> OwnWeights:
    """The network of that name with the file's weights; knobs that are given, as text, stay as they are.

    partial: take what fits. Raises WeightsError that names the file and the first difference, UnknownNameError,
    SpecError.
    """
    given, size = dict(knobs or {}), file.header.image_size
    if ":" not in name and size is not None:
        given = {"image_size": str(size), **given}
    usual, described = catalog.usual_input(name), catalog.find(name, given, seed)
    match = adapted(file.header.shapes, builder_of(name), _knobs_of(described, name), fixed=given)
    if not (match.fit.is_whole or partial or knobs):
        what = f"{file.name} holds the weights of another network: {difference(match.fit)}"
        raise WeightsError(f"{what}. `identify` says which; --partial takes the {len(match.fit.same):,} that fit.")
    network = catalog.find(name, given, seed, match.knobs)
    return OwnWeights(network, own_source(file, name, match, usual, partial), match)


def own_source(
    file: OwnFile, name: str, match: NetworkMatch, usual: ExpectedInput, partial: bool = False
) -> WeightsSource:
    """The file as a choice of weights for the network of that name, of which weights usually expect `usual`."""
    if ":" in name:
        source = sources.described_source(file.name, file.header, usual)
    else:
        source = sources.file_source(file.name, file.path, name, file.header)
    said = match.reading(file.header)
    notes = (*([f"{file.name}: {said}."] if said else []), *source.notes)
    return replace(source, path=file.path, room=file.room, notes=notes, partial=partial)


def _knobs_of(network: Network, name: str) -> dict[str, Any]:
    """The knobs that were set by hand."""
    if network.spec is None:
        return {}
    return network.spec.changes_from(sources.preset(name).spec)


def builder_of(name: str) -> Buildable:
    """A preset, `torchvision:NAME` or `timm:NAME`, with what can be changed in it. Raises UnknownNameError."""
    library, _, inner = name.rpartition(":")
    if not library:
        return buildable(name)
    check_name(name)
    switches = ("aux_logits",) if library == "torchvision" and inner in AUX_LOGITS else ()
    return Buildable(name, lambda knobs: library_shapes(name, knobs), library_options(name), switches)
