"""The models: one file each, a folder where a model has private parts, and `specs`, the table of all.

``LLMInit<X>`` is built the first time it is asked for. Checkpoints refer to it as
``recbole_llminit.model.LLMInit<X>``, so that a fresh process that imported nothing yet can unpickle them.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> type[Any]:
    # Pickles name this module, and the registry alone builds the class: the one import of a later room.
    from recbole_llminit.plugin.registry import is_ours, model_class
    from recbole_llminit.utils.errors import UserError

    if is_ours(name):
        try:
            return model_class(name)
        except UserError as error:
            raise AttributeError(str(error)) from error
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
