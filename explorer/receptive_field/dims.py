"""What each dimension of a tensor means: batch, channels, rows, columns, or tokens.

Networks reshape freely (channel shuffles, channels-last blocks, tokens), and a receptive field is a statement about
rows and columns: so we follow where they are.
"""

from __future__ import annotations

from math import prod

from explorer.types import Shape

N, C, H, W = "N", "C", "H", "W"
T = "T"  # rows and columns merged in order: tokens
X = "X"  # positions mixed with channels

Layout = tuple[str, ...]
MAP: Layout = (N, C, H, W)
SPATIAL = frozenset({H, W, T})


def regroup(shape: Shape, layout: Layout, target: Shape, map_size: tuple[int, int]) -> Layout | None:
    """The layout after a reshape (view, flatten, squeeze …) that keeps the order of the elements; None where it cuts
    rows or columns, or mixes them with something else."""
    labels: list[str] = []
    for sources, targets in groups(shape, target):
        group = [layout[i] for i in sources if shape[i] > 1] or [layout[i] for i in sources[:1]]
        found = _labels(group, [target[i] for i in targets], map_size)
        if found is None:
            return None
        labels.extend(found)
    return tuple(labels)


def groups(shape: Shape, target: Shape) -> list[tuple[list[int], list[int]]]:
    """Pair runs of dimensions of equal product, as short as possible."""
    found: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(shape) or j < len(target):
        sources, targets = ([i] if i < len(shape) else []), ([j] if j < len(target) else [])
        i, j = i + len(sources), j + len(targets)
        while prod(shape[k] for k in sources) != prod(target[k] for k in targets):
            if prod(shape[k] for k in sources) < prod(target[k] for k in targets):
                sources.append(i)
                i += 1
            else:
                targets.append(j)
                j += 1
        found.append((sources, targets))
    return found


def _labels(group: list[str], sizes: list[int], map_size: tuple[int, int]) -> list[str] | None:
    """Labels of the target dimensions of one group; `group` names what its source dimensions were."""
    found = set(group)
    long = [size for size in sizes if size > 1]
    if not sizes:
        return []
    if not found & SPATIAL:
        return [N if found == {N} and len(sizes) == 1 else C] * len(sizes)
    if group == [T] and tuple(sizes) == map_size:
        return [H, W]
    if len(long) <= 1 and (len(group) == 1 or group == [H, W]):
        label = group[0] if len(group) == 1 else T
        at = sizes.index(long[0]) if long else 0
        return [label if k == at else C for k in range(len(sizes))]
    return None


def reorder(layout: Layout, order: list[int]) -> Layout:
    """The layout after a permutation of the dimensions."""
    return tuple(layout[i] for i in order)
