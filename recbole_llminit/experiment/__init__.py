"""Studies: many runs that one YAML file describes, compared over seeds with statistics.

A study (`Study`) spans a grid of cells (`grid`); `orchestrate` trains the runs that are missing (`runner`),
collects their results (`rows`) and writes a summary (`summary`); `page` shows the study as one HTML page.
"""

from recbole_llminit.experiment.study import Study

__all__ = ["Study"]
