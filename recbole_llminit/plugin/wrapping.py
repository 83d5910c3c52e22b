"""Wrap a function of a module that may not be imported yet, and keep it picklable."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import wrapt


def wrap(module: str, name: str, wrapper: Callable[..., Any]) -> None:
    """Put `wrapper` around ``module.name``, now or as soon as the module is imported.

    The wrapper is called with the original function and its arguments. The replacement is a plain
    function under the original's name, so that it can still be pickled and sent to another process.

    Args:
        module: Name of the module.
        name: ``function``, or ``Class.method``.
        wrapper: ``wrapper(original, *args, **kwargs)``.
    """

    def apply(imported: Any) -> None:
        owner_name, _, attribute = name.rpartition(".")
        owner = getattr(imported, owner_name) if owner_name else imported
        original = getattr(owner, attribute)

        @functools.wraps(original)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            return wrapper(original, *args, **kwargs)

        setattr(owner, attribute, wrapped)

    wrapt.register_post_import_hook(apply, module)
