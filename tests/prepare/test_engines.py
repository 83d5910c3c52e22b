"""Test that DuckDB and Spark write the same bytes."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pytest

from recbole_llminit import cli
from tests.prepare import raw
from tests.prepare.raw import prepared, rows, write

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("pyspark") is None, reason="pyspark is not installed"),
    pytest.mark.skipif(shutil.which("java") is None, reason="Java is not installed"),
]

NOTHING = ["--min-rating=none", "--duplicates=all", "--kcore=0"]


def orders(*lines: str, items: tuple[str, ...] = ()) -> list[str]:
    """Write a table of interactions and one of items; return the flags that read them without filters."""
    flags = [*NOTHING, "--source=table", f"--reviews={write('raw/orders.csv', rows(*lines))}"]
    return [*flags, f"--metadata={write('raw/items.csv', rows(*items))}"] if items else flags


def missing_values() -> list[str]:
    return orders(
        "user_id,item_id,rating,timestamp",
        *("u,i,,7", "u,j,5,", "u,k,x,y", "v,i,5,-1", "v,j,5,", "v,k,,", ",k,5,1", "w,,5,1", '"",k,5,1'),
    )


def duplicates(keep: str) -> list[str]:
    lines = [f"u{n % 3},i{n % 4},{n * 7 % 5 + 1},{n * 5 % 6}" for n in range(200)]
    return [*orders("user_id,item_id,rating,timestamp", *lines), f"--duplicates={keep}", "--min-rating=2"]


def window_of_time() -> list[str]:
    days = [1388534399, 1388534400, 1420070399, 1420070400, 1420070399.5]
    lines = [f"u,i{n},{day}" for n, day in enumerate(days)]
    return [*orders("user_id,item_id,timestamp", *lines), "--since=2014-01-01", "--until=2015-01-01"]


def iso_times() -> list[str]:
    times = ["2014-01-31", "2014-01-31T10:00:00Z", "2014-01-31T10:00:00+02:00", "2014-01-31 10:00:00"]
    times += ["2014-01-31 10:00:00.7", "yesterday", "", "1391162400", "1969-12-31 23:59:59"]
    lines = [f"u{n},i,{at}" for n, at in enumerate(times)]
    return [*orders("user_id,item_id,timestamp", *lines), "--time-unit=iso"]


def text_lengths() -> list[str]:
    items = ("item_id,title", "a,🍅🍅🍅", "b,é́é", "c,abcd", "d,", "e,ab")
    return [*orders("user_id,item_id", *(f"u,{i}" for i in "abcde"), items=items), "--min-text=3"]


def odd_text() -> list[str]:
    items = (
        r'i,"a \"" b, \n c"',
        r"j,C:\new\table",
        'k,"two',
        'lines"',
        "l,#1 'x'",
        "#m,\\",
        "n, x ",
        'o,""',
    )
    return orders(
        "user_id,item_id",
        *(f"u,{i}" for i in ("i", "j", "k", "l", "#m", "n", "o", "é")),
        items=("item_id,title", *items),
    )


def odd_atomic() -> list[str]:
    write("raw/a.inter", rows("user_id:token→item_id:token→rating:float", r'u"1→i→5', r"\u→j→4.50", "u→k→"))
    write("raw/a.item", rows("item_id:token→title:token_seq", r'i→"a" \"b\" \n', "j→\\", 'k→"', "l→never"))
    return [*NOTHING, "--source=atomic", "--path=raw"]


def sample() -> list[str]:
    return [*orders("user_id,item_id", *(f"ü{n},i" for n in range(300))), "--sample=0.3", "--seed=3"]


def k_core() -> list[str]:
    rng = np.random.default_rng(4)
    pairs = zip(rng.integers(60, size=600), rng.integers(60, size=600), strict=True)
    return [*orders("user_id,item_id", *(f"u{u},i{i}" for u, i in pairs)), "--kcore=7"]


def reviews() -> list[str]:
    """Write reviews with ties in time, some of which have the same user, item and second."""
    rng = np.random.default_rng(6)
    lines = [
        {
            "user_id": f"u{n % 7}",
            "parent_asin": f"i{rng.integers(9)}",
            "timestamp": int(rng.integers(30)) * 500,
            "rating": int(rng.integers(3, 6)),
            "text": f"né{n} <br>\n{'x' * int(rng.integers(9))}",
        }
        for n in range(400)
    ]
    write("raw/reviews.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    write(
        "raw/meta.jsonl", "".join(json.dumps({"parent_asin": f"i{n}", "title": "T"}) + "\n" for n in range(9))
    )
    return [
        "--source=amazon-2023",
        "--reviews=raw/reviews.jsonl",
        "--metadata=raw/meta.jsonl",
        "--review-text",
    ]


def described_twice() -> list[str]:
    """Write items with several descriptions whose lists differ, with and without escapes and spaces."""
    flags = raw.amazon_2018()
    lines = [
        r'{"asin": "B1", "title": "Same", "category": ["\u00e9"], "brand": "x"}',
        r'{"asin": "B1", "title": "Same", "category": ["z"], "brand": "x"}',
        r'{"asin": "B2", "title": "Same", "category": ["a", "b"], "feature": ["1"], "brand": "x"}',
        r'{"asin": "B2", "title": "Same", "category": ["a","c"],  "feature": ["2"], "brand": "x"}',
        r'{"asin": "B2", "title": "Same", "category": [ "a", "d" ], "feature": ["3"], "brand": "x"}',
    ]
    write("raw/meta_All_Beauty.json.gz", rows(*lines))
    return flags


def kinds_of_values() -> list[str]:
    """Write fields that should be strings but have other types."""
    flags = raw.amazon_2018()
    lines = [
        '{"asin": "B1", "title": 1984, "brand": true, "feature": 2.5}',
        '{"asin": "B2", "title": null, "brand": [null, ["x", 1.0]], "description": "[\\"y\\"]", "category": "c"}',
    ]
    write("raw/meta_All_Beauty.json.gz", rows(*lines))
    return flags


def spreadsheet() -> list[str]:
    write("raw/orders.csv", '\ufeffuser_id,item_id,rating\r\nu1,i1,5\r\n\r\nu2,"i 2",4')
    return [*NOTHING, "--source=table", "--reviews=raw/orders.csv"]


def skipped_lines() -> list[str]:
    flags = raw.amazon_2014()
    file = Path("raw/meta_Beauty.json.gz")
    write(file, gzip.decompress(file.read_bytes()).decode() + "oops\n")
    return [*flags, "--skip-bad-lines=1"]


CASES: dict[str, Callable[[], list[str]]] = {
    "Amazon 2014": lambda: [*raw.amazon_2014(), "--review-text"],
    "Amazon 2018": raw.amazon_2018,
    "Amazon 2023": lambda: [*raw.amazon_2023(), "--review-text"],
    "MovieLens 100k": raw.movielens_100k,
    "MovieLens 1M": raw.movielens_1m,
    "MovieLens 25M": raw.movielens_csv,
    **{
        f"table, {kind}": partial(raw.table, kind=kind)
        for kind in ("csv", "tsv", "jsonl", "parquet", "csv.gz")
    },
    "table, milliseconds": partial(raw.table, unit="milliseconds"),
    "atomic files": raw.atomic,
    "missing values": missing_values,
    **{f"duplicates, {keep}": partial(duplicates, keep) for keep in ("first", "last", "all")},
    "a window of time": window_of_time,
    "ISO times": iso_times,
    "lengths of text": text_lengths,
    "odd text": odd_text,
    "odd atomic files": odd_atomic,
    "a sample": sample,
    "a k-core": k_core,
    "reviews": reviews,
    "items described twice": described_twice,
    "kinds of values": kinds_of_values,
    "as spreadsheets write": spreadsheet,
    "skipped lines": skipped_lines,
    "odd paths": lambda: raw.amazon_2023("raw/a [b] {c} d"),
}


def write_both(name: str, flags: list[str]) -> str | None:
    """Prepare with both engines; return the first line in which their files differ, or None."""
    made = {engine: prepared(engine, *flags, f"--engine={engine}") for engine in ("duckdb", "spark")}
    one, two = made.values()
    assert one.counts == two.counts, name
    for kind in ("inter", "item"):
        lines = [(getattr(part, kind) or "").splitlines(keepends=True) for part in (one, two)]
        for pair in zip_longest(*lines):
            if len(set(pair)) > 1:
                return f".{kind}: {pair}"
    return None


# The cases in which the engines are most likely to differ. The others run only with `make test-all`.
HANDFUL = ("missing values", "duplicates, first", "ISO times", "lengths of text", "a k-core", "reviews")
OTHERS = tuple(name for name in CASES if name not in HANDFUL)


@pytest.fixture
def spark() -> Iterator[None]:
    """Start a session that does not partition small tables, and stop it at the end."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName("tests").master("local[1]")
    for key, value in {
        "spark.sql.shuffle.partitions": "1",
        "spark.sql.session.timeZone": "UTC",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    yield
    session.stop()


def differences(names: tuple[str, ...], place: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Prepare each case with both engines, in one folder per case; return the differences."""
    found = []
    for number, name in enumerate(names):
        (place / str(number)).mkdir()
        monkeypatch.chdir(place / str(number))
        try:
            difference = write_both(name, CASES[name]())
        except Exception as error:
            difference = repr(error)
        if difference:
            found.append(f"{name}: {difference}")
        assert {path.name for path in Path().iterdir()} == {"data", "raw"}
    return found


def test_both_write_the_same_bytes(spark: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One test runs several cases, because a session takes long to start."""
    assert not differences(HANDFUL, tmp_path, monkeypatch)


@pytest.mark.thorough
def test_both_write_the_same_bytes_of_everything_else(
    spark: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not differences(OTHERS, tmp_path, monkeypatch)


@pytest.mark.thorough
def test_both_say_the_same_of_errors(spark: None, capsys: pytest.CaptureFixture[str]) -> None:
    told = [
        wrong(*case, engine, capsys)
        for case in errors()
        for engine in ("duckdb", "spark")
        if (case[0], engine) != ("half a character", "spark")  # Spark writes a question mark instead
    ]
    assert not [line for line in told if line]


def wrong(
    name: str, flags: list[str], message: str, engine: str, capsys: pytest.CaptureFixture[str]
) -> str | None:
    """Prepare from wrong input; return None if the error is the expected one, else what happened."""
    capsys.readouterr()
    folder = Path("bad", name, engine)
    try:
        code: object = cli.main(
            ["prepare", "bad", "-q", f"--data-path={folder}", *flags, f"--engine={engine}"]
        )
    except Exception as error:
        code = repr(error)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    if code == 2 and len(lines) == 1 and message in lines[0] and not list(folder.iterdir()):
        return None
    return f"{name}, {engine}: {code} {lines}"


def errors() -> list[tuple[str, list[str], str]]:
    """Write wrong files; return for each a name, the flags that read it, and a part of the message."""
    table = ["--source=table", "--kcore=0"]
    good = '{"user_id": "u", "item_id": "i"}'
    write("lines.jsonl", rows(good, good, '{"user_id": "u"', good))
    write("lone.jsonl", rows(good, r'{"user_id": "u", "item_id": "\ud83d"}'))
    write("short.csv", rows("user_id,item_id,rating", "u,i,5", "u,i"))
    write("long.csv", rows("user_id,item_id,rating", "u,i,5", "u,i,5,5"))
    return [
        ("a line that is not JSON", [*table, "--reviews=lines.jsonl"], "lines.jsonl, line 3: "),
        ("half a character", [*table, "--reviews=lone.jsonl"], "lone.jsonl, line 2: "),
        ("a short line", [*table, "--reviews=short.csv"], "short.csv"),
        ("a long line", [*table, "--reviews=long.csv"], "long.csv"),
        ("nothing left", [*raw.table(), "--kcore=9"], "no interaction of 4 is left after '9-core'"),
    ]
