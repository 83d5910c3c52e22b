"""Show result files as tables, figures and one HTML page.

`table` reads result files and prints them. `entries` labels the results and marks which are the baseline.
`figures`, `groups` and `examples` make the parts of a page, which `build` puts together and `page` renders.
Only functions that import quickly are exported here: pandas and plotly come with the modules that need them.
"""

from recbole_llminit.report.table import read_result, results_table

__all__ = ["read_result", "results_table"]
