"""Test the cleaning of texts, and that RecBole's reader reads files of any texts back row by row."""

from __future__ import annotations

import json
import re
import tempfile
import time
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recbole_llminit.prepare import atomic
from recbole_llminit.prepare.text import clean, flatten
from recbole_llminit.utils.errors import UserError

# Random text rarely contains what breaks a file, so such pieces are mixed in.
PIECES = ['"', '""', "'", "\t", "\n", "\r", "\x00", "\x1a", "\x85", "\u2028", "\ud83d", "\ufeff", "\\", "\\t"]
PIECES += [
    "&quot;",
    "&amp;quot;",
    "&#9;",
    "&#10;",
    "&#x0;",
    "&#xD800;",
    "&lt;b&gt;",
    "<b>",
    "</b>",
    "<!--",
    "-->",
]
PIECES += ["<script>", "</script>", "[", "]", '["', '"]', ",", "é", "☕", "\u200b", "#", "NA", " ", "a"]
ANY = st.characters()  # includes lone surrogates
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(ANY, max_size=4), max_size=12).map("".join)
NESTED = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda part: st.lists(part, max_size=4) | st.dictionaries(TEXTS, part, max_size=2),
    max_leaves=8,
)
BREAKING = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def breaks_nothing(text: str) -> bool:
    return not BREAKING.search(text) and not text.startswith('"') and text == text.strip()


@given(text=TEXTS)
def test_clean_text_breaks_nothing(text: str) -> None:
    assert breaks_nothing(clean(text))


@given(value=NESTED, column=st.sampled_from(["title", "categories", "genres"]), ascii_only=st.booleans())
def test_a_flattened_list_breaks_nothing(value: object, column: str, ascii_only: bool) -> None:
    assert breaks_nothing(flatten(json.dumps([value], ensure_ascii=ascii_only), column))


@given(text=TEXTS, column=st.sampled_from(["title", "categories"]))
def test_any_field_is_flattened(text: str, column: str) -> None:
    assert breaks_nothing(flatten(text, column))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, ""),
        ("", ""),
        ("plain", "plain"),
        ("  two\n\tlines  ", "two lines"),
        ("<p class='x'>one</p><br/>two<BR>", "one two"),
        ("<style>p {color: red}</style>a<!-- no -->b<SCRIPT>x()</SCRIPT >", "a b"),
        ("3 < 4 > 2, I <3 you", "3 < 4 > 2, I <3 you"),
        ("&lt;b&gt;bold&lt;/b&gt;", "bold"),
        ("Q&amp;amp;A &quot;x&quot; &eacute; &#233; &#xe9;", 'Q&A "x" é é é'),
        ("AT&T R&D &c", "AT&T R&D &c"),
        ('"quoted" title', "'quoted\" title"),
        ('""x', "''x"),
        ("&quot;x", "'x"),
        ('<i>"</i>x', "' x"),
        ("soft\u00adhyphen \u200bzero\ufeff", "softhyphen zero"),
        ("caf\u00e9 \ud83d broken", "café broken"),
    ],
)
def test_clean(text: str | None, expected: str) -> None:
    assert clean(text) == expected


@pytest.mark.parametrize(
    ("value", "column", "expected"),
    [
        (None, "title", ""),
        ("[]", "title", ""),
        ('[["Beauty", "Hair"], ["Beauty", "Nails"]]', "categories", "Beauty, Hair, Nails"),
        ('["A &amp; B", "A & B", "", null, " C "]', "categories", "A & B, C"),
        ('["One.", "Two.", "One."]', "description", "One. Two."),
        ('["\\"Quote\\"", "x"]', "features", "'Quote\" x"),
        ("[Discontinued] Soap", "title", "[Discontinued] Soap"),
        ('["half', "title", '["half'),
        ("plain", "categories", "plain"),
    ],
)
def test_flatten(value: str | None, column: str, expected: str) -> None:
    assert flatten(value, column) == expected


@pytest.mark.parametrize("text", ["[" * 100_000, "[" * 5_000 + "]" * 5_000, '{"a":' * 100_000])
def test_deep_brackets_are_prose(text: str) -> None:
    assert breaks_nothing(flatten(text, "title"))


@pytest.mark.parametrize("piece", ["<!--", "<script>", "<a ", "</style", "&amp;", '"', "[", "<style>\n"])
def test_long_texts_take_no_time(piece: str) -> None:
    start = time.perf_counter()
    clean(piece * 10_000)
    assert time.perf_counter() - start < 1


def recbole_reads(file: Path) -> pd.DataFrame:
    """Read a file as RecBole does, with all columns as text."""
    return pd.read_csv(file, sep="\t", dtype=str, engine="python")


@given(
    items=st.dictionaries(
        st.text(ANY, min_size=1, max_size=4)
        | st.sampled_from(["NA", "null", "1e5", "007", "#1", "a b", "a'"]),
        st.lists(TEXTS, min_size=2, max_size=2),
        min_size=1,
        max_size=8,
    )
)
@example(items={"i": ["", ""]})
@example(items={"i": ['a "b', 'c" d'], "j": ['e"', '"']})
@example(items={"#": ["#", "\\"]})
def test_recbole_reads_back_what_is_written(items: dict[str, list[str]]) -> None:
    items = {item.encode(errors="replace").decode(): texts for item, texts in items.items()}
    columns = [list(items), *([clean(texts[i]) for texts in items.values()] for i in range(2))]
    names = ("item_id", "title", "info")
    batch = pa.RecordBatch.from_arrays([pa.array(c, pa.string()) for c in columns], names=list(names))
    types = {"item_id": "token", "title": "token_seq", "info": "token_seq"}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "x.item")
        try:
            atomic.write(file, types, [batch.slice(0, 1), batch.slice(1)])
        except UserError:
            assert any(re.search(r'[\t\r\n]|^"', item) or item in MISSING for item in items)
            return
        assert file.read_bytes().count(b"\n") == len(items) + 1
        frame = recbole_reads(file)
    assert list(frame.columns) == [f"{name}:{kind}" for name, kind in types.items()]
    assert list(frame.iloc[:, 0]) == list(items)
    for column, texts in zip(("title:token_seq", "info:token_seq"), columns[1:], strict=True):
        assert list(frame[column].fillna("")) == ["" if text in MISSING else text for text in texts]


MISSING = pd._libs.parsers.STR_NA_VALUES


@pytest.mark.parametrize("item", [*sorted(MISSING - {""}), "a\tb", "a\nb", "a\rb", '"a'])
def test_ids_that_recbole_would_misread_are_refused(item: str, tmp_path: Path) -> None:
    batch = pa.RecordBatch.from_arrays([pa.array(["good", item])], names=["item_id"])
    with pytest.raises(UserError, match="item_id .* can't stand in an atomic file"):
        atomic.write(tmp_path / "x.item", {"item_id": "token"}, [batch])


def test_recbole_reads_back_a_long_text(tmp_path: Path) -> None:
    """Twenty reviews of 10,000 characters may form one text."""
    long = clean("word " * 40_000)
    batch = pa.RecordBatch.from_arrays(
        [pa.array(["i", "j"]), pa.array([long, "x"])], names=["item_id", "reviews"]
    )
    atomic.write(tmp_path / "x.item", {"item_id": "token", "reviews": "token_seq"}, [batch])
    assert list(recbole_reads(tmp_path / "x.item").iloc[:, 0]) == ["i", "j"]
