"""Carry out studies: many runs that one YAML file describes, compared over seeds with statistics.

`study` holds the schema of that file, and `grid` lists the runs that it asks for. `orchestrate` trains the
missing runs (`runner`), collects their results (`rows`) and writes a summary (`summary`). `page` shows the
study as one HTML page.
"""

from recbole_llminit.experiment.study import Study

__all__ = ["Study"]
