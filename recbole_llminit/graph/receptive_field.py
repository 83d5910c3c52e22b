"""LightGCN's propagation for a few nodes of a large graph: only what their hops reach is computed.

The result is exact, no neighbour is left out. What a batch needs is its nodes, their neighbours, the
neighbours of those, and so on; on a graph much larger than that, the rest is work for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch

from recbole_llminit.graph.propagation import Graph, propagate, sparse_tensor

Ids = npt.NDArray[np.int64]

# An edge costs more here than in the whole graph: it is looked up, renumbered and transposed first.
_WORTH = 0.5  # of the edges that the whole graph multiplies


@dataclass(frozen=True)
class ReceptiveField:
    """The nodes within each number of hops of some nodes, and the edges between them.

    Attributes:
        nodes: Sorted ids of the nodes within 0, 1, ... n_layers hops; each holds the one before.
        hops: For each hop, the adjacency from the larger set to the smaller one, and its transpose.
    """

    nodes: tuple[Ids, ...]
    hops: tuple[tuple[torch.Tensor, torch.Tensor], ...]

    def within(self, hop: int) -> torch.Tensor:
        """Return where the nodes within `hop` hops are among all nodes of the field."""
        return torch.from_numpy(np.searchsorted(self.nodes[-1], self.nodes[hop]))


def receptive_field(adjacency: sp.csr_matrix, wanted: Ids, n_layers: int) -> ReceptiveField | None:
    """Return what the propagation to `wanted` needs, or None if that is most of the graph.

    Args:
        adjacency: (n, n), symmetric.
        wanted: Sorted ids of nodes, each once.
        n_layers: Number of hops.
    """
    degrees = np.diff(adjacency.indptr)
    left = _WORTH * n_layers * adjacency.nnz
    number = np.empty(len(degrees), dtype=np.int32)
    nodes, hops = [wanted], []
    for _ in range(n_layers):
        left -= degrees[nodes[-1]].sum()
        if left < 0:
            return None
        rows = adjacency[nodes[-1]]
        reached = np.zeros(len(degrees), dtype=bool)
        reached[nodes[-1]] = reached[rows.indices] = True
        nodes.append(np.flatnonzero(reached))
        number[nodes[-1]] = np.arange(len(nodes[-1]), dtype=np.int32)
        shape = (rows.shape[0], len(nodes[-1]))
        hop = sp.csr_matrix((rows.data, number[rows.indices], rows.indptr), shape=shape)
        hops.append((sparse_tensor(hop), sparse_tensor(hop.T.tocsr())))
    return ReceptiveField(tuple(nodes), tuple(hops))


def propagate_to(graph: Graph, x: torch.Tensor, n_layers: int, rows: torch.Tensor) -> torch.Tensor:
    """Return the rows of :func:`~recbole_llminit.graph.propagation.propagate`, by the cheaper way.

    On CUDA the whole graph is always propagated: looking a field up there has not been measured.

    Args:
        graph: (n, n).
        x: (n, d) float32.
        n_layers: Number of hops.
        rows: (m,) ids of nodes, repeats allowed.

    Returns:
        (m, d) float32.
    """
    wanted, place = np.unique(rows.cpu().numpy(), return_inverse=True)
    field = None if x.is_cuda else receptive_field(graph.scipy, wanted, n_layers)
    if field is None:
        return propagate(graph, x, n_layers)[rows]
    total: torch.Tensor = _FieldSum.apply(x[torch.from_numpy(field.nodes[-1])], field)
    return total[torch.from_numpy(place)] / (n_layers + 1)


class _FieldSum(torch.autograd.Function):  # type: ignore[misc]
    """The sum over layers for the innermost nodes of a field, from the start vectors of all its nodes."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, field: ReceptiveField) -> torch.Tensor:
        ctx.field = field
        with torch.autocast(x.device.type, enabled=False):
            total = x = x.float()
            for hop in range(len(field.hops) - 1, -1, -1):
                total = torch.addmm(x[field.within(hop)], field.hops[hop][0], total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        field, gradient = ctx.field, gradients[0].float()
        with torch.autocast(gradient.device.type, enabled=False):
            of_x = gradient.new_zeros((len(field.nodes[-1]), gradient.shape[1]))
            for hop, (_, transposed) in enumerate(field.hops):
                of_x.index_add_(0, field.within(hop), gradient)
                gradient = transposed @ gradient
        return of_x + gradient, None
