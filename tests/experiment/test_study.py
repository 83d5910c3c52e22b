"""Studies: what a study's file may hold, and which runs it asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from recbole_llminit.dataset.places import PROPS
from recbole_llminit.experiment.grid import Cell, cells, with_best
from recbole_llminit.experiment.study import Study
from recbole_llminit.utils.errors import UserError
from recbole_llminit.utils.yaml import read_yaml
from tests.conftest import World

BASIC: dict[str, Any] = {
    "datasets": ["tastes"],
    "models": ["BPR", "SGCL"],
    "settings": {"host": {}, "var": {"llm_selection": "var"}},
    "protocols": ["masked", "paper"],
    "seeds": [1, 2, 3],
    "base": "host",
}
SHIPPED = sorted(file.stem for file in (PROPS / "experiment").glob("*.yaml"))


def study(**changes: Any) -> Study:
    return Study.of({**BASIC, **changes}, Path("mine.yaml"))


def table(**changes: Any) -> list[Cell]:
    return cells(study(**changes), Path("data"))


def test_cells_are_the_product_in_order() -> None:
    found = table()
    assert len(found) == 2 * 2 * 2 * 3
    first = found[0]
    assert (first.dataset, first.protocol, first.model, first.setting, first.seed) == (
        "tastes",
        "masked",
        "BPR",
        "host",
        1,
    )
    assert {cell.run.model for cell in found if cell.setting == "host"} == {"BPR", "SGCL"}
    assert {cell.run.model for cell in found if cell.setting == "var"} == {"LLMInitBPR", "LLMInitSGCL"}
    assert found[3].run.keys == {"llm_selection": "var", "protocol": "masked", "seed": 1}
    assert len({cell.run.id for cell in found}) == len(found)


def test_ids_say_what_a_run_is_and_nothing_else() -> None:
    one, other = table()[0].run.id, table(keys={"epochs": 3})[0].run.id
    assert one == table(settings={"host": None, "svd": {"llm_selection": "svd"}})[0].run.id
    assert one != other
    assert one.startswith("tastes-BPR-masked-1-")
    assert one == "tastes-BPR-masked-1-aa51c2117d40"  # result files are found by it, so it must not change


def test_later_keys_win() -> None:
    settings = {"host": {}, "var": {"llm_selection": "var", "epochs": 4}}
    found = table(settings=settings, keys={"epochs": 1, "a": 1}, per_model={"BPR": {"epochs": 2, "b": 2}})
    keys = {(cell.model, cell.setting): cell.run.keys for cell in found}
    assert keys["BPR", "host"] | {"seed": 0} == {"epochs": 2, "a": 1, "b": 2, "protocol": "paper", "seed": 0}
    assert keys["BPR", "var"]["epochs"] == 4
    assert keys["SGCL", "host"]["epochs"] == 1
    varied = table(settings=settings, per_model={"BPR": {"epochs": 2}}, vary={"epochs": [7, 8]})
    assert {cell.run.keys["epochs"] for cell in varied if cell.setting == "host"} == {7, 8}
    assert {cell.run.keys["epochs"] for cell in varied if cell.setting == "var"} == {4}


def test_a_plain_run_stands_in_every_column_of_vectors() -> None:
    """The plain model reads no vectors, so it is trained once and compared with every table of vectors."""
    found = table(vary={"llm_embedding": ["a", "b"], "embedding_size": [4, 8]})
    hosts = [cell for cell in found if cell.setting == "host"]
    assert len(hosts) == 2 * len({cell.run.id for cell in hosts}) == 2 * 2 * 2 * 2 * 3
    assert not any("llm_embedding" in cell.run.keys for cell in hosts)
    wide = next(cell for cell in found if cell.setting == "var" and cell.varied[1] == ("embedding_size", 8))
    assert wide.run.keys["llm_embedding"] == "a"
    assert wide.run.keys["embedding_size"] == 8


def test_present_tables(world: World) -> None:
    world.table("minilm")
    found = cells(study(vary={"llm_embedding": "present"}), world.root)
    assert {dict(cell.varied)["llm_embedding"] for cell in found} == {"all-mpnet-base-v2", "minilm"}
    with pytest.raises(UserError, match="no table of vectors in"):
        cells(study(datasets=["other"], vary={"llm_embedding": "present"}), world.root)


def test_a_setting_may_name_another_model() -> None:
    settings = {"host": {}, "text": {"model": "MoRec", "llm_embedding": "minilm"}}
    found = [cell for cell in table(settings=settings) if cell.setting == "text"]
    assert {cell.run.model for cell in found} == {"MoRec"}
    assert found[0].run.keys["llm_embedding"] == "minilm"
    assert not [c for c in cells(study(settings=settings), Path("d"), ["text"]) if c.setting == "text"]


def test_best_values_of_a_search() -> None:
    cell = with_best(table()[0], {"learning_rate": 0.01})
    assert cell.run.keys["learning_rate"] == 0.01
    assert cell.run.id != table()[0].run.id
    assert len({cell.search for cell in table()}) == 8


def test_selected() -> None:
    some = study(optional=["var"]).selected(
        {"epochs": 2}, datasets=["a", "b"], seeds=[5], settings=None, models=["BPR"]
    )
    assert len(cells(some, Path("d"))) == 2 * 2 * 2
    assert cells(some, Path("d"))[0].run.keys == {"epochs": 2, "protocol": "masked", "seed": 5}
    assert list(study().selected({}, settings=["var"]).settings) == ["host", "var"]  # the baseline stays
    assert list(
        study(settings={"a": {}, "b": {}, "host": {}}).selected({}, "b", settings=["a"]).settings
    ) == [
        "a",
        "b",
    ]
    assert study().selected({}, "host").name == "mine"
    assert study().selected({}, "var").name == "mine_against_var"  # so its folder is another one
    with pytest.raises(UserError, match="study mine: 'vra' is none of host, var. Did you mean 'var'"):
        study().selected({}, settings=["vra"])
    with pytest.raises(UserError, match="study mine: 'hots' is none of host, var"):
        study().selected({}, "hots")


def test_given_keys_win_over_what_is_varied_and_searched() -> None:
    some = study(
        vary={"llm_rescale": ["none", "host"], "embedding_size": [4, 8]},
        tune={"BPR": {"learning_rate": [0.1, 0.2], "epochs": [1, 2]}},
        per_model={"SGCL": {"learning_rate": 0.3}},
    ).selected({"llm_rescale": "host", "learning_rate": 0.5, "embedding_size": [8, 16]})
    found = cells(some, Path("d"))
    assert {dict(cell.varied)["llm_rescale"] for cell in found} == {"host"}
    assert {dict(cell.varied)["embedding_size"] for cell in found} == {8, 16}
    assert {cell.run.keys["embedding_size"] for cell in found} == {8, 16}
    assert {cell.run.keys["learning_rate"] for cell in found} == {0.5}
    assert some.tune == {"BPR": {"epochs": [1, 2]}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": [1]}, "unknown field 'seed'. Did you mean 'seeds'"),
        ({"seeds": []}, "field 'seeds' is missing or empty"),
        ({"models": "BPR"}, "field 'models' must be a list, not 'BPR'"),
        ({"base": "hots"}, "'hots' is none of its settings .*Did you mean 'host'"),
        ({"optional": ["MoRec"]}, "'MoRec' is none of its settings"),
        ({"name": "runs"}, "a study can't be called 'runs'"),
        ({"metrics": []}, "field 'metrics' is missing or empty"),
        ({"seeds": ["one"]}, "seed 'one' is not a whole number"),
        ({"seeds": ["1"]}, "seed '1' is not a whole number"),
        ({"seeds": [True]}, "seed 'True' is not a whole number"),
        ({"base": 1}, "field 'base' must be text, not '1'"),
        ({"datasets": None}, "field 'datasets' is missing or empty"),
        ({"datasets": [2014]}, "field 'datasets.0' must be text, not '2014'"),
        ({"settings": {"host": "var"}}, "field 'settings.host' must be a mapping, not 'var'"),
        ({"keys": "epochs"}, "field 'keys' must be a mapping, not 'epochs'"),
        (
            {"settings": {"host": {"protocol": "paper"}}},
            "'protocol' is no key of a setting; list it in 'protocols'",
        ),
        ({"vary": {"seed": [1, 2]}}, "'seed' is no key of a setting; list it in 'seeds'"),
        ({"keys": {"dataset": "x"}}, "'dataset' is no key of a setting"),
    ],
)
def test_what_a_study_may_not_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        study(**changes)


def test_a_misspelt_field_is_told_before_the_one_that_is_missing() -> None:
    fields = {"dataset" if key == "datasets" else key: value for key, value in BASIC.items()}
    with pytest.raises(UserError, match=r"^mine.yaml: unknown field 'dataset'. Did you mean 'datasets'\?$"):
        Study.of(fields, Path("mine.yaml"))


def test_numbers_are_read_as_recbole_reads_them() -> None:
    assert read_yaml("{a: 1e-3, b: 2E5, c: -1.e+2, d: 1e, e: x1e3, f: 0.5}") == {
        "a": 0.001,
        "b": 2e5,
        "c": -100.0,
        "d": "1e",
        "e": "x1e3",
        "f": 0.5,
    }


def test_files() -> None:
    with pytest.raises(UserError, match="study 'tabel1' does not exist .*Did you mean 'table1'"):
        Study.read("tabel1")
    Path("list.yaml").write_text("- 1\n")
    with pytest.raises(UserError, match=r"list.yaml holds a list"):
        Study.read("list.yaml")
    Path("broken.yaml").write_text("a: [\n")
    with pytest.raises(UserError, match=r"broken.yaml is not YAML"):
        Study.read("broken.yaml")
    Path("own.yaml").write_text(yaml.safe_dump(BASIC))
    assert Study.read("own.yaml").name == "own"


def test_every_table_and_figure_of_the_paper_has_a_study() -> None:
    assert {"table1", "table2", "table3", "table5", "figure1", "figure3"} < set(SHIPPED)
    assert {"controls", "initializers"} < set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_studies_can_be_read(name: str, world: World) -> None:
    made = Study.read(name).selected({}, datasets=[world.name])
    found = cells(made, world.root)
    assert found
    assert made.about
    assert {cell.run.keys["protocol"] for cell in found} == set(made.protocols)


def test_a_model_that_reads_vectors_itself_keeps_their_keys(tmp_path: Path) -> None:
    """Its table of vectors is varied: the runs differ, and each has its own table."""
    fields = {
        "datasets": ["mine"],
        "protocols": ["masked"],
        "seeds": [1],
        "settings": {"text": {}},
        "base": "text",
    }
    text = {**fields, "models": ["MoRec"], "vary": {"llm_embedding": ["x", "y"]}}
    runs = {
        cell.run.id: cell.run.keys["llm_embedding"]
        for cell in cells(Study.of(text, Path("s.yaml")), tmp_path)
    }
    assert sorted(runs.values()) == ["x", "y"]
    plain = Study.of({**fields, "models": ["BPR"], "keys": {"llm_missing": "mean"}}, Path("s.yaml"))
    assert all("llm_missing" not in cell.run.keys for cell in cells(plain, tmp_path))
