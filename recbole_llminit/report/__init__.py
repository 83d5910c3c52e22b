"""Result files as tables, figures and one HTML page.

`table` reads result files and prints them; `entries` places them beside their baseline; `figures`, `groups`
and `examples` are parts of a page, which `build` puts together and the templates of `page` turn into HTML.
Only what is light is exported here: pandas and plotly are imported with the modules that need them.
"""

from recbole_llminit.report.table import read_result, results_table

__all__ = ["read_result", "results_table"]
