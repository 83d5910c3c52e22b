"""All that touches RecBole's internals.

`registry` answers where RecBole looks for a model's class, `properties` says which YAML files a run reads,
`compat` repairs what today's libraries break, and three files of hooks follow RecBole's own rooms: `config`,
`data`, `trainer`. Hooks act in runs of this package (`is_plugin_run`); plain RecBole runs are changed by
the repairs alone.
"""

from __future__ import annotations

from recbole_llminit.plugin import compat, config, data, registry, trainer


def install() -> None:
    """Register the models, and repair and wrap each place of RecBole as soon as it is imported."""
    for part in (compat, registry, config, data, trainer):  # RecBole does not import without `compat`
        part.install()
