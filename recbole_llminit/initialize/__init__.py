"""From item vectors to the tables that a model starts training from: functions of arrays.

`fit` chooses k of the vectors' dimensions, or k directions in their space, from the catalogue's vectors
and the training interactions, and returns a `Projection`. That maps any vectors of the same encoder to
rows of the item table, so that an item that arrives later gets the row it would have had at the start.
Beside it stand the pooling of user vectors, the scale of a table, and the controls, which take the
meaning out of the catalogue's rows.
"""

from recbole_llminit.initialize.projection import Projection
from recbole_llminit.initialize.selection import fit

__all__ = ["Projection", "fit"]
