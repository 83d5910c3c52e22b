"""Where a dataset lies, what its card says of it, and its items' texts and titles: once, for everybody.

A dataset's files are looked for in the user's data path and then among those that ship (`places`). `card` is
what `prepare` wrote down of it, `items` its texts under a template, `titles` its titles by RecBole's ids.
Only what is light is exported here: `items` and `titles` import pandas.
"""

from recbole_llminit.dataset.places import PROPS, SHIPPED, find_file, item_file, prepared_names, tables

__all__ = ["PROPS", "SHIPPED", "find_file", "item_file", "prepared_names", "tables"]
