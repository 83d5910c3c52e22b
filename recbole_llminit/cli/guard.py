"""Print errors that the user can fix as one line without a traceback, and exit with code 2."""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Callable

from recbole_llminit.utils.errors import NO_SPACE, UserError

_EXTRAS = {
    "faiss": "ncl",
    "hyperopt": "tune",
    "sentence_transformers": "encode",
    "transformers": "llm",
    "gguf": "llm",
    "accelerate": "llm",
    "openai": "api",
    "pyspark": "spark",
}
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # a full disk, quota or file


def guarded(command: Callable[[list[str]], None]) -> Callable[[list[str]], int]:
    """Return a verb that prints errors which the user can fix as one line, and returns an exit code.

    The code is 0 on success, 2 after such an error and 130 after a keyboard interrupt. Any other exception
    is raised.
    """

    def run_guarded(argv: list[str]) -> int:
        try:
            command(argv)
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
            return 130
        except Exception as error:
            if message := _explain(error):
                return _fail(message)
            raise
        return 0

    run_guarded.__doc__ = command.__doc__
    return run_guarded


def _fail(message: str) -> int:
    print(f"error: {message}", file=sys.stderr)
    return 2


def _explain(error: Exception) -> str | None:
    """Return one line about an error that the user can fix, or None for any other error."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, ImportError):
        return _missing(error)
    if isinstance(error, ValueError):
        return _host_error(error)
    if isinstance(error, OSError):
        if error.errno in _DISK:
            return f"{error.strerror}: {NO_SPACE}"
        return f"{error.filename}: {error.strerror}" if error.filename is not None else None
    return _child_error(str(error))


def _missing(error: ImportError) -> str:
    """Return which package is missing and how to install it; raise an error about any other module again."""
    name = (error.name or "").partition(".")[0]
    if name == "recbole":
        return "RecBole is not installed: pip install --no-deps recbole==1.2.1"
    if name in _EXTRAS:
        return f"this needs {name}: pip install 'recbole-llminit[{_EXTRAS[name]}]'"
    if name in ("lightgbm", "xgboost", "kmeans_pytorch", "dgl"):
        return f"this model needs {name}: pip install {name.replace('_', '-')}"
    if name:
        raise error
    return str(error)


def _host_error(error: ValueError) -> str | None:
    """Explain a ValueError of RecBole about the user's data or keys; return None for any other.

    A known message is explained in this package's words. Another one is returned as it is if it was raised
    in RecBole's data or config modules.
    """
    message = " ".join(str(error).split())
    known = {
        "Some feat is empty": "the filters leave no interaction: loosen user_inter_num_interval, "
        "item_inter_num_interval or val_interval",
        "interacted with all items": "a user has every item, so that no negative can be drawn: filter "
        "such users with user_inter_num_interval",
        "Training loss is nan": "the training loss is not a number: lower learning_rate",
        "not in inter_feat": f"{message} Add its column to the .inter file or to load_col",
    }
    frames = list(traceback.walk_tb(error.__traceback__))
    raised_in = str(frames[-1][0].f_globals.get("__name__", "")) if frames else ""
    of_the_data = raised_in.startswith(("recbole.data.", "recbole.config."))
    own_words = message if of_the_data else None
    return next((text for part, text in known.items() if part in message), own_words)


def _child_error(message: str) -> str | None:
    """Return the `UserError` message in the traceback of a process that ``--nproc`` started, or None."""
    last = message.strip().splitlines()[-1] if message.strip() else ""
    name, found, text = last.partition("UserError: ")
    return text if found and name.startswith("recbole_llminit.") else None
