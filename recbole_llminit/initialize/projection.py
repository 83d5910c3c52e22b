"""Projection: what a selection has learned from the catalogue, applicable to any other vectors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from recbole_llminit.utils.errors import UserError

Matrix = npt.NDArray[np.float32]
Columns = npt.NDArray[np.int64]
Exact = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Projection:
    """A fitted map from vectors (n, d_llm) to rows (n, k) of the item table.

    A row depends on its own vector alone. Its steps, each left out where its part is None: subtract
    `center`; then either keep `columns`, or subtract `mean`, multiply by `directions` and divide by
    `divisor`; multiply by `scale`. Without columns and directions all dimensions stay.

    Attributes:
        width: d_llm of the vectors it was fitted on, and of those it takes.
        center: (d_llm,) float32, the catalogue's mean, subtracted by ``llm_center``.
        columns: (k,) int64, the dimensions that are kept.
        directions: (d_llm, k) float64.
        mean: (d_llm,) float64, the mean that `pca` and `whiten` subtract, computed after `center`.
        divisor: (k,) float64, standard deviation along each direction, for `whiten`; 0 stands for a
            direction without variance, whose values become 0.
        scale: Factor that brings the rows to the scale of ``llm_rescale``.
    """

    width: int
    center: Matrix | None = None
    columns: Columns | None = None
    directions: Exact | None = None
    mean: Exact | None = None
    divisor: Exact | None = None
    scale: float | None = None

    def __call__(self, vectors: npt.NDArray[Any]) -> Matrix:
        """Map vectors (n, d_llm), of any float dtype, to rows (n, k) float32.

        Raises:
            UserError: If the vectors are not as wide as those of the fit.
        """
        if vectors.shape[1:] != (self.width,):
            raise UserError(
                f"vectors of shape {vectors.shape} must be (n, {self.width}), as wide as those that the "
                "start was fitted on; encode them as those were"
            )
        values = np.asarray(vectors, dtype=np.float32)
        if self.center is not None:
            values = values - self.center
        if self.columns is not None:
            values = np.ascontiguousarray(values[:, self.columns])
        if self.directions is not None:
            values = self._projected(values, self.directions)
        return values if self.scale is None else values * np.float32(self.scale)

    def scaled(self, factor: float) -> Projection:
        """Return the same projection with `factor` for its scale."""
        return replace(self, scale=factor)

    def state(self) -> dict[str, Any]:
        """Return the parts that there are, by name: numbers and tensors, for a checkpoint.

        A tensor keeps the memory layout of its array, on which the last bits of a product depend.
        """
        import torch  # here, because the command line checks the names of selections without torch

        parts = {name: part for name, part in vars(self).items() if part is not None}
        return {
            name: torch.from_numpy(part) if isinstance(part, np.ndarray) else part
            for name, part in parts.items()
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Projection:
        """Return the projection whose `state` was saved; its tensors may be on any device."""
        parts: dict[str, Any] = {
            name: part if isinstance(part, (int, float)) else part.cpu().numpy()
            for name, part in state.items()
        }
        return cls(**parts)

    def _projected(self, values: Matrix, directions: Exact) -> Matrix:
        """Return the coordinates (n, k) of centred vectors (n, d_llm), computed in double precision."""
        exact = values.astype(np.float64)
        if self.mean is not None:
            exact -= self.mean
        rows = exact @ directions
        if self.divisor is not None:
            rows = np.divide(rows, self.divisor, out=np.zeros_like(rows), where=self.divisor > 0)
        return np.asarray(rows, dtype=np.float32)
