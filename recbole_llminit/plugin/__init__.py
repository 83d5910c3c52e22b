"""Everything that touches RecBole's internals.

`registry` lets RecBole find this package's models, `properties` lists the YAML files that a run reads,
`compat` repairs what today's libraries break in RecBole, and `literals` keeps RecBole from evaluating values
as code. `config`, `data` and `trainer` wrap functions of RecBole's packages of the same names; the wrappers
act in runs of this package (`is_plugin_run`), so that plain RecBole runs are changed by the repairs alone.
"""

from __future__ import annotations

from recbole_llminit.plugin import compat, config, data, literals, registry, trainer


def install() -> None:
    """Register the models, and repair and wrap each module of RecBole as soon as it is imported."""
    for part in (compat, literals, registry, config, data, trainer):  # RecBole needs `compat` to import
        part.install()
