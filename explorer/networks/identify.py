"""What is it? The networks that a file of weights may belong to: presets first, then those of torchvision and timm."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable

import models
from explorer.errors import Cancelled
from explorer.networks.knob_text import encode_knob, plain
from explorer.networks.libraries import has_timm, library_names, library_shapes, timm_families, torchvision_kinds
from explorer.networks.own_weights import builder_of
from models.weights.fit import fit
from models.weights.own_file import OwnFile
from models.weights.recognise import NetworkMatch, adapted, candidates, overlap, ranked
from models.weights.safetensors_file import difference

NEAR_ENOUGH = 0.9  # of all tensors fit: another library's network is none that fits better
NEAREST_FAMILIES = 3  # of timm's, of which every network is looked at
LEAST_SHARE = 0.2  # of names, that a family's first network has in common with the file
MOST_SHOWN = 5
SearchProgress = Callable[[int, int], None]  # networks done, and in all


def identify(file: OwnFile, progress: SearchProgress = lambda *_: None, everywhere: bool = True) -> list[NetworkMatch]:
    """The networks whose tensors are most like the file's, the best first; the search ends with one that fits whole.

    everywhere: where no preset comes near, look through torchvision and timm as well, which takes half a minute.
    progress: may raise Cancelled.
    """
    found = candidates(file.header.shapes, progress)
    if not everywhere or any(match.fit.is_whole or overlap(match.fit) > NEAR_ENOUGH for match in found):
        return found
    for match in _of_libraries(file, progress):
        found.append(match)
        if match.fit.is_whole:
            break
    return ranked(found)


def _of_libraries(file: OwnFile, progress: SearchProgress) -> Iterable[NetworkMatch]:
    seen = {models.preset(name).torchvision for name in models.presets()}
    own = [f"torchvision:{name}" for name in torchvision_kinds() if name not in seen]
    names = [*_hinted(file), *own]
    families = timm_families()
    for done, name in enumerate(names):
        progress(done, len(names) + len(families))
        yield from _tried(file, name)
    shares = dict[tuple[str, str], float]()
    for done, (family, members) in enumerate(families.items(), len(names)):
        progress(done, len(names) + len(families))
        shares[family] = _share(file, min(members, key=len))
    nearest = sorted((family for family in shares if shares[family] >= LEAST_SHARE), key=lambda family: -shares[family])
    members = [name for family in nearest[:NEAREST_FAMILIES] for name in families[family]]
    for done, name in enumerate(members):
        progress(done, len(members))
        yield from _tried(file, name)


def _hinted(file: OwnFile) -> list[str]:
    """The networks that the file's name, or what the checkpoint says, names: the longest names first."""
    said = [re.sub(r"\W", "_", text.lower()) for text in (file.header.architecture, file.name)]
    found = [name for name in library_names() if any(name.partition(":")[2] in text for text in said)]
    return sorted(found, key=lambda name: -len(name.partition(":")[2]))[:6]


def _tried(file: OwnFile, name: str) -> Iterable[NetworkMatch]:
    try:
        yield adapted(file.header.shapes, builder_of(name))
    except Cancelled:
        raise
    except Exception:  # a builder of a library that fails here has no weights of its own to be told by
        return


def _share(file: OwnFile, name: str) -> float:
    """Which share of all names a network and the file have in common, whichever of the two is the larger."""
    try:
        wanted = library_shapes(name)
    except Exception:  # as above
        return 0.0
    return len(fit(file.header.shapes, wanted).names) / math.sqrt(max(1, len(wanted) * len(file.header.shapes)))


# -- in words ---------------------------------------------------------------------------------------------------------


def in_words(match: NetworkMatch) -> str:
    """A network with the knobs that the file shows: "resnet18 with num_classes=5"."""
    knobs = ", ".join(f"{name}={encode_knob(plain(value))}" for name, value in match.knobs.items())
    return f"{match.name} with {knobs}" if knobs else match.name


def verdict(file: OwnFile, matches: list[NetworkMatch]) -> str:
    """The answer in a sentence or two."""
    if not matches:
        more = "" if has_timm() else " timm's were not looked at, as it is not installed."
        return f"{file.name} is like no network that is known here.{more}"
    best = matches[0]
    if best.fit.is_whole:
        return f"{file.name} is {in_words(best)}: all {len(best.fit.same):,} tensors fit."
    few = f"{len(best.fit.same):,} of its {len(file.header.shapes):,} tensors fit"
    return f"{file.name} is most like {in_words(best)}: {few}; {difference(best.fit)}."
