"""Test every documented raw format: a few raw lines and the complete atomic files made from them."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from recbole_llminit import cli
from tests.prepare import raw
from tests.prepare.raw import DATA, prepared, read, rows, write


def counts(read: tuple[int, int, int], *later: tuple[int, int, int]) -> list[tuple[str, int, int, int]]:
    """Return the counts of the default filters and a 2-core, with the names of the steps."""
    steps = ("read", "with user and item", "rating >= 4", "duplicates: first", "2-core")
    return [(step, *count) for step, count in zip(steps, (read, *later), strict=True)]


def test_amazon_2014() -> None:
    made = prepared("beauty", *raw.amazon_2014())
    assert made.inter == rows(
        "user_id:token→item_id:token→rating:float→timestamp:float",
        "Ann→B1→5→1368230400",
        "Ann→B2→4→1368316800",
        "Bob→B1→5→1368144000",
        "Bob→B2→4→1368403200",
    )
    assert made.item == rows(
        "item_id:token→title:token_seq→brand:token_seq→categories:token_seq→description:token_seq",
        "B1→Men's & Women's Comb 3 < 4→L'Or\\u→Beauty→'Best\" comb\\/brush",
        'B2→→→Beauty, Hair Care, Tools & Accessories→Crème brûlée ☕ for her & him 5" wide',
    )
    assert made.counts == counts((11, 3, 3), (10, 3, 3), (8, 3, 3), (6, 3, 3), (4, 2, 2))
    assert made.card["coverage"] == {"title": 0.5, "brand": 0.5, "categories": 1, "description": 1}
    assert made.card["template"] == "{title}. {brand}. {categories}"
    assert [file["name"] for file in made.card["files"]] == ["reviews_Beauty.json.gz", "meta_Beauty.json.gz"]
    assert made.card["synthetic"] is False


def test_amazon_2018() -> None:
    made = prepared("beauty", *raw.amazon_2018())
    assert made.inter == rows(
        "user_id:token→item_id:token→rating:float→timestamp:float",
        "Ann→B1→5→1514764800",
        "Ann→B2→4→1514851200",
        "Bob→B1→4→1514937600",
        "Bob→B2→5→1515024000",
    )
    assert made.item == rows(
        "item_id:token→title:token_seq→brand:token_seq→categories:token_seq→description:token_seq"
        "→features:token_seq",
        "B1→Soap & Go→Acme→→First part Second & last→Vegan 100% café",
        "B2→→by Bea→Beauty, Care, Skin→→No breaks",
    )
    assert made.counts == counts((6, 3, 2), (6, 3, 2), (5, 2, 2), (4, 2, 2), (4, 2, 2))


def test_amazon_2023() -> None:
    made = prepared("beauty", *raw.amazon_2023())
    assert made.inter == rows(
        "user_id:token→item_id:token→rating:float→timestamp:float",
        "Ann→B1→5→1588687728.923",
        "Ann→B2→4→1588687729",
        "Bob→B2→4→1577836800",
        "Bob→B1→5→1577836800.5",
    )
    assert made.item == rows(
        "item_id:token→title:token_seq→brand:token_seq→categories:token_seq→description:token_seq"
        "→features:token_seq",
        'B1→Howard LC0008 "Leather" Conditioner, 8-Ounce→Howard Products→→→',
        "B2→Yes to Tomatoes — 🍅 Mask→→Beauty & Personal Care, Skin Care, Face→Clear skin. Every day."
        "→Gentle ✔ Vegan",
    )
    assert made.counts == counts((5, 2, 2), (5, 2, 2), (5, 2, 2), (4, 2, 2), (4, 2, 2))


def test_a_line_of_metadata_is_read_and_never_run(capsys: pytest.CaptureFixture[str]) -> None:
    flags = raw.amazon_2014()
    for line in (
        "__import__('os').system('touch pwned')",
        "{'asin': __import__('os').system('touch pwned')}",
        "{'asin': 'B1', 'title': f'{open(\"pwned\", \"w\")}'}",
        "{'asin': 'B1', 'title': 'x' * 10 ** 9}",
        "(" * 5000,
        "{'asin': 'B1'} and exit()",
    ):
        write("raw/meta_Beauty.json.gz", "{'asin': 'B1'}\n" + line + "\n")
        assert cli.main(["prepare", "beauty", "-q", "--data-path=data", *flags]) == 2
        assert "meta_Beauty.json.gz, line 2: " in capsys.readouterr().err
    assert not Path("pwned").exists()


def test_metadata_may_hold_json_among_literals() -> None:
    flags = raw.amazon_2014()
    write("raw/meta_Beauty.json.gz", "{'asin': 'B1', 'title': 'L'}\n\n{\"asin\": \"B2\", \"title\": \"J\"}\n")
    assert prepared("beauty", *flags).item.splitlines()[1:] == ["B1\tL\t\t\t", "B2\tJ\t\t\t"]


MOVIELENS_ITEM = "item_id:token→title:token_seq→genres:token_seq"


def test_movielens_100k() -> None:
    made = prepared("ml", *raw.movielens_100k())
    assert made.inter == rows(
        "user_id:token→item_id:token→rating:float→timestamp:float",
        "1→1→5→874965758",
        "1→2→4→874965759",
        "2→1→4→874965760",
        "2→2→5→874965761",
    )
    assert made.item == rows(
        MOVIELENS_ITEM,
        "1→Toy Story (1995)→Animation, Children's, Comedy",
        "2→Misérables, Les (1995)→Drama, Musical",
    )
    assert made.counts == counts((5, 3, 3), (5, 3, 3), (4, 2, 2), (4, 2, 2), (4, 2, 2))
    assert made.card["template"] == "{title}. {genres}"
    assert [file["name"] for file in made.card["files"]] == ["u.data", "u.genre", "u.item"]


def test_a_film_of_unknown_genre_has_none() -> None:
    made = prepared("ml", *raw.movielens_100k(), "--kcore=0", "--min-rating=none")
    assert made.item.splitlines()[-1] == "3\tFour Rooms (1995)\t"
    assert len(made.inter.splitlines()) == 6


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_movielens_1m_and_10m(encoding: str) -> None:
    """The 10M release has the layout of the 1M release, but its README says that it is UTF-8."""
    made = prepared("ml", *raw.movielens_1m(encoding=encoding))
    assert made.inter == rows(
        "user_id:token→item_id:token→rating:float→timestamp:float",
        "1→1→5→978300760",
        "1→2→4→978302109",
        "2→1→4→978298413",
        "2→2→5→978298414",
    )
    assert made.item == rows(
        MOVIELENS_ITEM,
        "1→Toy Story (1995)→Animation, Children's, Comedy",
        "2→Misérables, Les (1995)→Drama, Musical",
    )
    assert made.counts == counts((5, 3, 3), (5, 3, 3), (4, 2, 2), (4, 2, 2), (4, 2, 2))


def test_movielens_20m_25m_32m() -> None:
    made = prepared("ml", *raw.movielens_csv())
    assert made.inter == rows(
        "user_id:token→item_id:token→rating:float→timestamp:float",
        "1→1→4.5→1147880044",
        "1→2→4→1147880045",
        "2→1→4→1147880046",
        "2→2→5→1147880047",
    )
    assert made.item == rows(
        MOVIELENS_ITEM,
        "1→American President, The (1995)→Comedy, Drama, Romance",
        "2→'Great Performances\" Cats (1998)→",
    )
    assert made.counts == counts((5, 3, 3), (5, 3, 3), (4, 2, 2), (4, 2, 2), (4, 2, 2))


@pytest.mark.parametrize("layout", [raw.movielens_100k, raw.movielens_1m, raw.movielens_csv])
@pytest.mark.parametrize("kind", ["zip", "flat.zip", "tar", "tar.gz"])
def test_an_archive_is_the_same_as_its_folder(layout: Callable[[], list[str]], kind: str) -> None:
    flags = layout()
    of_folder = prepared("folder", *flags)
    (path,) = [Path(flag.removeprefix("--path=")) for flag in flags if flag.startswith("--path=")]
    archive = Path("raw", f"ml.{kind}")
    above = "" if kind == "flat.zip" else f"{path.name}/"
    if kind.endswith("zip"):
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
            for file in sorted(path.iterdir()):
                zipped.write(file, above + file.name)
            zipped.writestr("__MACOSX/._x", "junk")
    else:
        with tarfile.open(archive, "w:gz" if kind.endswith("gz") else "w") as taped:
            taped.add(path, path.name)
    made = prepared("archive", *flags, f"--path={archive}")
    assert (made.inter, made.item, made.counts) == (of_folder.inter, of_folder.item, of_folder.counts)
    assert [file["name"] for file in made.card["files"]] == [archive.name]


TABLE_INTER = rows(
    "user_id:token→item_id:token→rating:float→timestamp:float",
    "u1→s1→5→1391162400",
    "u1→s2→4→1391162401",
    "u2→s1→4→1391162402",
    "u2→s2→5→1391162403",
)
TABLE_ITEM = rows(
    "item_id:token→title:token_seq→description:token_seq",
    's1→A "big" box, blue→Line one line two',
    "s2→Café ☕→",
)


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet", "csv.gz", "tsv.gz", "jsonl.gz"])
@pytest.mark.parametrize("unit", ["seconds", "milliseconds", "iso"])
def test_table(kind: str, unit: str) -> None:
    made = prepared("shop", *raw.table(kind=kind, unit=unit))
    assert made.inter == TABLE_INTER
    assert made.item == TABLE_ITEM
    assert made.counts == counts((5, 2, 3), (5, 2, 3), (4, 2, 2), (4, 2, 2), (4, 2, 2))
    assert made.card["template"] == "{title}"


def test_unmapped_columns_of_a_table_have_their_usual_names() -> None:
    write("orders.csv", rows("timestamp,item_id,user_id", "1.5,i1,u1", ",i1,u2"))
    write("products.tsv", rows("item_id→colour→size", "i1→red→"))
    made = prepared("shop", "--source=table", "--reviews=orders.csv", "--metadata=products.tsv", "--kcore=0")
    assert made.inter == rows("user_id:token→item_id:token→timestamp:float", "u1→i1→1.5", "u2→i1→")
    assert made.item == rows("item_id:token→colour:token_seq→size:token_seq", "i1→red→")
    assert made.card["template"] == "{colour}. {size}"


def test_a_table_needs_no_items() -> None:
    write("orders.csv", rows("user_id,item_id", "u1,i1", "u1,i1"))
    made = prepared("shop", "--source=table", "--reviews=orders.csv", "--kcore=0")
    assert made.inter == rows("user_id:token→item_id:token", "u1→i1")
    assert (made.item, made.card["template"], made.card["coverage"]) == (None, None, {})


def test_items_of_an_earlier_preparation_do_not_stay() -> None:
    flags = raw.table()
    assert prepared("shop", *flags).item
    assert prepared("shop", *(flag for flag in flags if "metadata" not in flag)).item is None


def test_iso_times_keep_their_offset() -> None:
    write(
        "orders.csv",
        rows("user_id,item_id,timestamp", "u1,a,2014-01-31", "u2,a,2014-01-31T10:00:00Z")
        + rows("u3,a,2014-01-31T10:00:00+02:00", "u4,a,2014-01-31 10:00:00", "u5,a,yesterday"),
    )
    made = prepared("shop", "--source=table", "--reviews=orders.csv", "--time-unit=iso", "--kcore=0")
    times = [line.split("\t")[2] for line in made.inter.splitlines()[1:]]
    assert times == ["1391126400", "1391162400", "1391155200", "1391162400", ""]


@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_times_of_parquet_are_utc_wherever_the_machine_is(zone: str | None) -> None:
    import pandas as pd

    at = pd.to_datetime(pd.Series(["2014-01-31T10:00:00", "2014-07-31T10:00:00"])).dt.tz_localize(zone)
    pd.DataFrame({"user_id": [1, 2], "item_id": [7, 7], "timestamp": at}).to_parquet("orders.parquet")
    run = [sys.executable, "-m", "recbole_llminit.cli", "prepare", "shop", "-q", "--kcore=0"]
    run += ["--source=table", "--reviews=orders.parquet", "--data-path=data"]
    subprocess.run(run, check=True, env={**os.environ, "TZ": "Asia/Tokyo"})
    hours = 5 * 3600 if zone == "America/New_York" else 0  # standard time; an hour less in summer
    times = [line.split("\t")[2] for line in raw.read("shop").inter.splitlines()[1:]]
    assert times == [str(1391162400 + hours), str(1406800800 + max(0, hours - 3600))]


def test_a_hash_is_no_comment() -> None:
    """Ids like #7 and titles like "#1 Mom" are common; readers must not drop them or the text after them."""
    write("orders.csv", rows("user_id,item_id", "#u,i1", "u2,#7", "u3,#8"))
    write("products.csv", rows("item_id,title", "#7,x", "i1,#1 Mom", "#8,# of things"))
    made = prepared("shop", "--source=table", "--reviews=orders.csv", "--metadata=products.csv", "--kcore=0")
    assert made.pairs == {("#u", "i1"), ("u2", "#7"), ("u3", "#8")}
    assert made.item.splitlines()[1:] == ["#7\tx", "#8\t# of things", "i1\t#1 Mom"]
    again = prepared("again", "--source=atomic", "--path=data/shop", "--kcore=0")
    assert (again.inter, again.item) == (made.inter, made.item)


@pytest.mark.parametrize("odd", ["bom", "crlf", "blank lines", "no newline at the end"])
def test_tables_as_spreadsheets_write_them(odd: str) -> None:
    text = rows("user_id,item_id,rating", "u1,i1,5", 'u2,"i 2",4')
    changed = {
        "bom": "\ufeff" + text,
        "crlf": text.replace("\n", "\r\n"),
        "blank lines": text.replace("\n", "\n\n"),
        "no newline at the end": text.rstrip("\n"),
    }
    write("orders.csv", changed[odd])
    made = prepared("shop", "--source=table", "--reviews=orders.csv", "--kcore=0")
    assert made.inter == rows("user_id:token→item_id:token→rating:float", "u1→i1→5", "u2→i 2→4")


@pytest.mark.parametrize("folder", ["with space", "data [old]", "it's", "ünï", "a*b?", "{x}"])
def test_paths_are_taken_literally(folder: str) -> None:
    flags = raw.amazon_2023(folder)
    assert prepared("plain", *raw.amazon_2023()).item == prepared("odd", *flags).item
    write("other.csv", rows("user_id,item_id", "u,i"))
    orders = write(f"{folder}/orders [1].csv", rows("user_id,item_id", "u,j"))
    assert prepared("shop", "--source=table", f"--reviews={orders}", "--kcore=0").pairs == {("u", "j")}


def test_files_of_the_same_name_in_two_folders_are_two_files() -> None:
    write("reviews/part.jsonl", '{"user_id": "u", "item_id": "i"}\noops\n')
    write("items/part.jsonl", '{"item_id": "i", "title": "T"}\noops\n')
    flags = ["--reviews=reviews/part.jsonl", "--metadata=items/part.jsonl", "--skip-bad-lines=1"]
    made = prepared("shop", "--source=table", *flags, "--kcore=0")
    assert made.pairs == {("u", "i")}
    assert made.item.splitlines()[1:] == ["i\tT"]


def test_atomic() -> None:
    made = prepared("again", *raw.atomic())
    assert made.inter == TABLE_INTER.replace("s2→4".replace("→", "\t"), "s2\t4.5")
    assert made.item == rows(
        "item_id:token→title:token_seq→year:token→vector:float_seq",
        's1→A 5" disc→→1 0',
        's2→\'Big" C:\\new \\"box→1995→0.5 1',
    )
    assert made.counts == counts((5, 2, 3), (5, 2, 3), (4, 2, 2), (4, 2, 2), (4, 2, 2))


def test_prepared_files_prepared_again_stay_as_they_are() -> None:
    first = prepared("first", *raw.amazon_2014())
    again = prepared("again", "--source=atomic", "--path=data/first", "--kcore=2")
    assert (again.inter, again.item) == (first.inter, first.item)
    in_place = prepared("first", "--source=atomic", "--path=data/first", "--kcore=2")
    assert (in_place.inter, in_place.item) == (first.inter, first.item)


@pytest.mark.parametrize("fixture", [raw.amazon_2014, raw.amazon_2018, raw.amazon_2023])
def test_the_order_of_lines_does_not_matter(fixture: Callable[[], list[str]]) -> None:
    flags = [*fixture(), "--min-rating=none", "--kcore=0"]
    once = prepared("shop", *flags)
    for file in Path("raw").iterdir():
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        first, *others = content.splitlines(keepends=True)
        write(file, b"".join([first, *reversed(others)]))
    again = prepared("shop", *flags)
    assert (again.inter, again.item) == (once.inter, once.item)


def test_the_card_names_its_files_by_hash() -> None:
    made = prepared("beauty", *raw.amazon_2014())
    for kind, text in (("inter", made.inter), ("item", made.item)):
        assert made.card["sha256"][f"beauty.{kind}"] == hashlib.sha256(text.encode()).hexdigest()
    for file in made.card["files"]:
        content = Path("raw", file["name"]).read_bytes()
        assert (file["bytes"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())


def test_a_filter_without_its_column_is_not_on_the_card(capsys: pytest.CaptureFixture[str]) -> None:
    write("orders.csv", rows("user_id,item_id,stars", "u,i,1", "u,j,5"))
    argv = ["prepare", "shop", f"--data-path={DATA}", "--source=table", "--reviews=orders.csv", "--kcore=0"]
    assert cli.main(argv) == 0
    assert "no ratings: rating >= 4 is not applied" in capsys.readouterr().out
    made = read("shop")
    assert (made.card["filters"]["min_rating"], len(made.pairs)) == (None, 2)
    rated = prepared("rated", *argv[3:], "--columns=rating=stars")
    assert (rated.card["filters"]["min_rating"], rated.pairs) == (4.0, {("u", "j")})


def test_a_column_may_begin_late_in_json_lines() -> None:
    lines = [{"user_id": "u", "item_id": "i"}, {"user_id": "u", "item_id": "j", "rating": 1}]
    lines += [{"user_id": "u", "item_id": "k", "rating": 5}]
    write("orders.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    made = prepared("shop", "--source=table", "--reviews=orders.jsonl", "--kcore=0")
    assert made.pairs == {("u", "k")}


def test_what_is_not_a_number_is_none() -> None:
    """Engines order NaN above every number, so it would be the highest rating and the latest time."""
    header = "user_id,item_id,rating,timestamp"
    write("orders.csv", rows(header, "u,i,NaN,1", "u,j,5,nan", "u,j,4,7"))
    made = prepared("shop", "--source=table", "--reviews=orders.csv", "--kcore=0", "--duplicates=last")
    assert made.inter.splitlines()[1:] == ["u\tj\t4\t7"]


def test_names_are_no_patterns() -> None:
    write("a [1].csv", rows("user_id,item_id", "right,i"))
    write("a 1.csv", rows("user_id,item_id", "wrong,i"))
    made = prepared("shop", "--source=table", "--reviews=a [1].csv", "--kcore=0")
    assert made.pairs == {("right", "i")}


def test_movielens_with_windows_line_ends() -> None:
    flags = raw.movielens_100k()
    first = prepared("unix", *flags)
    for file in Path("raw").rglob("u.*"):
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    again = prepared("windows", *flags)
    assert (again.pairs, again.item) == (first.pairs, first.item)
