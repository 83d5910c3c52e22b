"""Test that wrong input gives a one-line error and exit code 2, and changes no data."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recbole_llminit import cli
from tests.prepare import raw
from tests.prepare.raw import DATA, prepared, rows, write

Refused = Callable[..., str]


def tree(folder: Path) -> dict[str, str]:
    """Return every path below a folder, with the hash of its content."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Iterator[Refused]:
    """Return a function that prepares a new dataset and an existing one from wrong flags.

    It expects a one-line error and unchanged data both times, and returns the line.
    """
    write("there.csv", rows("user_id,item_id", "u,i"))
    write("there.tsv", rows("item_id→title", "i→There"))
    prepared("there", "--source=table", "--reviews=there.csv", "--metadata=there.tsv", "--kcore=0")
    before = tree(DATA)

    def run(*flags: str) -> str:
        lines = []
        for name in ("there", "new"):
            assert cli.main(["prepare", name, f"--data-path={DATA}", "--quiet", *flags]) == 2
            out, err = capsys.readouterr()
            assert out == ""
            (line,) = [line for line in err.splitlines() if line.strip()]
            assert line.startswith("error: ")
            assert tree(DATA) == before
            lines.append(line)
        return lines[1]

    yield run
    assert tree(DATA) == before


LINE = b'{"user_id": "u", "item_id": "i"}\n'
TABLE = ("--source=table", "--kcore=0")


def test_a_truncated_gzip_file(refused: Refused) -> None:
    content = gzip.compress(os.urandom(3000).hex().encode())
    write("orders.csv", content[: len(content) // 2]).rename("orders.csv.gz")
    line = refused(*TABLE, "--reviews=orders.csv.gz")
    assert "orders.csv.gz is not a whole gzip file" in line
    assert "download it again" in line


def test_a_gzip_file_cut_after_a_line(refused: Refused) -> None:
    """No line is incomplete; only the end of the compressed stream is missing."""
    packer = zlib.compressobj(wbits=31)
    head = packer.compress(LINE * 3) + packer.flush(zlib.Z_FULL_FLUSH)
    assert zlib.decompressobj(wbits=31).decompress(head) == LINE * 3
    write("orders", head).rename("orders.jsonl.gz")
    assert "orders.jsonl.gz is not a whole gzip file" in refused(*TABLE, "--reviews=orders.jsonl.gz")


def test_a_gzip_file_that_is_none(refused: Refused) -> None:
    write("orders", LINE).rename("orders.jsonl.gz")
    assert "orders.jsonl.gz is not a whole gzip file" in refused(*TABLE, "--reviews=orders.jsonl.gz")


BAD_LINES = [
    b"oops",
    b'{"user_id": "u", "item_id"',
    b'["u", "i"]',
    b'"u"',
    b'{"user_id": "u", "item_id": "\\ud83d"}',
    b"[" * 3000,
]


@pytest.mark.parametrize("bad", BAD_LINES)
@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz"])
def test_a_line_that_is_not_json_is_named_by_its_number(bad: bytes, kind: str, refused: Refused) -> None:
    write(f"orders.{kind}", LINE + b"\n" + LINE + bad + b"\n" + LINE)
    assert f"orders.{kind}, line 4: " in refused(*TABLE, f"--reviews=orders.{kind}")


def test_bytes_that_are_no_text(refused: Refused) -> None:
    write("orders.jsonl", LINE + LINE.replace(b"u", b"\xe9", 1))
    assert "orders.jsonl" in refused(*TABLE, "--reviews=orders.jsonl")
    write("orders.csv", b"user_id,item_id\nu,i\nu\xe9,i\n")
    assert "orders.csv" in refused(*TABLE, "--reviews=orders.csv")


@pytest.mark.parametrize("bad", BAD_LINES)
def test_bad_lines_may_be_skipped_up_to_a_number(bad: bytes, refused: Refused) -> None:
    write("orders.jsonl", LINE + bad + b"\n" + LINE + bad + b"\n" + LINE + bad + b"\n")
    line = refused(*TABLE, "--reviews=orders.jsonl", "--skip-bad-lines=2")
    assert "orders.jsonl, line 6: " in line
    assert "3 unreadable lines" in line
    flags = [*TABLE, "--duplicates=all", "--reviews=orders.jsonl", "--skip-bad-lines=3"]
    assert len(prepared("good", *flags).inter.splitlines()) == 1 + 3
    (DATA / "good").rename("good")


@pytest.mark.parametrize("name", ["reviews_Beauty.json.gz", "meta_Beauty.json.gz"])
def test_bad_lines_of_amazon_2014(name: str, refused: Refused) -> None:
    flags = raw.amazon_2014()
    good = raw.prepared("good", *flags)
    (DATA / "good").rename("good")
    text = gzip.decompress(Path("raw", name).read_bytes()).decode()
    write(f"raw/{name}", text + "{'asin': 'B1', \n" + "x\n")
    number = len(text.splitlines()) + 1
    assert f"{name}, line {number}: " in refused(*flags)
    assert f"{name}, line {number + 1}: " in refused(*flags, "--skip-bad-lines=1")
    again = prepared("good", *flags, "--skip-bad-lines=2")
    assert (again.inter, again.item) == (good.inter, good.item)
    (DATA / "good").rename("good again")


@pytest.mark.parametrize("name", ["reviews_Beauty.json.gz", "meta_Beauty.json.gz"])
def test_a_missing_field_of_amazon(name: str, refused: Refused) -> None:
    flags = raw.amazon_2014()
    text = gzip.decompress(Path("raw", name).read_bytes()).decode()
    write(f"raw/{name}", text.replace("asin", "asim"))
    line = refused(*flags)
    assert f"{name} has no 'asin': its first line has " in line
    assert "Did you mean 'asim'?" in line


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_a_missing_column_of_a_table(kind: str, refused: Refused) -> None:
    flags = raw.table(kind=kind)
    line = refused(*flags, "--columns=user=uid,item=skk")
    assert f"orders.{kind} has no column 'skk' (it has uid, sku, stars, at, note)" in line
    assert "Did you mean 'sku'?" in line
    assert "products." in refused(*flags, "--item-columns=item=sku,title=nam")
    assert "--columns 'usr' must be one of user, item" in refused(*flags, "--columns=usr=uid")
    assert "has no column 'tip'" in refused(*flags, "--columns=user=uid,item=sku,rating=tip")


@pytest.mark.parametrize("column", ["rating", "timestamp"])
def test_a_column_without_a_number(column: str, refused: Refused) -> None:
    """For example, days where seconds are expected would leave the interactions without an order in time."""
    write("orders.csv", rows(f"user_id,item_id,{column}", "u,i,2014-01-01", "u,j,2014-01-02"))
    line = refused(*TABLE, "--reviews=orders.csv")
    assert f"the interactions' {column} holds no number that can be read" in line
    assert ("--time-unit" in line) == (column == "timestamp")


def test_ids_that_never_meet(refused: Refused) -> None:
    write("orders.csv", rows("user_id,item_id", "u,1.0", "u,2.0"))
    write("items.csv", rows("item_id,title", "1,One", "2,Two"))
    line = refused(*TABLE, "--reviews=orders.csv", "--metadata=items.csv")
    assert "no item has a text: items of the interactions, such as '" in line
    assert ".0', are not among those that are described" in line


def test_the_ids_are_no_text_column(refused: Refused) -> None:
    flags = raw.table()
    line = refused(*flags, "--item-columns=item_id=sku,title=name")
    assert "--item-columns item_id=sku: the ids' column is named item=..." in line


def test_a_file_that_is_there_has_the_hash_of_its_url(refused: Refused) -> None:
    write("place/orders.csv", rows("user_id,item_id", "u,i"))
    url = f"http://127.0.0.1:9/orders.csv#sha256={'0' * 64}"
    line = refused(*TABLE, f"--reviews={url}", "--path=place")
    assert "place/orders.csv: its SHA-256 is " in line
    assert f"expected {'0' * 64}" in line


def test_two_urls_of_one_kind(refused: Refused) -> None:
    line = refused(*TABLE, "--url", "http://127.0.0.1:9/one.csv", "http://127.0.0.1:9/two.csv")
    assert "one.csv and http://127.0.0.1:9/two.csv are both --reviews" in line


def test_a_missing_column_of_atomic_files(refused: Refused) -> None:
    flags = raw.atomic()
    write("raw/shop/shop.inter", rows("user:token→item_id:token", "u→i"))
    assert "shop.inter has no column user_id:token" in refused(*flags)
    write("raw/shop/more.inter", "")
    Path("raw/shop/shop.inter").unlink()
    assert "more.inter is empty" in refused(*flags)
    Path("raw/shop/more.inter").unlink()
    assert "holds 0 .inter files" in refused(*flags)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ratings.csv", "user,movie,rating,timestamp\n1,1,5,1\n"),
        ("movies.csv", "id,title,genres\n1,A,B\n"),
        ("movies.csv", "movieId,title,genres\n1,A\n"),
        ("movies.csv", "movieId,title,genres\n1,Am\xe9lie,B\n".encode("latin-1")),
        ("movies.csv", 'movieId,title,genres\n1,"A,B\n'),
    ],
)
def test_malformed_movielens_csv(name: str, text: str | bytes, refused: Refused) -> None:
    flags = raw.movielens_csv()
    write(f"raw/ml-25m/{name}", text)
    assert name in refused(*flags)


@pytest.mark.parametrize(
    ("layout", "name", "text"),
    [
        (raw.movielens_1m, "movies.dat", "1::A\n"),
        (raw.movielens_1m, "ratings.dat", "1::1::5::1\n2::2::5\n"),
        (raw.movielens_100k, "u.item", "1|A|x||y|0|1\n"),
    ],
)
def test_malformed_movielens(layout: Callable[[], list[str]], name: str, text: str, refused: Refused) -> None:
    flags = layout()
    write(Path(flags[1].removeprefix("--path="), name), text)
    assert name in refused(*flags)


@pytest.mark.parametrize("name", ["u.item", "u.genre"])
def test_an_incomplete_movielens_folder(name: str, refused: Refused) -> None:
    flags = raw.movielens_100k()
    Path("raw/ml-100k", name).unlink()
    assert name in refused(*flags)
    Path("raw/ml-100k/u.data").unlink()
    assert "raw/ml-100k holds no MovieLens ratings" in refused(*flags)


@pytest.mark.parametrize(
    "text", ["user_id,item_id,rating\nu,i,5\nu\n", "user_id,item_id,rating\nu,i,5,5,5\nu,i,5\n"]
)
def test_a_ragged_line_is_named_by_its_file(text: str, refused: Refused) -> None:
    write("orders.csv", text)
    assert "orders.csv" in refused(*TABLE, "--reviews=orders.csv")


def test_a_ragged_line_far_down_is_named_by_its_file_and_number(refused: Refused) -> None:
    write("orders.csv", rows("user_id,item_id,rating", *(f"u{i},i,5" for i in range(30_000)), "u,i"))
    line = refused(*TABLE, "--reviews=orders.csv")
    assert "orders.csv" in line
    assert "30002" in line


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet", "json.gz"])
def test_an_empty_file(kind: str, refused: Refused) -> None:
    Path(f"orders.{kind}").touch()
    assert f"orders.{kind} is empty" in refused(*TABLE, f"--reviews=orders.{kind}")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("csv.gz", ""),
        ("jsonl.gz", ""),
        ("jsonl", "\n\n"),
        ("csv", "user_id,item_id\n"),
        ("csv", "\n"),
        ("parquet", "x"),
    ],
)
def test_a_file_without_a_row(kind: str, text: str, refused: Refused) -> None:
    write(f"orders.{kind}", text)
    refused(*TABLE, f"--reviews=orders.{kind}")


@pytest.mark.parametrize(
    ("flags", "step"),
    [
        (["--min-rating=6"], "of 5 is left after 'rating >= 6'"),
        (["--kcore=50"], "of 4 is left after '50-core'"),
        (["--since=2030-01-01"], "of 4 is left after 'from 2030-01-01 to the end'"),
        (["--until=1999-12-31"], "of 4 is left after 'from the start to 1999-12-31'"),
        (["--since=2014-02-01", "--until=2014-01-01"], "is left after"),
        (["--min-text=9999"], "of 4 is left after 'at least 9999 characters of text'"),
        (["--sample=0.0000001"], "of 5 is left after 'sample of 1e-07 of the users'"),
    ],
)
def test_filters_that_leave_nothing(flags: list[str], step: str, refused: Refused) -> None:
    line = refused(*raw.table(), *flags)
    assert f"no interaction {step}" in line or ("no interaction" in line and step in line)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--source=amazon-2013"],
            "--source 'amazon-2013' must be one of amazon-2014, .* Did you mean 'amazon-20",
        ),
        (["--source=amazon-2014"], "source 'amazon-2014' needs --reviews: a file or URL"),
        (["--source=movielens"], "source 'movielens' needs --path: .* folder or archive"),
        (["--source=table", "--reviews=gone.csv"], "gone.csv does not exist"),
        (["--source=table", "--reviews=raw"], "raw does not exist or is not a file"),
        (["--source=movielens", "--path=gone"], "gone does not exist"),
        (["--source=synthetic"], "needs its size: --generate users=300"),
        (["--source=atomic", "--path=gone", "--generate=users=3"], "--generate is of --source synthetic"),
        (["--source=synthetic", "--generate=users=300"], "needs its size: --generate users=300"),
        (["--duplicates=some"], "--duplicates 'some' must be one of first, last, all"),
        (["--engine=polars"], "--engine 'polars' must be one of duckdb, spark"),
        (["--since=2014"], "--since '2014' is no day; write it as 2014-01-31"),
        (["--until=2014-02-30"], "--until '2014-02-30' is no day"),
        (["--memory=lots"], "--memory 'lots' is not a size like 2GB"),
        (["--memory=2"], "--memory '2' is not a size like 2GB"),
        (["--memory="], "--memory '' is not a size like 2GB"),
        (["--sample=0"], "--sample 0.0 must be a share"),
        (["--sample=1.5"], "--sample 1.5 must be a share"),
        (["--sample=nan"], "--sample nan must be a share"),
        (["--kcore=-1"], "--kcore -1 must not be negative"),
        (["--min-text=-1"], "--min-text -1 must not be negative"),
        (["--time-unit=hours"], "--time-unit 'hours' must be one of seconds, milliseconds, iso"),
        (["--template={titel}"], "no column 'titel'.* Did you mean 'title'"),
        (["--template={title"], "template '{title'"),
        (["--template=title"], "names no column"),
        (["--url=ftp://host/x.zip"], "--url 'ftp://host/x.zip' does not start with http:// or https://"),
        (["--reviews=raw/orders.xls"], "orders.xls"),
    ],
)
def test_wrong_flags(flags: list[str], message: str, refused: Refused) -> None:
    import re

    base = raw.table()
    write("raw/orders.xls", "x")
    if flags[0].startswith("--source"):
        base = []
    assert re.search(message, refused(*base, *flags))


@pytest.mark.parametrize(
    "flag",
    [
        "--min-rating=x",
        "--kcore=x",
        "--columns=user",
        "--columns==",
        "--skip-bad-lines=x",
        "--skip-bad-lines=-1",
        "--oops",
    ],
)
def test_flags_of_the_wrong_form(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = cli.main(["prepare", "new", "--data-path=data", "--quiet", *raw.table(), flag])
    except SystemExit as stopped:
        code = stopped.code
    assert code == 2
    assert flag.partition("=")[0] in capsys.readouterr().err.splitlines()[-1]
    assert not DATA.exists()


def test_an_unknown_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["prepare", "beaty", "--data-path=data"]) == 2
    assert "'beaty' is no recipe (there are beauty, beauty-mini, " in capsys.readouterr().err
    assert not DATA.exists()


@pytest.mark.parametrize("name", ["a/b", "..", ".", ""])
def test_a_name_that_is_no_name_of_a_folder(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    flags = raw.table()
    before = tree(Path())
    assert cli.main(["prepare", name, "--data-path=data", "--quiet", *flags]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert [path for path in tree(Path()) if path not in before] in ([], ["data"])


@pytest.mark.parametrize("bad", ["NA", "null", "None", '"u', '"a\tb"', '"a\nb"'])
@pytest.mark.parametrize("column", ["user", "item"])
def test_an_id_that_recbole_would_misread(bad: str, column: str, refused: Refused) -> None:
    text = rows("user_id\titem_id", f"{bad}\ti" if column == "user" else f"u\t{bad}")
    if bad == '"u':
        folder = Path("atomic")
        write(folder / "a.inter", text)
        line = refused("--source=atomic", "--path=atomic", "--kcore=0")
    else:
        write("orders.tsv", text)
        line = refused(*TABLE, "--reviews=orders.tsv")
    assert f"{column}_id " in line
    assert "can't stand in an atomic file" in line


def test_a_second_column_called_item_id(refused: Refused) -> None:
    """A table of items may have a column item_id beside the column that is mapped to it."""
    write("orders.csv", rows("user_id,item_id", "u,i"))
    write("products.csv", rows("sku,item_id,title", "i,7,T"))
    flags = [*TABLE, "--reviews=orders.csv", "--metadata=products.csv", "--item-columns=item=sku"]
    code = cli.main(["prepare", "other", "--data-path=other", "--quiet", *flags])
    assert code in (0, 2)


@pytest.mark.parametrize("below", ["a-file", "a-file/data"])
def test_a_data_path_under_a_regular_file(below: str, capsys: pytest.CaptureFixture[str]) -> None:
    flags = raw.table()
    write("a-file", "mine")
    assert cli.main(["prepare", "new", f"--data-path={below}", "--quiet", *flags]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: a-file")
    assert Path("a-file").read_text() == "mine"


def test_a_file_where_the_folder_should_be(capsys: pytest.CaptureFixture[str]) -> None:
    flags = raw.table()
    write("data/new", "mine")
    assert cli.main(["prepare", "new", "--data-path=data", "--quiet", *flags]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: data/new")
    assert tree(DATA).keys() == {"new"}


def test_foreign_files_are_not_replaced(capsys: pytest.CaptureFixture[str]) -> None:
    flags = raw.table()
    for kind in ("inter", "item"):
        file = write(f"data/{kind}/{kind}.{kind}", "the only copy")
        assert cli.main(["prepare", kind, "--data-path=data", "--quiet", *flags]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{file} exists and was not made by prepare" in line
        assert tree(DATA / kind).keys() == {f"{kind}.{kind}"}
        assert file.read_text() == "the only copy"


@pytest.mark.parametrize("card", ["{}", "not JSON", "[]"])
def test_a_card_that_is_none_protects_too(card: str, capsys: pytest.CaptureFixture[str]) -> None:
    flags = raw.table()
    write("data/shop/shop.inter", "the only copy")
    write("data/shop/card.json", card)
    assert cli.main(["prepare", "shop", "--data-path=data", "--quiet", *flags]) == 2
    assert "card.json is not" in capsys.readouterr().err
    assert Path("data/shop/shop.inter").read_text() == "the only copy"


def test_a_prepared_dataset_is_replaced_and_what_lies_beside_it_stays() -> None:
    flags = raw.table()
    first = prepared("shop", *flags)
    write("data/shop/mine.txt", "mine")
    assert prepared("shop", *flags, "--kcore=0", "--min-rating=none").inter != first.inter
    assert tree(DATA / "shop").keys() == {"card.json", "mine.txt", "shop.inter", "shop.item"}


@pytest.mark.parametrize("member", ["../x", "/tmp/climbed-out", "a/../../x"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_that_climbs_out(member: str, kind: str, refused: Refused) -> None:
    with zipfile.ZipFile("ml.zip", "w") as zipped:
        zipped.writestr("ml/ratings.csv", "x")
        zipped.writestr(member, "x")
    with tarfile.open("ml.tar", "w") as taped:
        for name in ("ml/ratings.csv", member):
            info = tarfile.TarInfo(name)
            info.size = 1
            taped.addfile(info, io.BytesIO(b"x"))
    line = refused("--source=movielens", f"--path=ml.{kind}")
    assert f"ml.{kind} holds '{member}', which climbs out of the folder; not unpacked" in line
    assert not Path("x").exists()
    assert not Path("/tmp/climbed-out").exists()


def test_a_tar_with_a_link_that_climbs_out(refused: Refused) -> None:
    with tarfile.open("ml.tar", "w") as taped:
        link = tarfile.TarInfo("ml/ratings.csv")
        link.type, link.linkname = tarfile.SYMTYPE, "../../../there.csv"
        taped.addfile(link)
    assert "ml.tar can't be unpacked" in refused("--source=movielens", "--path=ml.tar")


def damaged(kind: str) -> bytes:
    """Return an archive of incompressible bytes with some of them changed."""
    out = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as zipped:
            zipped.writestr("ratings.csv", os.urandom(5000).hex())
    else:
        with tarfile.open(fileobj=out, mode=f"w:{kind.partition('.')[2]}") as taped:
            info = tarfile.TarInfo("ratings.csv")
            info.size = 100_000
            taped.addfile(info, io.BytesIO(os.urandom(100_000)))
    content = bytearray(out.getvalue())
    middle = len(content) // 2
    content[middle : middle + 50] = bytes(50)
    return bytes(content)


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.xz", "tar.bz2"])
@pytest.mark.parametrize("how", ["changed", "cut"])
def test_a_damaged_archive(kind: str, how: str, refused: Refused) -> None:
    content = damaged(kind)
    Path(f"ml.{kind}").write_bytes(content if how == "changed" else content[: len(content) // 2])
    assert f"ml.{kind}" in refused("--source=movielens", f"--path=ml.{kind}")


def test_an_encrypted_archive(refused: Refused) -> None:
    with zipfile.ZipFile("ml.zip", "w") as zipped:
        zipped.writestr("ratings.csv", "x")
    content = bytearray(Path("ml.zip").read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    Path("ml.zip").write_bytes(content)
    assert "ml.zip" in refused("--source=movielens", "--path=ml.zip")


def test_a_file_that_is_no_archive(refused: Refused) -> None:
    write("ml.zip", "<html>Not found</html>")
    assert "ml.zip is neither a folder nor a zip or tar archive" in refused(
        "--source=movielens", "--path=ml.zip"
    )
    with zipfile.ZipFile("ml.zip", "w") as zipped:
        zipped.writestr("readme.txt", "x")
    assert "holds no MovieLens ratings" in refused("--source=movielens", "--path=ml.zip")
    zipfile.ZipFile("ml.zip", "w").close()
    assert "holds no MovieLens ratings" in refused("--source=movielens", "--path=ml.zip")


def many(lines: int = 40_000) -> list[str]:
    """Write a table that is smaller as Parquet than as the .inter file made from it; return its flags."""
    ids = (hashlib.md5(str(n).encode()).hexdigest()[:12] for n in range(lines))
    write(
        "orders.csv",
        rows("user_id,item_id,timestamp", *(f"{user},i{n % 50},{n + 10**8}" for n, user in enumerate(ids))),
    )
    return ["--source=table", "--reviews=orders.csv", "--kcore=0"]


LIMITED = """
import resource, sys
from recbole_llminit import cli
import recbole_llminit.prepare.pipeline
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
sys.exit(cli.main(sys.argv[2:]))
"""


@pytest.mark.parametrize("limit", [20_000, 950_000])
def test_no_space_while_writing(limit: int, refused: Refused) -> None:
    """The smaller limit stops the engine; the larger one stops the writing of the atomic file."""
    flags = many()
    for name in ("there", "new"):
        before = tree(DATA)
        argv = [
            sys.executable,
            "-c",
            LIMITED,
            str(limit),
            "prepare",
            name,
            "-q",
            f"--data-path={DATA}",
            *flags,
        ]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 2, done.stderr
        (line,) = done.stderr.splitlines()
        assert "free some space" in line
        assert tree(DATA) == before
    assert prepared("new", *flags).counts[0][1] == 40_000
    for file in (DATA / "new").iterdir():
        file.unlink()
    (DATA / "new").rmdir()


def test_no_space_while_metadata_are_translated(refused: Refused) -> None:
    flags = raw.amazon_2014()
    write("raw/meta_Beauty.json.gz", f"{{'asin': 'B1', 'title': '{'x' * 50_000}'}}\n")
    argv = [sys.executable, "-c", LIMITED, "20000", "prepare", "new", "-q", f"--data-path={DATA}", *flags]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "free some space" in done.stderr


def test_a_killed_run_leaves_the_dataset_and_the_next_one_cleans_up() -> None:
    small = raw.table()
    prepared("shop", *small)
    before = tree(DATA)
    argv = [sys.executable, "-m", "recbole_llminit.cli", "prepare", "shop", "-q", f"--data-path={DATA}"]
    process = subprocess.Popen([*argv, *many(300_000)])
    end = time.monotonic() + 60
    while not list(DATA.glob(".shop.prepare-*/step-*")) and time.monotonic() < end:
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    (left,) = DATA.glob(".shop.prepare-*")
    assert any(left.iterdir())
    assert {name: digest for name, digest in tree(DATA).items() if "prepare-" not in name} == before
    other = DATA / ".other.prepare-1"
    other.mkdir()
    prepared("shop", *small)
    assert {path.name for path in DATA.iterdir()} == {"shop", other.name}


def test_the_work_folder_of_a_living_process_stays() -> None:
    process = subprocess.Popen(["sleep", "60"])
    try:
        (DATA / f".shop.prepare-{process.pid}").mkdir(parents=True)
        prepared("shop", *raw.table())
        assert (DATA / f".shop.prepare-{process.pid}").is_dir()
    finally:
        process.kill()
        process.wait()


def test_a_work_folder_of_an_earlier_process_of_this_number_is_no_obstacle() -> None:
    """In a container every run may have process id 1."""
    write(DATA / f".shop.prepare-{os.getpid()}" / "step-1.parquet", "junk")
    prepared("shop", *raw.table())
    assert [path.name for path in DATA.iterdir()] == ["shop"]


def test_a_folder_that_only_looks_like_a_work_folder_stays() -> None:
    (DATA / ".shop.prepare-notes").mkdir(parents=True)
    prepared("shop", *raw.table())
    assert (DATA / ".shop.prepare-notes").is_dir()


def test_an_interrupt_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from recbole_llminit.prepare import atomic

    flags = raw.table()

    def interrupted(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(atomic, "write", interrupted)
    assert cli.main(["prepare", "shop", "--data-path=data", "--quiet", *flags]) == 130
    assert capsys.readouterr().err == "stopped\n"
    assert list(DATA.iterdir()) == []


def test_the_error_of_a_full_run_is_the_only_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Without --quiet the finished steps are printed on standard output, not on standard error."""
    assert cli.main(["prepare", "new", "--data-path=data", *raw.table(), "--kcore=9"]) == 2
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == "read: 5 interactions, 2 users, 3 items"
    lines = [line for line in err.replace("\r", "\n").splitlines() if line.startswith("error")]
    assert lines == [err.splitlines()[-1].split("\r")[-1]]
    assert "Traceback" not in err
