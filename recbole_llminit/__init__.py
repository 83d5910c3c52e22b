"""Start RecBole's collaborative-filtering models from language-model vectors of the items' text.

Importing this package registers its models with RecBole, and does nothing else.
"""

from __future__ import annotations

__version__ = "0.1.0"

from recbole_llminit import plugin as _plugin
from recbole_llminit.plugin.properties import config_files
from recbole_llminit.run import record as _record

_plugin.install()
_record.install()

__all__ = ["__version__", "config_files"]
