"""Small synthetic datasets ("worlds") with known properties, and helpers that run models on them."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hypothesis
import numpy as np
import pytest

import recbole_llminit
from recbole_llminit.embedding.table import Card, VectorTable, save

hypothesis.settings.register_profile("patient", deadline=None)  # shared machines have noisy timings
hypothesis.settings.load_profile("patient")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the slow tests first, so that at the end no worker runs a slow test while the others wait."""
    items.sort(key=lambda item: not any(item.iter_markers(name="slow")))


SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@dataclass(frozen=True)
class World:
    """A dataset on disk: the folder of datasets, its name, and its item tokens and vectors."""

    root: Path
    name: str
    tokens: tuple[str, ...]
    vectors: np.ndarray  # (n_items, d_llm)

    def table(self, name: str = "all-mpnet-base-v2", **changes: Any) -> Path:
        """Write the vectors, or the `vectors` and `ids` in `changes`, as a table; return its file."""
        ids = changes.get("ids", self.tokens)
        vectors = changes.get("vectors", self.vectors).astype(np.float32)
        file = self.root / self.name / f"{name}.safetensors"
        save(VectorTable.build(tuple(ids), vectors, Card(encoder="a test")), file)
        return file


@pytest.fixture(autouse=True)
def clean_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test in an empty folder, to which RecBole writes, and without the argv of pytest.

    A quiet run raises the level of the root logger; each test begins with Python's own. RecBole ends every
    run by measuring the load of the CPU for one second, which no test looks at.
    """
    monkeypatch.setattr("psutil.cpu_percent", lambda *_, **__: 0.0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["test"])
    logging.getLogger().setLevel(logging.WARNING)


def write_world(root: Path, name: str, pairs: list[tuple[int, int]], vectors: np.ndarray) -> World:
    """Write atomic files for (user, item) pairs, in order of time, and the items' vectors."""
    folder = root / name
    folder.mkdir(parents=True)
    lines = ["user_id:token\titem_id:token\ttimestamp:float"]
    lines += [f"u{user}\ti{item}\t{time}" for time, (user, item) in enumerate(pairs)]
    (folder / f"{name}.inter").write_text("\n".join(lines) + "\n")
    tokens = tuple(f"i{item}" for item in range(len(vectors)))
    world = World(root, name, tokens, vectors)
    world.table()
    return world


def checkerboard(root: Path, size: int = 12) -> World:
    """Write a world of two blocks: even users have all even items, odd users all odd ones.

    The vectors tell the two blocks apart. With one item held out and the history masked, the held-out item
    is the only one left of the user's block, so that a model which is initialised from the vectors ranks
    it first before any training.
    """
    pairs = [(u, i) for u in range(size) for i in range(size) if u % 2 == i % 2]
    vectors = np.full((size, 8), 0.01)
    vectors[0::2, 3] = 1.0
    vectors[1::2, 5] = 1.0
    return write_world(root, "checkerboard", pairs, vectors)


def tastes(root: Path, users: int = 60, items: int = 40, each: int = 10, d_llm: int = 24) -> World:
    """Write a world of four groups, where users mostly take items of their group, in random order."""
    rng = np.random.default_rng(7)
    group = np.arange(items) % 4
    pairs = []
    for user in range(users):
        weight = np.where(group == user % 4, 8.0, 1.0)
        pairs += [(user, i) for i in rng.choice(items, each, replace=False, p=weight / weight.sum())]
    vectors = rng.normal(size=(4, d_llm))[group] + 0.3 * rng.normal(size=(items, d_llm))
    return write_world(root, "tastes", pairs, vectors)


@pytest.fixture
def board(tmp_path: Path) -> World:
    return checkerboard(tmp_path / "data")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return tastes(tmp_path / "data")


def config_of(model: str, world: World, protocol: str | None = None, **keys: Any) -> Any:
    """Build RecBole's config for a model on a world."""
    from recbole.config import Config

    files = recbole_llminit.config_files(model, world.name, protocol)
    return Config(model, world.name, config_file_list=files, config_dict=settings(world, **keys))


def settings(world: World, **keys: Any) -> dict[str, Any]:
    """Return the keys of a quick and quiet run on a world."""
    quiet = {"show_progress": False, "state": "ERROR", "use_gpu": False, "worker": 0}
    small = {"embedding_size": 8, "hidden_size": 8, "topk": [1, 5], "valid_metric": "NDCG@5", "epochs": 2}
    return {**quiet, **small, "data_path": str(world.root), "train_batch_size": 128, **keys}


def parts(model: str, world: World, protocol: str | None = None, **keys: Any) -> SimpleNamespace:
    """Make config, dataset, loaders, model and trainer as RecBole's quick start does."""
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, get_trainer, init_logger, init_seed

    config = config_of(model, world, protocol, **keys)
    init_seed(config["seed"], config["reproducibility"])
    init_logger(config)
    dataset = create_dataset(config)
    train, valid, test = data_preparation(config, dataset)
    init_seed(config["seed"], config["reproducibility"])
    built = get_model(model)(config, train._dataset).to(config["device"])
    trainer = get_trainer(config["MODEL_TYPE"], model)(config, built)
    return SimpleNamespace(
        config=config, dataset=dataset, train=train, valid=valid, test=test, model=built, trainer=trainer
    )


def run(model: str, world: World, protocol: str | None = None, **keys: Any) -> dict[str, Any]:
    """Run RecBole's `run_recbole` and return the content of the result file."""
    from recbole.quick_start import run_recbole

    files = recbole_llminit.config_files(model, world.name, protocol)
    keys = settings(world, **{"result_file": "result.json", **keys})
    run_recbole(model, world.name, config_file_list=files, config_dict=keys)
    return json.loads(Path(keys["result_file"]).read_text())


def novelties(root: Path, users: int = 160, d_llm: int = 16) -> World:
    """Write a world where each user's last item is new: no user has it in training.

    There are four groups of 15 items, of which the last three are new. A user takes items of one group, and
    an item's vector tells its group. Interactions alone say nothing about a new item.
    """
    rng = np.random.default_rng(3)
    pairs = []
    for user in range(users):
        old = rng.choice(12, 9, replace=False)
        pairs += [(user, 15 * (user % 4) + int(i)) for i in (*old, 12 + rng.integers(3))]
    vectors = rng.normal(size=(4, d_llm))[np.arange(60) // 15] + 0.1 * rng.normal(size=(60, d_llm))
    return write_world(root, "novelties", pairs, vectors)


# Keys that make a backbone small.
SMALL: dict[str, Any] = {"n_heads": 2, "inner_size": 16, "n_layers": 1, "block_num": 1}
SMALL |= {"mf_embedding_size": 4, "mlp_embedding_size": 4, "mlp_hidden_size": [4]}


@dataclass
class Trained:
    """A world and the checkpoints of the models that were trained on it, each at its first use."""

    world: World
    folder: Path
    files: dict[str, str] = field(default_factory=dict)

    def of(self, model: str, epochs: int = 1, **keys: object) -> str:
        """Return the checkpoint of a model under the sequential protocol, training it the first time."""
        name = "-".join([model, str(epochs), *(f"{k}={v}" for k, v in keys.items())])
        if name not in self.files:
            here, argv, folder = Path.cwd(), sys.argv, self.folder / f"{len(self.files)}-{model}"
            os.chdir(self.folder)
            sys.argv = ["test"]
            protocol = keys.pop("protocol", "sequential")
            keys = {**SMALL, "epochs": epochs, "checkpoint_dir": str(folder), **keys}
            run(model, self.world, str(protocol), **keys)
            os.chdir(here)
            sys.argv = argv
            self.files[name] = str(next(folder.glob("*.pth")))
        return self.files[name]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("backbones")
    return Trained(tastes(folder / "data"), folder)


def tiny_llm(folder: Path, family: str = "llama", context: int = 512) -> Path:
    """Save a language model with random weights, and a tokeniser of single bytes, into a folder."""
    import torch
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = {token: number for number, token in enumerate(["<end>", *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=tokens, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>")
    fast.save_pretrained(folder)
    shape = {"vocab_size": len(tokens), "hidden_size": 16, "max_position_embeddings": context}
    shape |= {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
    heads = {"num_hidden_layers": 2, "num_attention_heads": 2}
    configs = {
        "llama": lambda: transformers.LlamaConfig(**shape, **heads, intermediate_size=32),
        "opt": lambda: transformers.OPTConfig(**shape, **heads, ffn_dim=32, word_embed_proj_dim=16),
        "gpt2": lambda: transformers.GPT2Config(
            vocab_size=len(tokens), n_embd=16, n_layer=2, n_head=2, n_positions=context
        ),
    }
    torch.manual_seed(5)
    transformers.AutoModelForCausalLM.from_config(configs[family]()).save_pretrained(folder)
    return folder


def evaluated_afresh(file: str, metric: str) -> list[str]:
    """Load a checkpoint in a new process, and return the model's name and its test metric."""
    code = (
        "import sys, recbole_llminit\n"
        "from recbole.quick_start import load_data_and_model\n"
        "from recbole.utils import get_trainer\n"
        f"config, model, _, train, valid, test = load_data_and_model({file!r})\n"
        "trainer = get_trainer(config['MODEL_TYPE'], config['model'])(config, model)\n"
        "trainer.eval_collector.data_collect(train)\n"
        f"print(type(model).__name__, trainer.evaluate(test, load_best_model=False)['{metric}'])\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert out.returncode == 0, out.stderr
    return out.stdout.split()[-2:]
