"""Small raw files in the documented formats, written by hand, and functions that prepare them.

The Amazon files have the same content: Ann and Bob both interact with B1 and B2. All other lines are there
to be filtered out, and B9 has a description but no interaction.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recbole_llminit import cli

DATA = Path("data")  # in the empty folder in which every test runs


@dataclass(frozen=True)
class Prepared:
    """The files of a prepared dataset."""

    inter: str
    item: str | None
    card: dict[str, Any]

    @property
    def pairs(self) -> set[tuple[str, str]]:
        """The (user, item) pairs of the interactions."""
        rows = [line.split("\t") for line in self.inter.splitlines()[1:]]
        return {(user, item) for user, item, *_ in rows}

    @property
    def counts(self) -> list[tuple[str, int, int, int]]:
        """The card's counts after each step: its name, interactions, users and items."""
        return [(c["step"], c["interactions"], c["users"], c["items"]) for c in self.card["counts"]]


def prepared(name: str, *flags: object) -> Prepared:
    """Prepare a dataset by the command line, and read its files."""
    assert cli.main(["prepare", name, "--quiet", f"--data-path={DATA}", *map(str, flags)]) == 0
    return read(name)


def read(name: str) -> Prepared:
    """Read the files of a prepared dataset without changing a byte."""
    folder = DATA / name
    texts = {file.suffix: file.read_bytes().decode() for file in folder.glob(f"{name}.*")}
    return Prepared(texts[".inter"], texts.get(".item"), json.loads((folder / "card.json").read_text()))


def write(file: Path | str, text: str | bytes) -> Path:
    """Write a file as UTF-8 without changing newlines, gzip-compressed if its name ends in .gz."""
    file, content = Path(file), text if isinstance(text, bytes) else text.encode()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress(content, mtime=0) if file.suffix == ".gz" else content)
    return file


def rows(*lines: str) -> str:
    """Join lines to the text of a file, with a tab in place of each ``→``."""
    return "".join(line.replace("→", "\t") + "\n" for line in lines)


def amazon_2014(folder: str = "raw") -> list[str]:
    """Write reviews as JSON lines and metadata as Python literals; return the flags that read them."""
    reviews = write(
        f"{folder}/reviews_Beauty.json.gz",
        r"""{"reviewerID": "Ann", "asin": "B1", "reviewerName": "Ann \"A\" A.", "helpful": [0, 1], "reviewText": "First: it's <b>great</b>.\nBuy!", "overall": 5.0, "summary": "Wow", "unixReviewTime": 1368230400, "reviewTime": "05 11, 2013"}
{"reviewerID": "Ann", "asin": "B2", "helpful": [0, 0], "reviewText": "Second.", "overall": 4.0, "summary": "", "unixReviewTime": 1368316800, "reviewTime": "05 12, 2013"}
{"reviewerID": "Bob", "asin": "B1", "reviewerName": "B\u00f6b", "helpful": [2, 2], "reviewText": "Tr\u00e8s bien", "overall": 5.0, "summary": "\u2605", "unixReviewTime": 1368144000, "reviewTime": "05 10, 2013"}
{"reviewerID": "Bob", "asin": "B2", "helpful": [0, 0], "reviewText": "Too small", "overall": 3.0, "summary": "Hm", "unixReviewTime": 1368057600, "reviewTime": "05 9, 2013"}
{"reviewerID": "Bob", "asin": "B2", "helpful": [0, 0], "reviewText": "", "overall": 4.0, "summary": "Hm", "unixReviewTime": 1368403200, "reviewTime": "05 13, 2013"}
{"reviewerID": "Ann", "asin": "B1", "helpful": [0, 0], "reviewText": "Again", "overall": 5.0, "summary": "Wow", "unixReviewTime": 1368489600, "reviewTime": "05 14, 2013"}
{"reviewerID": "Ann", "asin": "B1", "reviewerName": "Ann \"A\" A.", "helpful": [0, 1], "reviewText": "First: it's <b>great</b>.\nBuy!", "overall": 5.0, "summary": "Wow", "unixReviewTime": 1368230400, "reviewTime": "05 11, 2013"}
{"reviewerID": "Cid", "asin": "B3", "helpful": [0, 0], "reviewText": "ok", "overall": 5.0, "summary": "ok", "unixReviewTime": 1368576000, "reviewTime": "05 15, 2013"}
{"reviewerID": "Cid", "asin": "B1", "helpful": [0, 0], "reviewText": "bad", "overall": 2.0, "summary": "no", "unixReviewTime": 1368662400, "reviewTime": "05 16, 2013"}
{"reviewerID": "Bob", "asin": "B3", "helpful": [0, 0], "reviewText": "ok", "overall": 5.0, "summary": "ok", "unixReviewTime": 1368748800, "reviewTime": "05 17, 2013"}
{"asin": "B1", "helpful": [0, 0], "reviewText": "Who?", "overall": 5.0, "summary": "", "unixReviewTime": 1368835200, "reviewTime": "05 18, 2013"}
""",
    )
    metadata = write(
        f"{folder}/meta_Beauty.json.gz",
        r"""{'asin': 'B2', 'description': 'Cr\xe8me br\xfbl\xe9e \u2615 for <a href="http://x.y">her</a> &amp;amp; him\n\t5&quot; wide', 'price': None, 'imUrl': 'http://ecx.images-amazon.com/images/I/1.jpg', 'salesRank': {'Beauty': 402875}, 'categories': [['Beauty', 'Hair Care'], ['Beauty', 'Tools & Accessories']]}
{'asin': 'B1', 'related': {'also_bought': ['B2', 'B9'], 'bought_together': ['B2']}, 'title': "Men's &amp;amp; Women\'s <i>Comb</i> 3 < 4", 'price': 9.99, 'salesRank': {}, 'imUrl': 'http://x/1.jpg', 'brand': "L'Or\\u", 'categories': [['Beauty']], 'description': '"Best" comb\/brush\x00'}
{'asin': 'B9', 'title': 'Never taken', 'categories': [[]]}
{'asin': 'B3', 'title': 'Filtered out'}
""",
    )
    return ["--source=amazon-2014", f"--reviews={reviews}", f"--metadata={metadata}", "--kcore=2"]


def amazon_2018(folder: str = "raw") -> list[str]:
    """Write reviews and metadata as JSON lines; return the flags that read them."""
    reviews = write(
        f"{folder}/All_Beauty.json.gz",
        r"""{"overall": 5.0, "vote": "2", "verified": true, "reviewTime": "01 1, 2018", "reviewerID": "Ann", "asin": "B1", "style": {"Size:": " 7.0 oz", "Flavor:": " Classic"}, "reviewerName": "Ann", "reviewText": "one", "summary": "x", "unixReviewTime": 1514764800}
{"overall": 4.0, "verified": false, "reviewTime": "01 2, 2018", "reviewerID": "Ann", "asin": "B2", "reviewerName": "Ann", "summary": "no text", "unixReviewTime": 1514851200, "image": ["https://images-na.ssl-images-amazon.com/images/I/7.jpg"]}
{"overall": 4.0, "verified": true, "reviewTime": "01 3, 2018", "reviewerID": "Bob", "asin": "B1", "reviewText": "two", "summary": "x", "unixReviewTime": 1514937600}
{"overall": 5.0, "verified": true, "reviewTime": "01 4, 2018", "reviewerID": "Bob", "asin": "B2", "reviewText": "three", "summary": "x", "unixReviewTime": 1515024000}
{"overall": 5.0, "verified": true, "reviewTime": "01 4, 2018", "reviewerID": "Bob", "asin": "B2", "reviewText": "three", "summary": "x", "unixReviewTime": 1515024000}
{"overall": 1.0, "verified": true, "reviewTime": "01 5, 2018", "reviewerID": "Cid", "asin": "B2", "reviewText": "four", "summary": "x", "unixReviewTime": 1515110400}
""",
    )
    metadata = write(
        f"{folder}/meta_All_Beauty.json.gz",
        r"""{"category": [], "tech1": "", "description": ["First <b>part</b>", "", "Second &amp; last"], "fit": "", "title": "<span id=\"productTitle\" class=\"a-size-large\">Soap &amp; Go</span>", "also_buy": ["B2"], "tech2": "", "brand": "Acme", "feature": ["Vegan", "100% caf\u00e9", "Vegan"], "rank": "2,938,573 in Beauty & Personal Care (", "also_view": [], "details": {"ASIN: ": "B1"}, "main_cat": "All Beauty", "similar_item": "", "date": "", "price": "$5.99", "asin": "B1"}
{"category": [], "description": [], "title": "", "brand": "Zed", "feature": [], "asin": "B1"}
{"category": ["Beauty", "Care, Skin"], "description": [], "title": "var aPageStart = (new Date()).getTime();\nvar ue_t0=ue_t0||+new Date();", "brand": "by\n    Bea", "feature": ["No <br> breaks"], "price": ".a-section {margin: 0}", "asin": "B2"}
{"category": ["Beauty", "Care, Skin"], "description": [], "title": "var aPageStart = (new Date()).getTime();\nvar ue_t0=ue_t0||+new Date();", "brand": "by\n    Bea", "feature": ["No <br> breaks"], "price": ".a-section {margin: 0}", "asin": "B2"}
{"category": ["x"], "title": "Never taken", "asin": "B9"}
""",
    )
    return ["--source=amazon-2018", f"--reviews={reviews}", f"--metadata={metadata}", "--kcore=2"]


def amazon_2023(folder: str = "raw") -> list[str]:
    """Write reviews and metadata as JSON lines; return the flags that read them."""
    reviews = write(
        f"{folder}/All_Beauty.jsonl",
        r"""{"rating": 5.0, "title": "Such a lovely scent", "text": "one<br />two", "images": [], "asin": "B1-RED", "parent_asin": "B1", "user_id": "Ann", "timestamp": 1588687728923, "helpful_vote": 0, "verified_purchase": true}
{"rating": 5.0, "title": "Red, then blue", "text": "same parent", "images": [{"small_image_url": "https://x/1.jpg"}], "asin": "B1-BLUE", "parent_asin": "B1", "user_id": "Ann", "timestamp": 1588687728924, "helpful_vote": 3, "verified_purchase": true}
{"rating": 4.0, "title": "", "text": "", "images": [], "asin": "B2", "parent_asin": "B2", "user_id": "Ann", "timestamp": 1588687729000, "helpful_vote": 0, "verified_purchase": false}
{"rating": 4.0, "title": "", "text": "\ud83d\ude00", "images": [], "asin": "B2", "parent_asin": "B2", "user_id": "Bob", "timestamp": 1577836800000, "helpful_vote": 0, "verified_purchase": false}
{"rating": 5.0, "title": "", "text": "", "images": [], "asin": "B1-RED", "parent_asin": "B1", "user_id": "Bob", "timestamp": 1577836800500, "helpful_vote": 0, "verified_purchase": false}
""",
    )
    metadata = write(
        f"{folder}/meta_All_Beauty.jsonl",
        r"""{"main_category": "All Beauty", "title": "Howard LC0008 \"Leather\" Conditioner, 8-Ounce", "average_rating": 4.8, "rating_number": 10, "features": [], "description": [], "price": null, "images": [{"thumb": "https://x/2.jpg", "variant": "MAIN"}], "videos": [], "store": "Howard Products", "categories": [], "details": {"Package Dimensions": "7.1 x 5.5 x 3 inches; 2.38 Pounds", "UPC": "617390882781"}, "parent_asin": "B1", "bought_together": null}
{"main_category": "All Beauty", "title": "Yes to Tomatoes \u2014 \ud83c\udf45 Mask", "average_rating": 4.5, "rating_number": 3, "features": ["Gentle", "&#x2714; Vegan"], "description": ["Clear skin.", "Every day."], "price": 9.99, "images": [], "videos": [], "store": null, "categories": ["Beauty & Personal Care", "Skin Care", "Face"], "details": {}, "parent_asin": "B2", "bought_together": null}
""",
    )
    return ["--source=amazon-2023", f"--reviews={reviews}", f"--metadata={metadata}", "--kcore=2"]


GENRES = (
    "unknown Action Adventure Animation Children's Comedy Crime Documentary Drama Fantasy Film-Noir "
    "Horror Musical Mystery Romance Sci-Fi Thriller War Western"
)


def movielens_100k(folder: str = "raw/ml-100k") -> list[str]:
    """Write u.data, u.item and u.genre; return the flags that read them."""
    write(
        f"{folder}/u.data",
        rows("1→1→5→874965758", "1→2→4→874965759", "2→1→4→874965760", "2→2→5→874965761", "3→3→1→874965762"),
    )
    write(f"{folder}/u.genre", rows(*(f"{g}|{i}" for i, g in enumerate(GENRES.split())), ""))
    flags = {"1": {3, 4, 5}, "2": {8, 12}, "3": {0}, "267": set()}
    films = {"1": "Toy Story (1995)|01-Jan-1995||http://us.imdb.com/M/title-exact?Toy%20Story%20(1995)"}
    films["2"] = "Misérables, Les (1995)|01-Jan-1995||http://us.imdb.com/M/title-exact?Mis%E9rables"
    films |= {"3": "Four Rooms (1995)|01-Jan-1995||", "267": "unknown|||"}
    lines = [
        f"{i}|{film}|{'|'.join(str(int(g in flags[i])) for g in range(19))}" for i, film in films.items()
    ]
    write(f"{folder}/u.item", rows(*lines).encode("latin-1"))
    return ["--source=movielens", f"--path={folder}", "--kcore=2"]


def movielens_1m(folder: str = "raw/ml-1m", encoding: str = "latin-1") -> list[str]:
    """Write ratings.dat and movies.dat; return the flags that read them."""
    write(
        f"{folder}/ratings.dat",
        rows("1::1::5::978300760", "1::2::4::978302109", "2::1::4::978298413", "2::2::5::978298414")
        + "3::3::1::978298415\n",
    )
    films = rows(
        "1::Toy Story (1995)::Animation|Children's|Comedy",
        "2::Misérables, Les (1995)::Drama|Musical",
        "3::Four Rooms (1995)::Thriller",
    )
    write(f"{folder}/movies.dat", films.encode(encoding))
    write(f"{folder}/users.dat", "1::F::1::10::48067\n")
    return ["--source=movielens", f"--path={folder}", "--kcore=2"]


def movielens_csv(folder: str = "raw/ml-25m") -> list[str]:
    """Write ratings.csv and movies.csv; return the flags that read them."""
    write(
        f"{folder}/ratings.csv",
        rows("userId,movieId,rating,timestamp", "1,1,4.5,1147880044", "1,2,4.0,1147880045")
        + rows("2,1,4.0,1147880046", "2,2,5.0,1147880047", "3,3,3.5,1147880048"),
    )
    write(
        f"{folder}/movies.csv",
        rows(
            "movieId,title,genres",
            '1,"American President, The (1995)",Comedy|Drama|Romance',
            '2,"""Great Performances"" Cats (1998)",(no genres listed)',
            "3,Misérables (2000),Drama",
        ),
    )
    write(f"{folder}/tags.csv", "userId,movieId,tag,timestamp\n")
    return ["--source=movielens", f"--path={folder}", "--kcore=2"]


ORDERS = (
    {"uid": "u1", "sku": "s1", "stars": 5, "at": 1391162400, "note": "x"},
    {"uid": "u1", "sku": "s2", "stars": 4, "at": 1391162401, "note": ""},
    {"uid": "u2", "sku": "s1", "stars": 4, "at": 1391162402, "note": "y"},
    {"uid": "u2", "sku": "s2", "stars": 5, "at": 1391162403, "note": "z"},
    {"uid": "u2", "sku": "s3", "stars": 1, "at": 1391162404, "note": "z"},
)
PRODUCTS = (
    {"sku": "s1", "name": 'A "big" box, blue', "info": "Line one\nline two <br>", "price": 1.5},
    {"sku": "s2", "name": "Café ☕", "info": None, "price": 2.0},
)
COLUMNS = (
    "--columns=user=uid,item=sku,rating=stars,timestamp=at",
    "--item-columns=item=sku,title=name,description=info",
)


def table(folder: str = "raw", kind: str = "csv", unit: str = "seconds") -> list[str]:
    """Write orders and products in a table format, and return the flags that read them."""
    import pandas as pd

    orders, products = pd.DataFrame(ORDERS), pd.DataFrame(PRODUCTS)
    if unit == "milliseconds":
        orders["at"] = orders["at"] * 1000
    elif unit == "iso":
        orders["at"] = [f"2014-01-31T10:00:0{second}" for second in range(5)]
    files = []
    for name, frame in (("orders", orders), ("products", products)):
        file = Path(folder, f"{name}.{kind}")
        file.parent.mkdir(parents=True, exist_ok=True)
        if kind == "parquet":
            frame.to_parquet(file, index=False)
        elif kind.startswith("jsonl"):
            write(file, frame.to_json(orient="records", lines=True))
        else:
            write(
                file,
                frame.to_csv(sep="\t" if kind.startswith("tsv") else ",", index=False, lineterminator="\n"),
            )
        files.append(file)
    flags = ["--source=table", f"--reviews={files[0]}", f"--metadata={files[1]}", *COLUMNS]
    return [*flags, f"--time-unit={unit}", "--kcore=2"]


def atomic(folder: str = "raw/shop") -> list[str]:
    """Write atomic files such as other programs make; return the flags that read them."""
    write(
        f"{folder}/shop.inter",
        rows("user_id:token→item_id:token→rating:float→timestamp:float→tip:float")
        + rows(
            "u2→s2→5→1391162403→0",
            "u2→s1→4→1391162402→0",
            "u1→s1→5.0→1.3911624e9→1",
            "u1→s2→4.5→1391162401→0",
        )
        + rows("u2→s3→1→1391162404→0"),
    )
    write(
        f"{folder}/shop.item",
        rows("item_id:token→title:token_seq→year:token→vector:float_seq")
        + rows("s3→Out→1990→1 2", 's2→"Big" C:\\new \\"box→1995→0.5 1', 's1→A 5" <i>disc</i>→→1 0'),
    )
    return ["--source=atomic", f"--path={folder}", "--kcore=2"]
