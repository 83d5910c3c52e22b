"""Find a dataset's files, and read its data card, item texts and item titles.

`places` looks for files in the user's data path and then among the datasets that ship with the package.
`card` is the record that `prepare` writes, `items` renders item texts by a template, and `titles` reads
titles by RecBole's ids. `items` and `titles` are not exported here, because they import pandas.
"""

from recbole_llminit.dataset.places import PROPS, SHIPPED, find_file, item_file, prepared_names, tables

__all__ = ["PROPS", "SHIPPED", "find_file", "item_file", "prepared_names", "tables"]
