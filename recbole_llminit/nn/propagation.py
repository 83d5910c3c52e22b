"""LightGCN's propagation over a symmetric graph."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch


class Graph:
    """A symmetric sparse matrix (n, n) of float32 on a device.

    A deep copy returns the same object: RecBole copies a model to count its operations, torch cannot copy
    a CSR tensor, and the matrix is never changed.
    """

    def __init__(self, matrix: torch.Tensor) -> None:
        self.matrix = matrix

    @classmethod
    def from_scipy(cls, matrix: sp.spmatrix) -> Graph:
        """Build a graph from a symmetric SciPy matrix (n, n)."""
        csr = sp.csr_matrix(matrix, dtype=np.float32)
        csr.sort_indices()
        return cls(sparse_tensor(csr, check=True))

    @functools.cached_property
    def scipy(self) -> sp.csr_matrix:
        """The matrix as a SciPy CSR matrix, which shares the tensor's memory if that is on the CPU."""
        matrix = self.matrix
        parts = (matrix.values(), matrix.col_indices(), matrix.crow_indices())
        return sp.csr_matrix(tuple(part.cpu().numpy() for part in parts), shape=tuple(matrix.shape))

    def to(self, device: torch.device | str) -> Graph:
        """Return the graph on `device`."""
        return Graph(self.matrix.to(device))

    def __matmul__(self, x: torch.Tensor) -> torch.Tensor:
        product: torch.Tensor = _SymmetricProduct.apply(self.matrix, x)
        return product

    def __deepcopy__(self, memo: dict[int, Any]) -> Graph:
        return self


def sparse_tensor(csr: sp.csr_matrix, check: bool = False) -> torch.Tensor:
    """Return a SciPy matrix as a CSR tensor that shares its values; `check` verifies its structure."""
    index = np.int32 if csr.nnz < 2**31 else np.int64  # MKL and cuSPARSE take int32 without a conversion
    parts = (csr.indptr.astype(index, copy=False), csr.indices.astype(index, copy=False), csr.data)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(*map(torch.from_numpy, parts), size=csr.shape, check_invariants=check)


class _SymmetricProduct(torch.autograd.Function):  # type: ignore[misc]
    """A @ x for a symmetric A. The gradient of x is A @ gradient, so that no transpose is built."""

    @staticmethod
    def forward(ctx: Any, matrix: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        ctx.matrix = matrix
        return _horner(x, [matrix], keep=False)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[None, torch.Tensor]:
        return None, _horner(gradients[0], [ctx.matrix], keep=False)


class _SymmetricSum(torch.autograd.Function):  # type: ignore[misc]
    """x + A1 x + A2 A1 x + ... for symmetric A's; the gradient is the same sum with the A's in reverse."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, *matrices: torch.Tensor) -> torch.Tensor:
        ctx.matrices = matrices
        if all(matrix is matrices[0] for matrix in matrices):
            return _horner(x, matrices)
        total = hop = x.float()
        for matrix in matrices:
            hop = _horner(hop, [matrix], keep=False)
            total = total + hop
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return _horner(gradients[0], ctx.matrices[::-1]), *[None] * len(ctx.matrices)


def _horner(x: torch.Tensor, matrices: Sequence[torch.Tensor], keep: bool = True) -> torch.Tensor:
    """Return x + A_n (x + ... (x + A_1 x)), (n, d), or A_n ... A_1 x if `keep` is False.

    Horner's scheme holds one accumulator and no table of a layer. Mixed precision is switched off because
    torch lacks a sparse product in half precision on some devices.
    """
    with torch.autocast(x.device.type, enabled=False):
        total = x = x.float()
        for matrix in matrices:
            total = torch.addmm(x, matrix, total) if keep else matrix @ total
    return total


def layers(graph: Graph | Sequence[Graph], x: torch.Tensor, n_layers: int) -> list[torch.Tensor]:
    """Return the embeddings of every layer, the first being `x` itself.

    Args:
        graph: (n, n), or a sequence of one such graph for each layer.
        x: (n, d) float32.
        n_layers: Number of layers.

    Returns:
        n_layers + 1 tensors (n, d) float32.
    """
    hops = [graph] * n_layers if isinstance(graph, Graph) else graph
    outputs = [x]
    for hop in hops:
        outputs.append(hop @ outputs[-1])
    return outputs


def propagate(graph: Graph | Sequence[Graph], x: torch.Tensor, n_layers: int) -> torch.Tensor:
    """Return the mean over all layers, (n, d): LightGCN, Equation 4 with equal weights.

    The arguments are those of `layers`.
    """
    hops = [graph] * n_layers if isinstance(graph, Graph) else graph
    total: torch.Tensor = _SymmetricSum.apply(x, *[hop.matrix for hop in hops])
    return total / (n_layers + 1)
