"""From item texts to vectors as data: a table of vectors with a card that says what made them.

`encode` turns texts into a table by any `encoder`, `matrix` brings in vectors that something else made, and
`load` finds the table that a run names, holds its card against the texts, and puts the vectors into the order
of RecBole's ids. Encoders are imported with the modules that need them.
"""

from recbole_llminit.embedding.table import Card, VectorTable

__all__ = ["Card", "VectorTable"]
