"""Everything that touches RecBole's internals.

`registry` lets RecBole find this package's models, `properties` lists the YAML files that a run reads, and
`compat` repairs what today's libraries break in RecBole. `config`, `data` and `trainer` wrap functions of
RecBole's packages of the same names; the wrappers act in runs of this package (`is_plugin_run`), so that
plain RecBole runs are changed by the repairs alone.
"""

from __future__ import annotations

from recbole_llminit.plugin import compat, config, data, registry, trainer


def install() -> None:
    """Register the models, and repair and wrap each module of RecBole as soon as it is imported."""
    for part in (compat, registry, config, data, trainer):  # RecBole does not import without `compat`
        part.install()
