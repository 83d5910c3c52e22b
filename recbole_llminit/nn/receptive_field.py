"""LightGCN's propagation for a few nodes: only the rows that these nodes depend on are computed.

The result is exact; no neighbour is left out. The nodes of a batch depend on themselves, on their
neighbours, on the neighbours of those, and so on. On any graph the last hop is computed for the batch's
rows alone. The earlier hops are computed for some rows only if the graph is much larger than what they reach.
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

# With more than this share of the graph's edges a part costs more than the whole graph, because it has to
# be looked up, renumbered and transposed first.
_WORTH = 0.5


@dataclass(frozen=True)
class ReceptiveField:
    """The nodes within each number of hops of some nodes, and the edges between them.

    Attributes:
        nodes: Sorted ids of the nodes within 0, 1, ... n_layers hops; each set contains the one before.
            None stands for all nodes, used as soon as a set has most of the graph's edges.
        hops: For each hop, the adjacency matrix (nodes of the smaller set, nodes of the larger set) and
            its transpose.
    """

    nodes: tuple[Ids | None, ...]
    hops: tuple[tuple[torch.Tensor, torch.Tensor], ...]


def receptive_field(graph: Graph, wanted: Ids, n_layers: int) -> ReceptiveField:
    """Return the nodes and edges that the propagation to the nodes `wanted` needs.

    Args:
        graph: (n, n).
        wanted: Sorted ids of nodes, without repeats.
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
    """Return the nodes, or None if their rows hold most edges of the graph."""
    edges = (adjacency.indptr[nodes + 1] - adjacency.indptr[nodes]).sum()
    return nodes if edges <= _WORTH * adjacency.nnz else None


def _with_neighbours(adjacency: sp.csr_matrix, nodes: Ids, rows: sp.csr_matrix) -> Ids:
    reached = np.zeros(adjacency.shape[0], dtype=bool)
    reached[nodes] = reached[rows.indices] = True
    return np.flatnonzero(reached)


def _renumbered(rows: sp.csr_matrix, columns: Ids) -> sp.csr_matrix:
    """Return `rows` restricted to `columns`, which include every column that is not empty."""
    number = np.empty(rows.shape[1], dtype=np.int32)
    number[columns] = np.arange(len(columns), dtype=np.int32)
    return sp.csr_matrix((rows.data, number[rows.indices], rows.indptr), shape=(rows.shape[0], len(columns)))


def propagate_to(
    graph: Graph, x: torch.Tensor, n_layers: int, rows: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return some rows of :func:`~recbole_llminit.nn.propagation.propagate`, and the same rows of `x`.

    One autograd function computes both, so that their gradients are added up in one table. On CUDA the
    whole graph is propagated, since the gain of a receptive field there has not been measured.

    Args:
        graph: (n, n).
        x: (n, d) float32.
        n_layers: Number of hops.
        rows: (m,) ids of nodes, repeats allowed.

    Returns:
        Two tensors (m, d) float32: the propagated rows and those of `x`.
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
    """The sum over all layers for the innermost nodes of a receptive field, and these nodes' rows of x."""

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
    """Add up gradients of some nodes, or of all (None), in one table of all nodes of the given shape."""
    whole = [part for nodes, part in parts if nodes is None and part is not None]
    total = whole.pop().clone() if whole else torch.zeros(shape)
    for part in whole:
        total += part
    for nodes, part in parts:
        if nodes is not None and part is not None:
            total.index_add_(0, torch.from_numpy(nodes), part.float())
    return total
