"""Index maps combined: branches merged, dimensions summed, statistics, products of activations and of weights."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain

from explorer.receptive_field import dims, index_map
from explorer.receptive_field.index_map import Atoms, IndexMap, Tables, made
from explorer.receptive_field.tables import Atom, Table, union


def merged(maps: Sequence[IndexMap]) -> IndexMap:
    """add, mul …: the union of the branches; one without a local field is a gate, which the local field leaves out."""
    together = index_map.broadcast(maps)
    lead = max(together, key=lambda found: found.map_size[0] * found.map_size[1])
    located = [found.local for found in together if found.local is not None]
    strict = _unions([found.strict for found in together])
    same = all(found.local is found.strict for found in together)
    local = strict if same else _unions(located) if located else None
    exact = all(found.is_exact for found in maps)
    return IndexMap(lead.dims, strict, local, lead.map_size, exact)


def _unions(pairs: Sequence[Tables]) -> Tables:
    rows, columns = zip(*pairs, strict=True)
    return union(rows), union(columns)


def gated(found: IndexMap, others: Iterable[IndexMap]) -> IndexMap:
    """A tensor each of whose elements also reads all of others: weights that are computed from the image."""
    for other in others:
        atoms = list(chain(*other.dims))
        even = not other.varies(atoms)
        whole = tuple(table.without(table.axes) for table in other.strict)
        strict = union([found.strict[0], whole[0]]), union([found.strict[1], whole[1]])
        found = replace(found, strict=strict, is_exact=found.is_exact and other.is_exact and even)
    return found


def statistic(found: IndexMap, over: Collection[Atom]) -> IndexMap:
    """A norm, or a softmax: strictly each element sees all those along some atoms, locally itself."""
    strict = found.strict[0].without(over), found.strict[1].without(over)
    return replace(found, strict=strict)


def summed(found: IndexMap, gone: Collection[Atom]) -> IndexMap:
    """What sums along some atoms leave. What is left of a whole map, or of all its rows, is a gate."""
    is_gate = found.local is None or any(_loses_all(table, gone) for table in found.local)
    left = found.with_tables(lambda table: table.without(gone))
    return replace(left, local=None) if is_gate else left


def _loses_all(table: Table, gone: Collection[Atom]) -> bool:
    along = [atom for atom in table.axes if atom.label != dims.C]
    return bool(along) and all(atom in gone for atom in along)


def reduced(found: IndexMap, over: Collection[int], keepdim: bool) -> IndexMap:
    """mean, sum, max … over dimensions."""
    left = summed(found, [atom for at in over for atom in found.dims[at]])
    new = [made(1) if at in over else atoms for at, atoms in enumerate(left.dims) if keepdim or at not in over]
    return replace(left, dims=tuple(new))


def contracted(found: IndexMap, at: int, size: int | None, groups: int = 1) -> IndexMap:
    """Weighted sums over a dimension, `size` of them; None where the dimension goes. Each group of channels has its
    own share of them."""
    if size is None:
        return reduced(found, [at], keepdim=False)
    if groups == 1 or not found.varies(found.dims[at]):
        left = summed(found, found.dims[at])
        return left.with_dim(at, made(size))
    shape = found.shape
    found = index_map.reshaped(found, (*shape[:at], groups, shape[at] // groups, *shape[at + 1 :]))
    left = summed(found, found.dims[at + 1])
    share = made(size // groups) if size > groups else ()
    return replace(left, dims=(*left.dims[:at], (*left.dims[at], *share), *left.dims[at + 2 :]))


def product(a: IndexMap, b: IndexMap) -> IndexMap:
    """a @ b of two activations [..., i, k] and [..., k, j]: element (i, j) sees row i of a and column j of b.

    Positions meet other positions there: where both factors have some, the product is a gate.
    """
    a, b = reduced(a, [len(a.dims) - 1], keepdim=True), reduced(_renewed(b), [len(b.dims) - 2], keepdim=True)
    found = merged([a, b])
    return replace(found, local=None) if a.local is not None and b.local is not None else found


def attention(query: IndexMap, others: Sequence[IndexMap], shape: Sequence[int]) -> IndexMap:
    """Scaled dot products of [..., tokens, width]: each token sees itself and all tokens of keys and values."""
    query = reduced(query, [len(query.dims) - 1], keepdim=True)
    read = [reduced(_renewed(other), [len(other.dims) - 2, len(other.dims) - 1], keepdim=True) for other in others]
    found = index_map.expanded(merged([query, *read]), tuple(shape))
    return replace(found, local=None)


def _renewed(found: IndexMap) -> IndexMap:
    """The same tensor with atoms of its own, so that it can be beside itself."""
    names = {atom: Atom(atom.size, atom.label) for atoms in found.dims for atom in atoms}
    new = (tuple(names[atom] for atom in atoms) for atoms in found.dims)
    return found.with_tables(lambda table: table.renamed(names), new)


def einsum(letters: Sequence[str], maps: Sequence[IndexMap], output: str, sizes: Mapping[str, int]) -> IndexMap:
    """Sums of products by Einstein's convention: letters[i] name the dimensions of maps[i].

    What is not in the output is summed; weights among the factors see nothing, and only lend their sizes.
    """
    operands: list[IndexMap] = []
    for names, found in zip(letters, maps, strict=True):
        gone = [at for at, name in enumerate(names) if name not in output]
        left = reduced(_renewed(found), gone, keepdim=False)
        kept = [name for name in names if name in output]
        order = sorted(range(len(kept)), key=lambda at: output.index(kept[at]))
        placed: dict[str, Atoms] = {kept[at]: left.dims[at] for at in order}
        operands.append(replace(left, dims=tuple(placed.get(name, made(1)) for name in output)))
    found = index_map.expanded(merged(operands), tuple(sizes[name] for name in output))
    meets = sum(operand.local is not None for operand in operands) > 1
    return replace(found, local=None) if meets else found
