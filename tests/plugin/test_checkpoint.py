"""A resumed run equals an uninterrupted one digit for digit, and goes on from a checkpoint of its own alone."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from recbole.trainer import Trainer

from recbole_llminit import cli
from recbole_llminit.plugin import checkpoint
from recbole_llminit.plugin.trainer import PluginTrainer
from tests.conftest import SMALL, World, parts, run, settings

TREE = Path(__file__).resolve().parents[2]
SAMPLED = {
    "eval_args": {"split": {"LS": "valid_and_test"}, "order": "RO", "group_by": "user", "mode": "uni5"}
}
MODELS: dict[str, tuple[str, str | None, dict[str, Any]]] = {
    "LLMInitSGCL": ("LLMInitSGCL", None, {}),
    "LLMInitSGL": ("LLMInitSGL", None, {}),  # draws a graph for every epoch
    "BPR": ("BPR", None, {}),
    "LLMInitSASRec": ("LLMInitSASRec", "sequential", SMALL),
    "MoRec": ("MoRec", None, {}),
    "sampled evaluation": ("BPR", None, SAMPLED),
    # of these, an uninterrupted run ends after 5 epochs
    "early stopping": ("LLMInitBPR", None, {"stopping_step": 1, "learning_rate": 0.1, "seed": 3}),
    "every second epoch": ("LLMInitBPR", None, {"eval_step": 2}),
    "no validation": ("LLMInitBPR", None, {"eval_step": 0}),
}


def saved(folder: str = "saved") -> Path:
    (file,) = Path(folder).glob("*.pth")
    return file


def trained(case: str, world: World, folder: str, **more: Any) -> dict[str, Any]:
    model, protocol, keys = MODELS[case]
    keys = {"epochs": 6, "learning_rate": 0.02, **keys, "checkpoint_dir": folder, **more}
    return run(model, world, protocol, **keys)


def assert_continues(resumed: dict[str, Any], whole: dict[str, Any]) -> None:
    """Compare everything that an uninterrupted run says, of the curve what comes after the checkpoint."""
    for name in ("valid", "test", "best_epoch", "epochs"):
        assert resumed[name] == whole[name], name
    n_valid, n_loss = len(resumed["curve"]["valid"]), len(resumed["curve"]["loss"])
    assert resumed["curve"]["loss"] == whole["curve"]["loss"][-n_loss:]
    assert 0 < n_loss < len(whole["curve"]["loss"])
    if n_valid:
        assert resumed["curve"]["valid"] == whole["curve"]["valid"][-n_valid:]
        assert resumed["curve"]["epochs"] == whole["curve"]["epochs"][-n_valid:]


def die_in(epoch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    train = PluginTrainer._train_epoch

    def dies(self: Any, data: Any, epoch_idx: int, *args: Any, **kwargs: Any) -> Any:
        if epoch_idx == epoch:
            raise SystemExit
        return train(self, data, epoch_idx, *args, **kwargs)

    monkeypatch.setattr(PluginTrainer, "_train_epoch", dies)


@pytest.mark.slow
@pytest.mark.parametrize("case", MODELS)
def test_a_resumed_run_equals_an_uninterrupted_one(
    case: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained(case, world, "whole")
    with monkeypatch.context() as patched, pytest.raises(SystemExit):
        die_in(3, patched)
        trained(case, world, "killed")
    before = saved("killed").read_bytes()
    resumed = trained(case, world, "resumed", resume=str(saved("killed")))
    assert_continues(resumed, whole)
    assert saved("killed").read_bytes() == before


@pytest.mark.slow
def test_whatever_the_moment_it_was_killed_in(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of 6 epochs of 4 batches is killed in the middle of a batch of the second epoch or a later one."""
    whole = trained("LLMInitSGL", world, "whole")
    check = Trainer._check_nan
    for moment in np.random.default_rng(0).choice(np.arange(6, 25), 10, replace=False):
        count = iter(range(1, 25))

        def dies(self: Any, loss: Any, count: Any = count, moment: int = moment) -> None:
            if next(count) == moment:
                raise SystemExit
            check(self, loss)

        with monkeypatch.context() as patched, pytest.raises(SystemExit):
            patched.setattr(Trainer, "_check_nan", dies)
            trained("LLMInitSGL", world, f"killed-{moment}")
        resumed = trained("LLMInitSGL", world, "resumed", resume=str(saved(f"killed-{moment}")))
        assert_continues(resumed, whole)


@pytest.mark.slow
def test_killed_by_the_system(world: World) -> None:
    code = (
        "import os, signal\nfrom pathlib import Path\n"
        "from recbole_llminit.plugin.trainer import PluginTrainer\n"
        "from tests.conftest import World\nfrom tests.plugin.test_checkpoint import trained\n"
        "train = PluginTrainer._train_epoch\n"
        "def dies(self, data, epoch, *args, **kwargs):\n"
        "    epoch == 3 and os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return train(self, data, epoch, *args, **kwargs)\n"
        "PluginTrainer._train_epoch = dies\n"
        f"trained('LLMInitSGCL', World(Path({str(world.root)!r}), {world.name!r}, (), None), 'killed')\n"
    )
    bootstrap = f"import sys; sys.path.insert(0, {str(TREE)!r})\n"
    ended = subprocess.run([sys.executable, "-c", bootstrap + code], capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    whole = trained("LLMInitSGCL", world, "whole")
    assert_continues(trained("LLMInitSGCL", world, "resumed", resume=str(saved("killed"))), whole)


@pytest.mark.slow
def test_more_epochs_and_resumed_twice(world: World) -> None:
    whole = trained("LLMInitSGL", world, "whole")
    trained("LLMInitSGL", world, "a", epochs=2)
    trained("LLMInitSGL", world, "b", epochs=4, resume=str(saved("a")))
    assert_continues(trained("LLMInitSGL", world, "c", resume=str(saved("b"))), whole)
    own = torch.load(saved("c"), weights_only=False)
    curve, last = whole["curve"], own["epoch"] + 1
    assert list(own["run"]["train_loss_dict"].values()) == curve["loss"][:last]
    assert own["run"]["valid_scores"] == curve["valid"][:last]


def test_a_run_that_finds_nothing_better_tests_what_it_started_from(world: World) -> None:
    first = run("LLMInitBPR", world, epochs=1, checkpoint_dir="a", learning_rate=0.0)
    file, before = saved("a"), saved("a").read_bytes()
    content = torch.load(file, weights_only=False)
    content["best_valid_score"] = 2.0  # no epoch reaches it
    torch.save(content, "best.pth")
    again = run("LLMInitBPR", world, epochs=3, checkpoint_dir="b", learning_rate=0.0, resume="best.pth")
    assert (again["test"], again["valid"], again["best_epoch"]) == (first["test"], first["valid"], 0)
    assert saved("b").read_bytes() == Path("best.pth").read_bytes()
    assert file.read_bytes() == before


def test_a_finished_checkpoint_is_only_read(world: World) -> None:
    first = run("LLMInitBPR", world, epochs=2, eval_step=2, checkpoint_dir="a")
    again = run("LLMInitBPR", world, epochs=2, eval_step=2, checkpoint_dir="b", resume=str(saved("a")))
    assert (again["test"], again["valid"]) == (first["test"], first["valid"])
    assert not list(Path("b").iterdir())


def test_two_trainers_of_one_second_have_two_files(world: World) -> None:
    made = parts("LLMInitBPR", world)
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    files = [type(made.trainer)(made.config, made.model).saved_model_file for _ in range(2)]
    assert len({made.trainer.saved_model_file, *files}) == 3
    assert all(Path(file).match("saved/LLMInitBPR-*.pth") for file in files)
    assert before[:2] == (random.getstate(), np.random.get_state()[1].tolist())
    assert torch.equal(before[2], torch.get_rng_state())


def test_the_entry_is_plain_and_the_rest_is_recboles(world: World) -> None:
    made = parts("LLMInitBPR", world, epochs=1)
    made.trainer.fit(made.train, made.valid)
    content = torch.load(saved(), weights_only=False)
    torch.save(content.pop("run"), "run.pth")
    assert set(torch.load("run.pth", weights_only=True)) == {
        "identity",
        "random_states",
        "best_valid_result",
        "train_loss_dict",
        "valid_scores",
    }
    Trainer._save_checkpoint(made.trainer, 0, verbose=False, saved_model_file="theirs.pth")
    theirs = torch.load("theirs.pth", weights_only=False)
    assert list(content) == list(theirs)
    assert all(
        torch.equal(content["state_dict"][name], value) for name, value in theirs["state_dict"].items()
    )


def test_a_disk_that_fills_up_leaves_the_checkpoint_before(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = parts("LLMInitBPR", world, epochs=1)
    made.trainer.fit(made.train, made.valid)
    before = saved().read_bytes()

    def full(_: Any, file: Any, **__: Any) -> None:
        Path(file).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    theirs = torch.save
    monkeypatch.setattr(
        torch, "save", lambda what, to, **k: (full if isinstance(to, Path) else theirs)(what, to, **k)
    )
    with pytest.raises(OSError, match="No space"):
        made.trainer._save_checkpoint(1)
    assert saved().read_bytes() == before
    assert [file.name for file in Path("saved").iterdir()] == [saved().name]


def test_random_states_come_back(world: World) -> None:
    trainer = parts("LLMInitBPR", world).trainer
    trainer.train_data = parts("LLMInitBPR", world).train

    def draw() -> list[float]:
        loader = torch.rand(1, generator=trainer.train_data.generator).item()
        return [random.random(), np.random.normal(), torch.rand(1).item(), loader]

    np.random.normal()  # so that NumPy holds the second of a pair
    states = checkpoint.random_states(trainer)
    first = draw()
    assert draw() != first
    checkpoint.restore(trainer, states)
    assert draw() == first


def resume_by_command(
    model: str, world: World, protocol: str, file: Path, capsys: pytest.CaptureFixture[str], **keys: Any
) -> tuple[int, list[str]]:
    """Return the exit code of the command, and the lines in which it complains."""
    Path("mine.yaml").write_text(yaml.safe_dump(settings(world, **{"checkpoint_dir": "new", **keys})))
    argv = ["run", "-m", model, "-d", world.name, "--config_files=mine.yaml", f"--protocol={protocol}"]
    capsys.readouterr()
    code = cli.main([*argv, f"--resume={file}"])
    return code, [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]


BY_SHARE = {"eval_args": {"split": {"RS": [8, 1, 1]}, "order": "RO", "group_by": "user", "mode": "full"}}


@pytest.mark.parametrize(
    ("there", "here", "message"),
    [
        ({"seed": 1}, {"seed": 2}, "seed 1 there, 2 here; set seed as it was there, or train anew"),
        ({}, {"protocol": "sequential"}, "order RO there, TO here; choose that run's protocol"),
        ({}, BY_SHARE, "split {'LS': 'valid_and_test'} there, {'RS': [8, 1, 1]} here"),
        ({}, {"cold_items": 0.2}, "cold_items 0 there, 0.2 here"),
        ({"cold_items": 0.2}, {"cold_items": 0.3}, "cold_items 0.2 there, 0.3 here"),
        ({"drop_history": 0.2}, {"drop_history": 0.0}, "drop_history 0.2 there, 0 here"),
        ({}, {"rm_dup_inter": "first"}, "rm_dup_inter None there, first here"),
        ({"model": "LLMInitBPR"}, {"model": "BPR"}, "model LLMInitBPR there, BPR here"),
        ({"model": "BPR"}, {"model": "LLMInitBPR"}, "model BPR there, LLMInitBPR here"),
        ({}, {"llm_selection": "svd"}, "llm_selection var there, svd here"),
        ({}, {"llm_shuffle_items": True}, "llm_shuffle_items False there, True here"),
        (
            {"llm_embedding": "none"},
            {"llm_embedding": "all-mpnet-base-v2"},
            "llm_embedding none there, all-mpnet-base-v2 here",
        ),
        ({}, {"llm_embedding": "none"}, "llm_embedding all-mpnet-base-v2 there, none here"),
        ({}, {"embedding_size": 16}, "embedding_size 8 there, 16 here; set embedding_size as it was there"),
        ({"model": "SASRec", "hidden_size": 4}, {"hidden_size": 8}, "hidden_size 4 there, 8 here"),
        ({"model": "SASRec"}, {"MAX_ITEM_LIST_LENGTH": 9}, "MAX_ITEM_LIST_LENGTH 50 there, 9 here"),
        (
            {"model": "SASRec"},
            {"n_layers": 2},
            "the shape of trm_encoder.layer.1.multi_head_attention.query.weight None there, (8, 8) here",
        ),
    ],
)
def test_another_run_is_refused(
    there: dict[str, Any],
    here: dict[str, Any],
    message: str,
    world: World,
    capsys: pytest.CaptureFixture[str],
) -> None:
    there = {"model": "LLMInitBPR", "epochs": 1, **SMALL, **there}
    there.setdefault("protocol", "sequential" if there["model"] == "SASRec" else "masked")
    run(**{"world": world, **there})
    here = {**there, "epochs": 2, **here}
    before = saved().read_bytes()
    code, lines = resume_by_command(world=world, file=saved(), capsys=capsys, **here)
    assert code == 2
    (line,) = lines
    assert line.startswith(f"error: resume: {saved()} is no checkpoint of this model and data: {message}")
    assert not list(Path("new").glob("*"))
    assert saved().read_bytes() == before


def test_other_interactions_are_refused(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    run("BPR", world, "masked", epochs=1)
    inter = world.root / world.name / f"{world.name}.inter"
    inter.write_text(inter.read_text().replace("\t599\n", "\t600\n"))  # the time of one interaction
    code, lines = resume_by_command("BPR", world, "masked", saved(), capsys, epochs=2)
    assert code == 2
    assert "data: inter " in lines[0]
    assert "bring back the .inter file that it was trained on" in lines[0]


def test_other_vectors_of_the_same_name_are_refused(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    run("LLMInitBPR", world, "masked", epochs=1)
    world.table(vectors=world.vectors[::-1])
    code, lines = resume_by_command("LLMInitBPR", world, "masked", saved(), capsys, epochs=2)
    assert code == 2
    assert "data: vectors " in lines[0]
    assert "bring back the vectors that it started from" in lines[0]


@pytest.mark.parametrize(
    ("model", "keys"),
    [
        ("LLMInitBPR", {"llm_embedding": "copy"}),  # the same vectors by another name
        ("LLMInitBPR", {"topk": [3], "valid_metric": "NDCG@3", "group_metrics": True}),
        ("BPR", {"llm_selection": "svd"}),  # which a plain model does not read
    ],
)
def test_what_changes_neither_model_nor_split_is_free(
    model: str, keys: dict[str, Any], world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    run(model, world, "masked", epochs=1)
    world.table("copy")
    assert resume_by_command(model, world, "masked", saved(), capsys, epochs=2, **keys) == (0, [])


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, None),
        ({"seed": 3}, "seed 2020 there, 3 here"),
        ({"llm_selection": "svd"}, "llm_selection var there, svd here"),
        ({"llm_embedding": "none"}, "llm_embedding all-mpnet-base-v2 there, none here"),
        ({"embedding_size": 4}, "embedding_size 8 there, 4 here"),
    ],
)
def test_an_older_checkpoint_is_compared_by_its_config(
    keys: dict[str, Any], message: str | None, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    run("LLMInitBPR", world, "masked", epochs=1)
    content = torch.load(saved(), weights_only=False)
    del content["run"]
    torch.save(content, "old.pth")
    code, lines = resume_by_command("LLMInitBPR", world, "masked", Path("old.pth"), capsys, epochs=2, **keys)
    assert code == (2 if message else 0)
    assert message is None or message in lines[0]


def test_a_file_that_is_no_checkpoint(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    Path("odd.pth").write_bytes(b"not a checkpoint")
    code, lines = resume_by_command("BPR", world, "masked", Path("odd.pth"), capsys)
    assert code == 2
    assert "resume 'odd.pth' is no checkpoint of RecBole" in lines[0]
