"""Compute the tables that a model starts training from, given vectors of the items' texts.

All functions work on arrays. `fit` chooses k of the vectors' dimensions, or k directions in their space,
from the catalogue's vectors and the training interactions, and returns a `Projection`. The projection maps
any vectors of the same encoder to rows of the item table, so an item that arrives later gets the row that
it would have had at the start. Other files pool item vectors into user vectors, rescale a table, and
compute controls: rows without information about their items.
"""

from recbole_llminit.initialize.projection import Projection
from recbole_llminit.initialize.selection import fit

__all__ = ["Projection", "fit"]
