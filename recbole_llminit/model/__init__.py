"""The models, in one file each or a folder for a model with private parts, and `specs`, which lists them.

The class ``LLMInit<X>`` is created when this module is first asked for it. Checkpoints refer to it as
``recbole_llminit.model.LLMInit<X>``, so that a new process can unpickle them without further imports.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> type[Any]:
    # Only the registry creates these classes; it imports this package, hence the import within a function.
    from recbole_llminit.plugin.registry import is_ours, model_class
    from recbole_llminit.utils.errors import UserError

    if is_ours(name):
        try:
            return model_class(name)
        except UserError as error:
            raise AttributeError(str(error)) from error
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
