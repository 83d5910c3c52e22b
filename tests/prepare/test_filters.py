"""Test what each filter keeps, the order of the filters, and that held-out reviews do not get into texts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tests.conftest as runs
from recbole_llminit import cli
from recbole_llminit.prepare import filters
from tests.prepare.raw import DATA, Prepared, prepared, rows, write

Line = tuple[object, ...]
TIMED = {"inter": ["user_id", "item_id", "timestamp"]}
ALL = ("--min-rating=none", "--duplicates=all", "--kcore=0")


def shop(lines: Sequence[Line], *flags: object, header: str = "user_id,item_id,rating,timestamp") -> Prepared:
    """Prepare a table of the given lines, without a filter unless `flags` set one."""
    write("orders.csv", rows(header, *(",".join(map(str, line)) for line in lines)))
    return prepared("shop", "--source=table", "--reviews=orders.csv", *ALL, *flags)


def lines_of(made: Prepared) -> list[list[str]]:
    return [line.split("\t") for line in made.inter.splitlines()[1:]]


def steps_of(made: Prepared) -> list[str]:
    return [step for step, *_ in made.counts]


def test_the_filters_run_in_the_order_of_the_help() -> None:
    write("products.csv", rows("item_id,title", "i1,enough", "i2,no"))
    flags = ["--kcore=1", "--kcore=2", "--min-text=3", "--until=2030-01-01", "--since=1970-01-01"]
    flags += ["--duplicates=last", "--min-rating=2", "--sample=0.999999", "--metadata=products.csv"]
    made = shop(
        [("u1", "i1", 5, 1), ("u2", "i1", 5, 1), ("u1", "i1", 5, 2), ("u2", "i1", 2, 3)], *flags, "--kcore=1"
    )
    assert steps_of(made) == [
        "read",
        "with user and item",
        "sample of 0.999999 of the users",
        "rating >= 2",
        "duplicates: last",
        "from 1970-01-01 to 2030-01-01",
        "at least 3 characters of text",
    ]
    assert made.card["filters"] == {
        "sample": 0.999999,
        "min_rating": 2,
        "duplicates": "last",
        "since": "1970-01-01",
        "until": "2030-01-01",
        "min_text": 3,
        "kcore": 1,
    }


def test_the_order_is_seen_in_what_is_left() -> None:
    """Ratings are filtered before duplicates, and duplicates before the time window."""
    day = 86400
    lines = [("u", "i", 1, 0), ("u", "i", 5, day), ("u", "i", 4, 2 * day), ("v", "i", 5, 2 * day)]
    flags = ["--min-rating=4", "--duplicates=first"]
    assert lines_of(shop(lines, *flags)) == [["u", "i", "5", str(day)], ["v", "i", "5", str(2 * day)]]
    late = shop(lines, *flags, "--since=1970-01-03")
    assert lines_of(late) == [["v", "i", "5", str(2 * day)]]


def test_minimum_rating() -> None:
    lines = [
        ("u1", "i", 4, 1),
        ("u2", "i", 3.99, 1),
        ("u3", "i", "", 1),
        ("u4", "i", "good", 1),
        ("u5", "i", 4.5, 1),
    ]
    assert {user for user, *_ in lines_of(shop(lines, "--min-rating=4"))} == {"u1", "u5"}
    assert len(lines_of(shop(lines))) == 5


@pytest.mark.parametrize(
    ("keep", "left"),
    [
        ("first", {("3", "1"), ("5", "2")}),
        ("last", {("4", "9"), ("2", "2")}),
        ("all", {("3", "1"), ("4", "9"), ("5", "2"), ("2", "2"), ("3", "2")}),
    ],
)
def test_duplicates(keep: str, left: set[tuple[str, str]]) -> None:
    """Of interactions at the same time the one with the higher rating is first, in any order of the lines."""
    lines = [("u", "i", 3, 1), ("u", "i", 4, 9), ("v", "i", 5, 2), ("v", "i", 2, 2), ("v", "i", 3, 2)]
    for order in list(permutations(lines))[::17]:
        made = shop(order, f"--duplicates={keep}")
        assert {(rating, time) for _, _, rating, time in lines_of(made)} == left
        assert len(lines_of(made)) == len(left)


def test_duplicates_without_a_time_come_after_those_with_one() -> None:
    lines = [("u", "i", 5, ""), ("u", "i", 3, 7), ("v", "i", 5, "")]
    assert lines_of(shop(lines, "--duplicates=first")) == [["u", "i", "3", "7"], ["v", "i", "5", ""]]


def test_window_of_time() -> None:
    """`since` is the first day and `until` the day after the last; days begin at midnight UTC."""
    begin, end = 1388534400, 1420070400
    lines = [(f"u{t}", "i", 5, t) for t in (begin - 1, begin, end - 1, end)] + [("u", "i", 5, "")]
    times = [line[3] for line in lines_of(shop(lines, "--since=2014-01-01", "--until=2015-01-01"))]
    assert times == [str(begin), str(end - 1)]
    assert len(lines_of(shop(lines, "--since=2014-01-01"))) == 3
    assert len(lines_of(shop(lines, "--until=2015-01-01"))) == 3


def test_minimum_of_text_counts_characters_of_clean_text_in_all_columns() -> None:
    write(
        "products.csv",
        rows("item_id,title,info", "i1,abc,de", "i2,<b></b>abcd,", "i3,&amp;&amp;&amp;,🍅🍅", "i4,,"),
    )
    lines = [("u", f"i{n}", 5, n) for n in range(1, 6)]
    made = shop(lines, "--metadata=products.csv", "--min-text=5")
    assert {item for _, item in made.pairs} == {"i1", "i3"}
    assert len(shop(lines, "--metadata=products.csv").item.splitlines()) == 6


def test_an_interaction_without_user_or_item_is_none() -> None:
    made = shop([("u", "i", 5, 1), ("", "i", 5, 1), ("u", "", 5, 1)])
    assert made.pairs == {("u", "i")}
    assert made.counts[0][1:] == (3, 1, 1)


def core(pairs: Sequence[tuple[int, int]], k: int) -> list[tuple[int, int]]:
    """Remove interactions of users and items with fewer than k, one at a time, until there are none."""
    left = list(pairs)
    while True:
        users, items = Counter(u for u, _ in left), Counter(i for _, i in left)
        few = next((pair for pair in left if users[pair[0]] < k or items[pair[1]] < k), None)
        if few is None:
            return left
        left.remove(few)


@settings(max_examples=60)
@given(
    pairs=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=40),
    k=st.integers(1, 4),
)
def test_k_core_is_the_brute_force_one(pairs: list[tuple[int, int]], k: int) -> None:
    import ibis

    table = ibis.memtable(pd.DataFrame(pairs, columns=["user_id", "item_id"]))
    kept = filters.k_core(
        table, k, lambda t: ibis.memtable(t.execute()), lambda t: int(t.count().execute())
    ).execute()
    assert sorted(zip(kept.user_id, kept.item_id, strict=True)) == sorted(core(pairs, k))


def test_k_core_from_the_command_line() -> None:
    rng = np.random.default_rng(3)
    pairs = [
        (int(u), int(i)) for u, i in zip(rng.integers(30, size=150), rng.integers(30, size=150), strict=True)
    ]
    expected = core(pairs, 4)
    assert 0 < len(expected) < 150
    made = shop([(u, i, 5, 0) for u, i in pairs], "--kcore=4")
    assert sorted((int(u), int(i)) for u, i, *_ in lines_of(made)) == sorted(expected)


USERS = [(f"u{user}", f"i{item}", 5, item) for user in range(200) for item in range(3)]


def test_a_sample_keeps_whole_users_and_grows_with_the_share() -> None:
    before: set[tuple[str, str]] = set()
    for share in (0.1, 0.3, 0.30001, 0.9, 1):
        made = shop(USERS, f"--sample={share}")
        users = {user for user, _ in made.pairs}
        assert len(made.pairs) == 3 * len(users)
        assert before <= made.pairs
        assert abs(len(users) / 200 - share) < 0.1
        before = made.pairs
    assert len(before) == 600


def test_a_sample_is_seeded() -> None:
    one, two = shop(USERS, "--sample=0.5"), shop(USERS[::-1], "--sample=0.5")
    assert one.inter == two.inter
    other = shop(USERS, "--sample=0.5", "--seed=7")
    assert other.pairs != one.pairs
    assert other.card["seed"] == 7


def reviews(lines: Sequence[tuple[str, str, float | None, int]]) -> list[str]:
    """Write reviews (user, item, time, rating) with a marker word in each; return the flags to read them."""
    records = [
        {"user_id": user, "parent_asin": item, "timestamp": time, "rating": rating, "text": f"marker{n:04}x"}
        for n, (user, item, time, rating) in enumerate(lines)
    ]
    write("reviews.jsonl", "".join(json.dumps(record) + "\n" for record in records))
    items = sorted({item for _, item, *_ in lines})
    write(
        "meta.jsonl",
        "".join(json.dumps({"parent_asin": item, "title": f"T {item}"}) + "\n" for item in items),
    )
    return ["--source=amazon-2023", "--reviews=reviews.jsonl", "--metadata=meta.jsonl", "--review-text"]


def markers(made: Prepared) -> set[str]:
    return {word for line in made.item.splitlines()[1:] for word in line.split("\t")[-1].split()}


def test_reviews_are_of_interactions_before_the_last_two() -> None:
    lines = [("u", "a", 1000, 5), ("u", "c", 4000, 5), ("u", "b", 2000, 5), ("u", "d", 3000, 5)]
    lines += [("v", "a", 1000, 5), ("v", "b", 2000, 5), ("w", "a", 1000, 5)]
    made = prepared("shop", *reviews(lines), "--kcore=0")
    assert made.item == rows(
        "item_id:token→title:token_seq→brand:token_seq→categories:token_seq→description:token_seq"
        "→features:token_seq→reviews:token_seq",
        "a→T a→→→→→marker0000x",
        "b→T b→→→→→marker0002x",
        "c→T c→→→→→",
        "d→T d→→→→→",
    )
    assert made.card["review_text"] is True
    assert made.card["coverage"]["reviews"] == 0.5


def test_the_last_two_are_those_of_what_the_filters_left() -> None:
    lines = [
        ("u", "a", 1000, 5),
        ("u", "b", 2000, 5),
        ("u", "c", 3000, 5),
        ("u", "d", 4000, 1),
        ("v", "d", 1, 5),
    ]
    assert markers(prepared("shop", *reviews(lines), "--kcore=0", "--min-rating=4")) == {"marker0000x"}
    assert markers(prepared("shop", *reviews(lines), "--kcore=0", "--min-rating=none")) == {
        "marker0000x",
        "marker0001x",
    }


def test_a_tie_in_time_with_a_held_out_interaction_keeps_a_review_out() -> None:
    lines = [("u", item, 2000, 5) for item in "abc"] + [("u", "d", 1000, 5)]
    assert markers(prepared("shop", *reviews(lines), "--kcore=0")) == {"marker0003x"}
    lines = [("u", item, 2000, 5) for item in "abcd"]
    assert markers(prepared("shop", *reviews(lines), "--kcore=0")) == set()
    lines = [("u", "a", 1000, 5), ("u", "b", 2000, 5), ("u", "c", 2000, 5), ("u", "d", 3000, 5)]
    assert markers(prepared("shop", *reviews(lines), "--kcore=0")) == {"marker0000x"}
    lines = [("u", item, None, 5) for item in "abcd"] + [("u", "e", 1000, 5), ("u", "f", 900, 5)]
    assert markers(prepared("shop", *reviews(lines), "--kcore=0")) <= {"marker0005x", "marker0004x"}


@settings(max_examples=12)
@given(
    lines=st.lists(
        st.tuples(
            st.sampled_from("uvw"), st.sampled_from("abcdef"), st.integers(0, 6), st.sampled_from([3, 5])
        ),
        min_size=1,
        max_size=30,
    ),
    keep=st.sampled_from(["first", "last", "all"]),
)
def test_no_marker_of_an_interaction_that_may_be_held_out(
    lines: list[tuple[str, str, int, int]], keep: str
) -> None:
    """This holds for every order that a split may give to interactions at the same second."""
    made = prepared("shop", *reviews(lines), "--kcore=0", "--min-rating=none", f"--duplicates={keep}")
    times: dict[str, list[float]] = {}
    for user, _, _, time in lines_of(made):
        times.setdefault(user, []).append(float(time))
    seen = markers(made)
    for n, (user, _, time, _) in enumerate(lines):
        held_out_from = sorted(times[user])[-2] if len(times[user]) > 2 else 0
        if time / 1000 >= held_out_from:
            assert f"marker{n:04}x" not in seen


def test_what_recbole_holds_out_is_not_in_the_texts() -> None:
    """The same holds for RecBole's split in the sequential protocol, with ties in time."""
    rng = np.random.default_rng(5)
    lines = [
        (f"u{user}", f"i{item}", int(rng.integers(8)) * 1000, 5)
        for user in range(12)
        for item in rng.choice(20, size=8, replace=False)
    ]
    made = prepared("shop", *reviews(lines), "--kcore=0")
    world = runs.World(DATA, "shop", (), np.zeros(0))
    run = runs.parts("BPR", world, "sequential", load_col=TIMED)
    marker = {(user, item): f"marker{n:04}x" for n, (user, item, *_) in enumerate(lines)}
    seen = markers(made)
    assert len(seen) > 20
    for part in (run.valid, run.test):
        data = part._dataset
        users = data.id2token("user_id", data.inter_feat["user_id"])
        items = data.id2token("item_id", data.inter_feat["item_id"])
        assert len(users) == 12
        assert not {marker[pair] for pair in zip(users, items, strict=True)} & seen


def test_only_the_oldest_reviews_of_an_item_are_kept() -> None:
    lines = [(f"u{user}", item, user * 1000 + n, 5) for user in range(30) for n, item in enumerate("abc")]
    made = prepared("shop", *reviews(lines), "--kcore=0")
    text = made.item.splitlines()[1].split("\t")[-1]
    assert text.split() == [f"marker{3 * user:04}x" for user in range(20)]


def test_which_of_two_reviews_is_kept_depends_on_the_data_alone() -> None:
    """Two reviews with the same user, item, second and rating are given in both orders of the lines."""
    lines = [("u", "a", 1000, 5), ("u", "a", 1000, 5), ("u", "b", 2000, 5), ("u", "c", 3000, 5)]
    flags = reviews(lines)
    first = prepared("shop", *flags, "--kcore=0")
    one, two, *others = Path("reviews.jsonl").read_text().splitlines(keepends=True)
    write("reviews.jsonl", "".join([two, one, *others]))
    assert prepared("shop", *flags, "--kcore=0").item == first.item


def test_reviews_may_be_named_in_the_template() -> None:
    lines = [("u", "a", 1000, 5), ("u", "b", 2000, 5), ("u", "c", 3000, 5)]
    made = prepared("shop", *reviews(lines), "--kcore=0", "--template={title}. {reviews}")
    assert made.card["template"] == "{title}. {reviews}"


def test_review_text_needs_reviews_and_times(capsys: pytest.CaptureFixture[str]) -> None:
    write("orders.csv", rows("user_id,item_id,timestamp", "u,i,1"))
    argv = ["prepare", "shop", "-q", "--data-path=data", "--source=table", "--reviews=orders.csv"]
    assert cli.main([*argv, "--kcore=0", "--review-text"]) == 2
    assert "--review-text: the interactions have no review" in capsys.readouterr().err


FEWER = "--rm_dup_inter=first"


@pytest.mark.parametrize(
    ("template", "protocol", "extra", "message"),
    [
        ("{title}. {reviews}", "masked", [], "made from reviews of the sequential protocol's training part"),
        ("{title}. {reviews}", "paper", [], "made from reviews of the sequential protocol's training part"),
        ("{title}. {reviews}", "sequential", [], None),
        (
            "{title}. {reviews}",
            "sequential",
            [FEWER],
            "rm_dup_inter 'first' makes others the last",
        ),
        ("{title}", "masked", [FEWER], None),
    ],
)
def test_vectors_of_reviews_run_only_where_the_reviews_are_training(
    template: str, protocol: str, extra: list[str], message: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [(f"u{u}", f"i{i}", 1000 * i, 5) for u in range(8) for i in range(10) if (u + i) % 3]
    prepared("shop", *reviews(lines), "--kcore=0")
    items = [line.split("\t")[0] for line in (DATA / "shop/shop.item").read_text().splitlines()[1:]]
    np.save("v.npy", np.random.default_rng(1).normal(size=(len(items), 12)))
    write("ids.txt", "\n".join(items) + "\n")
    matrix = ["--from=v.npy", "--ids=ids.txt", "--encoder=test", f"--template={template}"]
    assert cli.main(["encode", "shop", *matrix, f"--data-path={DATA}", "--quiet"]) == 0
    keys = {**runs.settings(runs.World(DATA, "shop", (), np.zeros(0))), "topk": "[1,5]", "epochs": 1}
    flags = [
        f"--{key}={value}" for key, value in {**keys, "llm_embedding": "test", "load_col": TIMED}.items()
    ]
    argv = ["run", "-m", "LLMInitBPR", "-d", "shop", *flags, f"--protocol={protocol}", *extra]
    assert cli.main(argv) == (2 if message else 0)
    if message:
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert message in line
