"""Time `prepare` and an equivalent pandas program on a generated dataset in the layout of Amazon 2023.

Example: python -m benchmarks.prepare --reviews 5000000 --rounds 1

The two programs take turns, each run in a new process. The output is the rows per second of each, their
ratio, the peak resident memory, and whether the two programs wrote equal files.
"""

from __future__ import annotations

import argparse
import html
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from tabulate import tabulate
from tqdm import tqdm

_REVIEW = "I bought this for my sister and she uses it every day. The scent is light and it lasts. "


def main() -> None:
    """Generate the files, run both programs and print the table; with ``--rival``, be the pandas program."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reviews", type=int, default=1_000_000, help="rows of the file (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each program (%(default)s)")
    parser.add_argument("--folder", type=Path, help="keep the files here (a temporary folder)")
    parser.add_argument("--rival", nargs=3, type=Path, help=argparse.SUPPRESS)  # the child process
    args = parser.parse_args()
    if args.rival:
        return with_pandas(*args.rival)
    with tempfile.TemporaryDirectory() as temporary:
        compare(args.folder or Path(temporary), args.reviews, args.rounds)


def compare(folder: Path, reviews: int, rounds: int) -> None:
    """Run both programs in turn, compare their files and print the table."""
    files = generate(folder, reviews)
    ours = [sys.executable, "-m", "recbole_llminit.cli", "prepare", "big", "--source", "amazon-2023", "-q"]
    ours += ["--reviews", str(files[0]), "--metadata", str(files[1]), "--data-path", str(folder / "ours")]
    theirs = [sys.executable, "-m", "benchmarks.prepare", "--rival", *map(str, files), str(folder / "theirs")]
    measured = {"prepare": [], "pandas": []}
    for _ in tqdm(range(rounds), unit="round"):
        measured["prepare"].append(timed(ours))
        measured["pandas"].append(timed(theirs))
    for kind in ("inter", "item"):
        same = (folder / f"ours/big/big.{kind}").read_bytes() == (folder / f"theirs/big.{kind}").read_bytes()
        print(f"big.{kind}: {'equal' if same else 'DIFFERENT'}")
    size = sum(file.stat().st_size for file in files) / 2**20
    print(f"{reviews:,} reviews, {size:,.0f} MiB of JSON lines, {rounds} rounds")
    rows = [
        (name, statistics.median(reviews / s for s, _ in runs), max(memory for _, memory in runs) / 2**30)
        for name, runs in measured.items()
    ]
    head = ["program", "rows/s (median)", "peak memory (GiB, max)"]
    print(tabulate(rows, headers=head, tablefmt="github", floatfmt=("", ",.0f", ".2f")))
    ratios = [b / a for (a, _), (b, _) in zip(measured["prepare"], measured["pandas"], strict=True)]
    print(
        f"prepare is {statistics.median(ratios):.1f} times as fast ({min(ratios):.1f} to {max(ratios):.1f})"
    )


def timed(command: list[str]) -> tuple[float, int]:
    """Run a command; return its time in seconds and its peak resident memory in bytes."""
    start = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"failed with {process.returncode}: {' '.join(command)}")
    return time.perf_counter() - start, usage.ru_maxrss * 1024


def generate(folder: Path, reviews: int) -> tuple[Path, Path]:
    """Write reviews and metadata of a synthetic shop in the layout of Amazon 2023, unless they exist."""
    from recbole_llminit.prepare.sources.synthetic import generate as shop

    files = folder / f"reviews-{reviews}.jsonl", folder / f"meta-{reviews}.jsonl"
    if all(file.is_file() for file in files):
        return files
    folder.mkdir(parents=True, exist_ok=True)
    interactions, items = shop(
        users=max(reviews // 10, 1), items=max(reviews // 50, 24), interactions=reviews
    )
    items["title"] = "<b>" + items["title"] + "</b> &amp; more"
    with files[1].open("w") as out:
        out.writelines(json.dumps(row) + "\n" for row in _metadata(items))
    with files[0].open("w") as out:
        rows = _reviews(interactions)
        out.writelines(
            json.dumps(row) + "\n" for row in tqdm(rows, total=reviews, desc="generate", unit=" rows")
        )
    return files


def _metadata(items: pd.DataFrame) -> Iterator[dict[str, object]]:
    for row in items.itertuples():
        yield {
            "main_category": "All Beauty",
            "title": row.title,
            "average_rating": 4.1,
            "features": ["Light", "Lasting"],
            "description": [row.description],
            "price": None,
            "store": row.brand,
            "categories": row.categories.split(", "),
            "parent_asin": row.item_id,
        }


def _reviews(interactions: pd.DataFrame) -> Iterator[dict[str, object]]:
    for number, row in enumerate(interactions.itertuples()):
        yield {
            "rating": row.rating,
            "title": "Good",
            "text": _REVIEW * (1 + number % 4),
            "images": [],
            "asin": row.item_id,
            "parent_asin": row.item_id,
            "user_id": row.user_id,
            "timestamp": int(row.timestamp) * 1000 + number % 1000,
            "helpful_vote": 0,
            "verified_purchase": True,
        }


def with_pandas(reviews: Path, metadata: Path, folder: Path) -> None:
    """Prepare the dataset with pandas: the reviews are filtered in chunks, all else is done in memory."""
    columns = ["user_id", "parent_asin", "rating", "timestamp"]
    chunks = pd.read_json(reviews, lines=True, chunksize=200_000, convert_dates=False)
    table = pd.concat([chunk.loc[chunk.rating >= 4, columns] for chunk in chunks], ignore_index=True)
    table = table.rename(columns={"parent_asin": "item_id"})
    table["timestamp"] /= 1000
    table = table.sort_values(["timestamp", "rating"], ascending=[True, False])
    table = table.drop_duplicates(["user_id", "item_id"])
    size = -1
    while size != len(table):
        size = len(table)
        for column in ("user_id", "item_id"):
            table = table[table.groupby(column)[column].transform("size") >= 5]
    items = pd.read_json(metadata, lines=True)
    items = items[items.parent_asin.isin(table.item_id)].drop_duplicates("parent_asin")
    texts = pd.DataFrame({"item_id:token": items.parent_asin})
    texts["title:token_seq"] = items.title.map(_clean)
    texts["brand:token_seq"] = items.store.map(_clean)
    texts["categories:token_seq"] = items.categories.map(", ".join).map(_clean)
    texts["description:token_seq"] = items.description.map(" ".join).map(_clean)
    texts["features:token_seq"] = items.features.map(" ".join).map(_clean)
    folder.mkdir(parents=True, exist_ok=True)
    texts.sort_values("item_id:token").to_csv(folder / "big.item", sep="\t", index=False)
    table = table.sort_values(["user_id", "timestamp", "item_id"]).astype({"rating": int})
    table.columns = ["user_id:token", "item_id:token", "rating:float", "timestamp:float"]
    table["timestamp:float"] = [
        f"{seconds:.3f}".rstrip("0").rstrip(".") for seconds in table["timestamp:float"]
    ]
    table.to_csv(folder / "big.inter", sep="\t", index=False)


def _clean(text: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html.unescape(text)).split())


if __name__ == "__main__":
    main()
