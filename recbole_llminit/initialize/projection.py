"""Projection: a map, fitted on the catalogue's vectors, that can be applied to any other vectors."""

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

    Each row is computed from the item's vector alone, in these steps: subtract `center`; then either keep
    `columns`, or subtract `mean`, multiply by `directions` and divide by `divisor`; multiply by `scale`.
    A step whose attribute is None is skipped. Without columns and directions all dimensions stay.
    The rows of some starts are no function of a vector (`spectral`, which reads no text, and a function of
    the user's own). They are kept in `catalogue`, and other vectors have no rows.

    Attributes:
        width: d_llm of the vectors that the projection was fitted on and of those that it accepts.
        center: (d_llm,) float32, the catalogue's mean, which ``llm_center`` subtracts.
        columns: (k,) int64, the dimensions that are kept.
        directions: (d_llm, k) float64, the directions that the vectors are projected on.
        mean: (d_llm,) float64, the mean that `pca` and `whiten` subtract, computed after `center`.
        divisor: (k,) float64, the standard deviation along each direction, for `whiten`; 0 marks a
            direction without variance, whose values become 0.
        catalogue: (n_items, k) float32, the rows of the catalogue itself where no vectors give them.
        scale: The factor that brings the rows to the root mean square that ``llm_rescale`` names.
    """

    width: int
    center: Matrix | None = None
    columns: Columns | None = None
    directions: Exact | None = None
    mean: Exact | None = None
    divisor: Exact | None = None
    catalogue: Matrix | None = None
    scale: float | None = None

    def __call__(self, vectors: npt.NDArray[Any]) -> Matrix:
        """Map vectors (n, d_llm), of any float dtype, to rows (n, k) float32.

        Raises:
            UserError: If the vectors are not as wide as those of the fit, or if its rows are not computed
                from vectors.
        """
        if self.catalogue is not None:
            raise UserError(
                "this start is not computed from an item's vector (llm_selection spectral, or a function of "
                "one's own), so that a new item has no row; train with another llm_selection"
            )
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

    def of_catalogue(self, vectors: npt.NDArray[Any]) -> Matrix:
        """Return the rows (n_items, k) float32 of the items that it was fitted on.

        Args:
            vectors: (n_items, d_llm), the vectors of the fit.
        """
        if self.catalogue is None:
            return self(vectors)
        return self.catalogue if self.scale is None else self.catalogue * np.float32(self.scale)

    def scaled(self, factor: float) -> Projection:
        """Return a copy of the projection whose `scale` is `factor`."""
        return replace(self, scale=factor)

    def state(self) -> dict[str, Any]:
        """Return the attributes that are not None, by name, as numbers and tensors for a checkpoint.

        A tensor keeps the memory layout of its array because the last bits of a product depend on it.
        """
        import torch  # imported here because the command line checks names of selections without torch

        parts = {name: part for name, part in vars(self).items() if part is not None}
        return {
            name: torch.from_numpy(part) if isinstance(part, np.ndarray) else part
            for name, part in parts.items()
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Projection:
        """Return the projection that `state` was saved from; the tensors may be on any device."""
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
