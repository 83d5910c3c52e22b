"""Make, store and load vector tables: item vectors with a card that records what made them.

`encode` makes a table from item texts by an `encoder`, `matrix` imports vectors that another program made,
and `load` finds the table that a run names, compares its card with the item texts, and orders the vectors by
RecBole's item ids. Encoders are imported only by the modules that need them.
"""

from recbole_llminit.embedding.table import Card, VectorTable

__all__ = ["Card", "VectorTable"]
