"""The command line: what it writes and prints, and how it reports wrong input."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import numpy as np
import pytest

from recbole_llminit import cli
from recbole_llminit.embedding.table import load
from tests.conftest import World, settings, write_world


def flags(world: World, **keys: object) -> list[str]:
    keys = {**settings(world), "topk": "[1,5]", **keys}
    return [f"--{key}={value}" for key, value in keys.items()]


def fails(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command, check that it exits with code 2 and one line of error, and return that line."""
    assert cli.main(argv) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0]


def test_run_writes_a_result(world: World) -> None:
    files = "--config_files=" + str(Path("mine.yaml").absolute())
    Path("mine.yaml").write_text("llm_selection: pca\nlearning_rate: 0.01\n")
    argv = ["run", "-m", "LLMInitSGCL", "-d", world.name, files, *flags(world), "--learning_rate=0.02"]
    assert cli.main([*argv, "--result_file=out/r.json"]) == 0
    result = json.loads(Path("out/r.json").read_text())
    assert result["model"] == "LLMInitSGCL"
    assert result["config"]["llm_selection"] == "pca"  # a user's file wins over shipped ones
    assert result["config"]["learning_rate"] == 0.02  # the command line wins over the file
    assert result["counts"] == {"users": 60, "items": 40, "interactions": 600}
    assert result["protocol"] == "masked"
    assert result["versions"]["recbole"] == "1.2.1"
    assert set(result["seconds"]) == {"start_up", "train", "evaluate", "total"}
    assert result["seconds"]["total"] >= result["seconds"]["train"] > 0
    assert result["peak_memory_bytes"] > 10**7
    assert len(result["vectors"]) == 64
    assert 0 <= result["best_epoch"] < result["epochs"] <= 2
    assert "recall@5" in result["test"]
    assert result["test"].keys() == result["valid"].keys()


@pytest.mark.parametrize("model", ["LightGCN", "Pop", "SASRec", "EASE"])
def test_plain_models_run_too(model: str, world: World) -> None:
    assert (
        cli.main(
            ["run", f"--model={model}", f"--dataset={world.name}", *flags(world), "--result_file=r.json"]
        )
        == 0
    )
    result = json.loads(Path("r.json").read_text())
    assert result["vectors"] is None
    assert result["test"]["recall@5"] > 0


def test_list_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "--list-models"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["general", "BPR", "LLMInitBPR"] in rows
    assert ["sequential", "SASRec", "LLMInitSASRec"] in rows
    assert ["general", "NeuMF"] in rows
    assert ["exlib", "xgboost"] in rows


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--model=LLMInitSGLC"], "unknown model 'LLMInitSGLC'. Did you mean"),
        (["--model=LLMInitNeuMF"], "NeuMF has no table"),
        (
            ["--dataset=tates"],
            "unknown dataset 'tates'.*there are .*beauty-mini.*ml-100k.*tastes.*Did you mean 'tastes'",
        ),
        (["--group_metrics=no"], "group_metrics 'no' must be true or false"),
        (["--llm_selection=best"], "llm_selection 'best' must be one of"),
        (["--llm_pooling=sum"], "llm_pooling 'sum'"),
        (["--users_per_batch=0"], "users_per_batch '0'"),
        (
            ["--llm_embedding=minilm"],
            "no minilm.safetensors.*make it with: recbole-llminit encode tastes --encoder minilm --data-path",
        ),
        (["--llm_missing=skip"], "llm_missing 'skip'"),
        (["--protocol=mask"], "protocol 'mask'.*Did you mean 'masked'"),
        (["--user_inter_num_interval=[50,inf)"], "the filters leave no interaction"),
        (["--topk=[41]", "--valid_metric=NDCG@41"], "topk 41 is larger than the catalogue of 40 items"),
        (["--metrics=Recal"], "no metric named 'Recal'"),
        (["--model=SASRec", "--protocol=masked"], "only support repeatable"),
        (["--config_files=none.yaml"], "config file 'none.yaml' does not exist"),
        (["--data_path=a=b"], "put a value that holds '=' into a YAML file"),
        (["--nproc=2"], "--nproc=2 needs as many GPUs"),
        (["--result_file=."], "result_file '.' is a folder"),
        (["--model=GRU4RecKG"], "not found"),
        (["--resume=gone.pth"], "checkpoint 'gone.pth' does not exist"),
        (["--embedding_size=99"], "99 must not exceed the vectors' 24"),
    ],
)
def test_wrong_input_is_one_line_and_exit_2(
    extra: list[str], message: str, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = {argument.split("=")[0].removeprefix("--") for argument in extra}
    base = ["run", "--model=LLMInitBPR", f"--dataset={world.name}", *flags(world)]
    base = [argument for argument in base if argument.split("=")[0].removeprefix("--") not in keys]
    import re

    assert re.search(message, fails([*base, *extra], capsys))


def test_no_key_without_equals(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["run", "--epochs", "5"])
    assert stopped.value.code == 2
    assert "write every key as --key=value" in capsys.readouterr().err


def test_a_misspelt_key_is_warned_about_and_the_run_goes_on(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        argv = ["run", "--model=BPR", f"--dataset={world.name}", *flags(world), "--learning_rat=0.1"]
        assert cli.main([*argv, "--eval_args={'mode': 'uni5'}", "--result_file=r.json"]) == 0
    assert "unknown config key 'learning_rat' has no effect. Did you mean 'learning_rate'?" in caplog.text
    assert "without split, group_by, order RecBole takes" in caplog.text
    assert Path("r.json").is_file()


def test_a_sum_is_text_and_its_unknown_key_is_warned_about(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    argv = ["run", "--model=BPR", f"--dataset={world.name}", *flags(world), "--result_file=r.json"]
    with caplog.at_level(logging.WARNING):
        assert cli.main([*argv, "--n=1/0"]) == 0
    assert "unknown config key 'n' has no effect." in caplog.text
    assert json.loads(Path("r.json").read_text())["config"]["n"] == "1/0"


BAD_NAMES = ("../esc", "../../esc", "..", ".", "/tmp/esc", "a/b", "a\\b", "a\0b", "a\nb")


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("verb", ["prepare", "encode", "table", "run", "tune", "experiment", "study"])
def test_a_name_that_is_a_path_is_refused_before_anything_is_written(
    verb: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "outer" / "inner"
    (place / "atomic_data" / "own").mkdir(parents=True)
    monkeypatch.chdir(place)
    (place / "atomic_data" / "own" / "own.item").write_text("item_id:token\ttitle:token_seq\na\tx\n")
    np.save("v.npy", np.ones((1, 2)))
    Path("ids.txt").write_text("a\n")
    Path("space.test").write_text("learning_rate choice [0.01]\n")
    study = {"datasets": ["ml-100k"], "models": ["BPR"], "settings": {"host": {}}, "protocols": ["masked"]}
    study |= {"seeds": [1], "base": "host"}
    study |= {"experiment": {"datasets": [name]}, "study": {"name": name}}.get(verb, {})
    Path("mine.yaml").write_text(json.dumps(study))
    matrix = ["--from=v.npy", "--ids=ids.txt"]
    argv = {
        "prepare": ["prepare", name, "--source=synthetic", "--generate=users=9,items=9,interactions=50"],
        "encode": ["encode", name, *matrix],
        "table": ["encode", "own", *matrix, f"--name={name}"],
        "run": ["run", "--model=Pop", f"--dataset={name}", "--result_file=r.json"],
        "tune": ["tune", "--model=Pop", f"--dataset={name}", "--params_file=space.test"],
        "experiment": ["experiment", "mine.yaml", "--jobs=1"],
        "study": ["experiment", "mine.yaml", "--jobs=1"],
    }[verb]
    before = set(tmp_path.rglob("*"))
    assert f"{name!r} must be the plain name of a file or folder, not a path" in fails(argv, capsys)
    assert set(tmp_path.rglob("*")) == before


def test_a_table_of_vectors_may_be_a_path(world: World) -> None:
    for suffix in (".safetensors", ".json"):
        world.table("mine").with_suffix(suffix).rename("elsewhere" + suffix)
    argv = ["run", "--model=LLMInitBPR", f"--dataset={world.name}", *flags(world), "--result_file=r.json"]
    assert cli.main([*argv, "--llm_embedding=./elsewhere.safetensors"]) == 0
    assert json.loads(Path("r.json").read_text())["vectors"]


def test_a_property_file_that_is_not_utf_8(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    Path("latin.yaml").write_bytes("note: Größe".encode("latin-1"))
    argv = ["run", "--model=BPR", f"--dataset={world.name}", "--config_files=latin.yaml", *flags(world)]
    assert cli.main(argv) == 2
    assert "latin.yaml is not UTF-8" in capsys.readouterr().err


def test_a_file_of_comments_is_no_problem(world: World) -> None:
    Path("empty.yaml").write_text("# nothing yet\n")
    argv = ["run", "--model=BPR", f"--dataset={world.name}", "--config_files=empty.yaml", *flags(world)]
    assert cli.main(argv) == 0


def test_shipped_files_are_found_from_any_folder(world: World) -> None:
    argv = ["run", "--model=LLMInitBPR", f"--dataset={world.name}", "--config_files=props/reference.yaml"]
    assert cli.main([*argv, *flags(world, result_file="r.json", protocol="paper")]) == 0
    config = json.loads(Path("r.json").read_text())["config"]
    assert (config["llm_selection"], config["llm_selection_scope"]) == ("rand_with_replacement", "popular")
    assert config["repeatable"] is True


def test_the_run_script_is_the_same_command(monkeypatch: pytest.MonkeyPatch) -> None:
    import runpy

    root = Path(cli.__file__).parents[2]
    monkeypatch.setattr(sys, "argv", ["run_recbole_llminit.py", "--list-models"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(root / "run_recbole_llminit.py"), run_name="__main__")
    assert stopped.value.code == 0


def test_encode_brings_a_matrix_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = write_world(tmp_path / "d", "own", [(u, i) for u in range(9) for i in range(6)], np.eye(6))
    np.save("v.npy", np.arange(12, dtype=np.float16).reshape(6, 2))
    Path("ids.txt").write_text("\n".join(world.tokens) + "\n")
    argv = ["encode", "own", "--from=v.npy", "--ids=ids.txt", "--name=mine", "--encoder=by hand"]
    assert cli.main([*argv, f"--data-path={world.root}"]) == 0
    assert "6 items, 2 dimensions, float16" in capsys.readouterr().out
    card = json.loads((world.root / "own" / "mine.json").read_text())
    assert card["encoder"] == "by hand"
    assert card["texts_sha256"] is None
    assert card["command"].startswith("recbole-llminit encode own --from=v.npy")
    argv.remove("--name=mine")
    assert cli.main([*argv, f"--data-path={world.root}", "--atomic"]) == 0
    assert load(world.root / "own" / "own.itememb").vectors.shape == (6, 2)
    assert (world.root / "own" / "own.itememb").is_file()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--from=v.npy"], "--from and --ids go together"),
        (["--from=no.npy", "--ids=ids.txt"], "no.npy does not exist"),
        (["--from=v.npy", "--ids=short.txt"], r"vectors of shape \(3, 2\) don't fit 2 ids"),
        (["--from=ids.txt", "--ids=ids.txt"], "expected a .npy matrix"),
        ([], "no item texts"),
    ],
)
def test_encode_refuses(argv: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    import re

    np.save("v.npy", np.ones((3, 2)))
    Path("ids.txt").write_text("a\nb\nc\n")
    Path("short.txt").write_text("a\nb\n")
    assert re.search(message, fails(["encode", "own", *argv], capsys))


def test_tune(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("hyperopt")
    Path("space.test").write_text("learning_rate choice [0.01,0.001]\n")
    argv = [
        "tune",
        "--model=LLMInitBPR",
        f"--dataset={world.name}",
        "--params_file=space.test",
        *flags(world),
    ]
    assert cli.main([*argv, "--output_file=tuned.txt"]) == 0
    assert "best params: {'learning_rate':" in capsys.readouterr().out
    assert Path("tuned.txt").read_text().count("Test result") == 2
    assert "does not exist" in fails(["tune", "--params_file=gone"], capsys)
    assert "'--nproc=2' is a flag of run" in fails([*argv, "--nproc=2"], capsys)


def test_report(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        cli.main(["run", "--model=BPR", f"--dataset={world.name}", *flags(world), "--result_file=r.json"])
        == 0
    )
    capsys.readouterr()
    assert cli.main(["report", "r.json", "--metrics=Recall@5,Recall@7"]) == 0
    head, _, row = capsys.readouterr().out.splitlines()
    assert [cell.strip() for cell in head.split("|")[1:-1]] == [
        "model",
        "dataset",
        "Recall@5",
        "Recall@7",
        "best epoch",
        "seconds",
    ]
    result = json.loads(Path("r.json").read_text())
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells[:4] == ["BPR", "tastes", f"{result['test']['recall@5']:.4f}", ""]
    assert cells[4] == str(result["best_epoch"])
    Path("s.json").write_text(json.dumps(result | {"data": {"synthetic": True}}))
    assert cli.main(["report", "s.json"]) == 0
    assert "| tastes (synthetic) |" in " ".join(capsys.readouterr().out.split())
    Path("x.json").write_text("[]")
    assert "x.json is not a result file" in fails(["report", "x.json"], capsys)


def test_missing_extras_say_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def needs_faiss(argv: list[str]) -> None:
        raise ModuleNotFoundError("No module named 'faiss'", name="faiss")

    assert cli.guarded(needs_faiss)([]) == 2
    assert "pip install 'recbole-llminit[ncl]'" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    Path("atomic_data/own").mkdir(parents=True)
    Path("atomic_data/own/own.item").write_text("item_id:token\ttitle:token_seq\n1\tx\n")
    assert "pip install 'recbole-llminit[encode]'" in fails(["encode", "own", "--template={title}"], capsys)


@pytest.mark.parametrize("verb", ["prepare", "encode", "run", "tune", "experiment", "report"])
def test_help_shows_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main([verb, "--help"])
    assert stopped.value.code == 0
    assert "example" in capsys.readouterr().out
