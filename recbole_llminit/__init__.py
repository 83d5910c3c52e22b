"""Start RecBole's collaborative-filtering models from language-model vectors of the items' text.

Importing this package registers its models with RecBole, and does nothing else.
"""

from __future__ import annotations

from recbole_llminit.plugin import compat as _compat  # first: RecBole does not import without it
from recbole_llminit.plugin import hooks as _hooks
from recbole_llminit.plugin import registry as _registry
from recbole_llminit.plugin.registry import config_files

_compat.install()
_registry.install()
_hooks.install()

__version__ = "0.1.0"
__all__ = ["__version__", "config_files"]
