"""LightGCN's propagation for a few nodes: only the rows that they need are computed.

The result is exact, no neighbour is left out. A batch needs its nodes, their neighbours, the neighbours of
those, and so on. The last hop is for the batch's rows alone on any graph; on one much larger than what the
hops reach, so are the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch

from recbole_llminit.nn.propagation import Graph, propagate, sparse_tensor

Ids = npt.NDArray[np.int64]

# Beyond this share of the graph's edges a part costs more than the whole: it is looked up, renumbered and
# transposed first.
_WORTH = 0.5


@dataclass(frozen=True)
class ReceptiveField:
    """The nodes within each number of hops of some nodes, and the edges between them.

    Attributes:
        nodes: Sorted ids within 0, 1, ... n_layers hops, each set holding the one before; None once it
            is most of the graph, and all nodes are taken.
        hops: For each hop, the adjacency from the larger set to the smaller one, and its transpose.
    """

    nodes: tuple[Ids | None, ...]
    hops: tuple[tuple[torch.Tensor, torch.Tensor], ...]


def receptive_field(graph: Graph, wanted: Ids, n_layers: int) -> ReceptiveField:
    """Return what the propagation to `wanted` needs.

    Args:
        graph: (n, n).
        wanted: Sorted ids of nodes, each once.
        n_layers: Number of hops.
    """
    adjacency = graph.scipy
    nodes: list[Ids | None] = [_unless_most(adjacency, wanted)]
    hops = []
    for _ in range(n_layers):
        if (inner := nodes[-1]) is None:
            outer, hop = None, (graph.matrix, graph.matrix)
        else:
            rows = adjacency[inner]
            outer = _unless_most(adjacency, _with_neighbours(adjacency, inner, rows))
            part = rows if outer is None else _renumbered(rows, outer)
            hop = sparse_tensor(part), sparse_tensor(part.T.tocsr())
        nodes.append(outer)
        hops.append(hop)
    return ReceptiveField(tuple(nodes), tuple(hops))


def _unless_most(adjacency: sp.csr_matrix, nodes: Ids) -> Ids | None:
    """Return the nodes, or None if most edges of the graph are theirs."""
    edges = (adjacency.indptr[nodes + 1] - adjacency.indptr[nodes]).sum()
    return nodes if edges <= _WORTH * adjacency.nnz else None


def _with_neighbours(adjacency: sp.csr_matrix, nodes: Ids, rows: sp.csr_matrix) -> Ids:
    reached = np.zeros(adjacency.shape[0], dtype=bool)
    reached[nodes] = reached[rows.indices] = True
    return np.flatnonzero(reached)


def _renumbered(rows: sp.csr_matrix, columns: Ids) -> sp.csr_matrix:
    """Keep the columns that are named, all others being empty."""
    number = np.empty(rows.shape[1], dtype=np.int32)
    number[columns] = np.arange(len(columns), dtype=np.int32)
    return sp.csr_matrix((rows.data, number[rows.indices], rows.indptr), shape=(rows.shape[0], len(columns)))


def propagate_to(
    graph: Graph, x: torch.Tensor, n_layers: int, rows: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return some rows of :func:`~recbole_llminit.nn.propagation.propagate`, and of x itself.

    Both come from one function, so that their gradients meet in one table. On CUDA the whole graph is
    propagated: looking a field up there has not been measured.

    Args:
        graph: (n, n).
        x: (n, d) float32.
        n_layers: Number of hops.
        rows: (m,) ids of nodes, repeats allowed.

    Returns:
        Two tensors (m, d) float32.
    """
    if not x.is_cuda:
        wanted, place = np.unique(rows.numpy(), return_inverse=True)
        field = receptive_field(graph, wanted, n_layers)
        if field.nodes[0] is not None:
            total, own = _FieldSum.apply(x, field)
            picked = torch.from_numpy(place)
            return total[picked] / (n_layers + 1), own[picked]
    return propagate(graph, x, n_layers)[rows], x[rows]


class _FieldSum(torch.autograd.Function):  # type: ignore[misc]
    """The sum over layers for the innermost nodes of a field, and their own rows of x."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, field: ReceptiveField) -> tuple[torch.Tensor, torch.Tensor]:
        ctx.field, ctx.shape = field, x.shape
        ctx.set_materialize_grads(False)
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            total = _rows(x, field.nodes[-1])
            for hop in range(len(field.hops) - 1, -1, -1):
                total = torch.addmm(_rows(x, field.nodes[hop]), field.hops[hop][0], total)
        return total, _rows(x, field.nodes[0])

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor | None) -> tuple[torch.Tensor, None]:
        field, (of_total, of_own) = ctx.field, gradients
        parts = [(field.nodes[0], of_own)]
        with torch.autocast("cpu", enabled=False):
            for nodes, (_, transposed) in zip(field.nodes, field.hops, strict=False):
                parts.append((nodes, of_total))
                of_total = None if of_total is None else transposed @ of_total.float()
        parts.append((field.nodes[-1], of_total))
        return _scattered(parts, ctx.shape), None


def _rows(x: torch.Tensor, nodes: Ids | None) -> torch.Tensor:
    return x if nodes is None else x[torch.from_numpy(nodes)]


def _scattered(parts: list[tuple[Ids | None, torch.Tensor | None]], shape: torch.Size) -> torch.Tensor:
    """Add up tables of some nodes, or of all, as one table of all nodes."""
    whole = [part for nodes, part in parts if nodes is None and part is not None]
    total = whole.pop().clone() if whole else torch.zeros(shape)
    for part in whole:
        total += part
    for nodes, part in parts:
        if nodes is not None and part is not None:
            total.index_add_(0, torch.from_numpy(nodes), part.float())
    return total
