"""Write RecBole's atomic files: tab-separated text under a header with types.

Fields are not quoted, but RecBole reads the files by pandas, which treats a leading quote and words such as
``NA`` specially. So ids that pandas would misread are refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_llminit.utils.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

# Words that pandas reads as missing values; RecBole would drop a user or item with such an id.
_WORDS = "#N/A #NA -1.#IND -1.#QNAN -NaN -nan 1.#IND 1.#QNAN <NA> N/A NA NULL NaN None n/a nan null"
_MISSING = ("#N/A N/A", *_WORDS.split())


def write(file: Path, types: Mapping[str, str], batches: Iterable[pa.RecordBatch]) -> str:
    """Write batches of rows as an atomic file and return the file's SHA-256.

    Args:
        file: The file to write.
        types: RecBole's type of each column, in the order of the columns.
        batches: Rows with these columns; ``user_id`` and ``item_id`` are checked if they are tokens.

    Raises:
        UserError: If an id contains a tab or a line break, starts with a quote or is one of `_MISSING`.
    """
    digest = hashlib.sha256()
    with file.open("wb") as out:
        for chunk in _chunks(types, batches):
            digest.update(chunk)
            out.write(chunk)
    return digest.hexdigest()


def _chunks(types: Mapping[str, str], batches: Iterable[pa.RecordBatch]) -> Iterable[bytes]:
    import pyarrow as pa
    from pyarrow import compute

    yield ("\t".join(f"{name}:{kind}" for name, kind in types.items()) + "\n").encode()
    for batch in batches:
        columns = [compute.fill_null(batch[name].cast(pa.string()), "") for name in types]
        for name, kind, column in zip(types, types.values(), columns, strict=True):
            if kind == "token" and name in ("user_id", "item_id"):
                _check_ids(name, column)
        lines = compute.binary_join_element_wise(*columns, "\t").to_pylist()
        yield ("\n".join(lines) + "\n").encode() if lines else b""


def _check_ids(name: str, ids: pa.Array) -> None:
    import pyarrow as pa
    from pyarrow import compute

    breaks = compute.match_substring_regex(ids, r'[\t\r\n]|^"')
    missing = compute.is_in(ids, value_set=pa.array(_MISSING))
    bad = ids.filter(compute.or_(breaks, missing)).unique().to_pylist()
    if bad:
        raise UserError(
            f"{name} {bad[0]!r} can't stand in an atomic file: RecBole would misread it (a tab, a line "
            "break, a leading quote, or a word for a missing value); rename it in the raw data"
        )
