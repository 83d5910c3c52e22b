"""Model names such as `LLMInit<X>`, their classes, and what these inherit from X."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest
import torch
import yaml
from recbole.utils import get_model, get_trainer

import recbole_llminit
from recbole_llminit.dataset.places import PROPS
from recbole_llminit.plugin import registry
from recbole_llminit.utils.errors import UserError
from tests.conftest import World, config_of


@pytest.mark.parametrize(
    "name", ["LLMInitBPR", "LLMInitSASRec", "LLMInitSGCL", "SGCL", "LLMInitCKE", "MoRecSASRec"]
)
def test_recbole_finds_the_class(name: str) -> None:
    cls = get_model(name)
    assert cls.__name__ == name
    assert cls is registry.model_class(name)
    assert pickle.loads(pickle.dumps(cls)) is cls


def test_real_specs() -> None:
    import importlib.util

    spec = importlib.util.find_spec("recbole.model.sequential_recommender.llminitgru4rec")
    assert spec is not None
    assert spec.name == "recbole.model.sequential_recommender.llminitgru4rec"
    assert importlib.util.find_spec("recbole.model.general_recommender.llminitgru4rec") is None
    assert importlib.util.find_spec("recbole.model.general_recommender.llminitnothing") is None


def test_host_attributes_are_inherited() -> None:
    for host in ("BPR", "SASRec", "MacridVAE"):
        ours, theirs = get_model(f"LLMInit{host}"), get_model(host)
        assert ours.type == theirs.type
        assert getattr(ours, "input_type", None) == getattr(theirs, "input_type", None)


def test_trainers_and_datasets_are_taken_over() -> None:
    from recbole.trainer import NCLTrainer, S3RecTrainer

    for host, trainer in (("NCL", NCLTrainer), ("S3Rec", S3RecTrainer)):
        cls = registry.model_class(f"LLMInit{host}")
        assert issubclass(get_trainer(cls.type, f"LLMInit{host}"), trainer)
    registry.model_class("LLMInitGRU4RecKG")
    from recbole.data import dataset

    assert dataset.LLMInitGRU4RecKGDataset is dataset.GRU4RecKGDataset


def test_defaults_are_the_hosts(world: World) -> None:
    ours, theirs = config_of("LLMInitBERT4Rec", world), config_of("BERT4Rec", world)
    same = set(theirs.final_config_dict) - {"model"}
    assert {key: ours[key] for key in same if key != "MODEL_INPUT_TYPE"} == {
        key: theirs[key] for key in same if key != "MODEL_INPUT_TYPE"
    }
    assert ours["transform"] == "mask_itemseq"


def test_config_files_alone_are_enough(world: World) -> None:
    """A plugin model has its defaults even if the user passes none of this package's files."""
    from recbole.config import Config

    config = Config("LLMInitSGCL", world.name, config_dict={"data_path": str(world.root)})
    assert (config["llm_selection"], config["temperature"], config["embedding_size"]) == ("var", 0.2, 128)


def test_order_of_the_files() -> None:
    files = recbole_llminit.config_files("LLMInitSGCL", "beauty", "paper")
    names = [file.removeprefix(str(PROPS) + "/") for file in files]
    assert names == ["overall.yaml", "model/SGCL.yaml", "dataset/beauty.yaml", "protocol/paper.yaml"]
    assert recbole_llminit.config_files("BPR", "mine", "recbole") == [str(PROPS / "overall.yaml")]
    assert recbole_llminit.config_files("SASRec", "beauty")[-1].endswith("sequential.yaml")
    assert recbole_llminit.config_files("Pop", "beauty")[-1].endswith("masked.yaml")


def test_overall_leaves_the_protocols_keys_alone() -> None:
    text = (PROPS / "overall.yaml").read_text()
    for key in ("eval_args", "repeatable", "train_neg_sample_args", "eval_batch_size"):
        assert f"\n{key}:" not in text


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("LLMInitSGLC", "unknown model 'LLMInitSGLC'.*Did you mean 'LLMInitSG"),
        ("LightGNC", "Did you mean 'LightGCN'"),
        ("lightgcn", "Did you mean 'LightGCN'"),
        ("LLMInitNeuMF", "NeuMF has no table `item_embedding`.*item_mf_embedding"),
        ("LLMInitSimpleX", "SimpleX has no table"),
        ("LLMInitPop", "Pop has no table"),
        ("LLMInitMoRec", "computes its items from the vectors.*run MoRec itself"),
        ("LLMInitMoRecSASRec", "run MoRecSASRec itself"),
    ],
)
def test_names_that_are_refused(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        registry.model_class(name)


def test_our_own_models_are_found_in_their_family_alone() -> None:
    import importlib.util

    names = registry.model_names()
    for model, family in (("SGCL", "general"), ("MoRec", "general"), ("MoRecSASRec", "sequential")):
        assert names[model] == family
        for other in ("general", "sequential"):
            found = importlib.util.find_spec(f"recbole.model.{other}_recommender.{model.lower()}")
            assert (found is not None) == (other == family)
    assert "LLMInitMoRec" not in names
    assert recbole_llminit.config_files("MoRecSASRec", "mine")[-1].endswith("sequential.yaml")


@pytest.mark.parametrize(
    ("name", "order", "repeatable"),
    [("masked", "RO", False), ("paper", "RO", True), ("sequential", "TO", True)],
)
def test_the_shipped_protocols_are_these(name: str, order: str, repeatable: bool) -> None:
    """Results of different versions are comparable only if the protocols stay the same."""
    assert yaml.safe_load((PROPS / "protocol" / f"{name}.yaml").read_text()) == {
        "protocol": name,
        "eval_args": {
            "split": {"LS": "valid_and_test"},
            "group_by": "user",
            "order": order,
            "mode": "full",
        },
        "repeatable": repeatable,
        "metrics": ["Recall", "NDCG", "MRR", "Hit", "Precision"],
        "topk": [10, 20, 50],
        "valid_metric": "NDCG@10",
        "epochs": 300,
        "stopping_step": 10,
    }


def test_unknown_protocol() -> None:
    with pytest.raises(UserError, match="protocol 'mask' is neither.*Did you mean 'masked'"):
        recbole_llminit.config_files("BPR", "beauty", "mask")


def test_cross_entropy_sequential_models_need_no_help(world: World) -> None:
    assert config_of("SASRec", world)["train_neg_sample_args"]["distribution"] == "none"
    assert config_of("LLMInitSASRec", world)["train_neg_sample_args"]["distribution"] == "none"
    pairwise = config_of("LLMInitSASRec", world, loss_type="BPR")
    assert pairwise["train_neg_sample_args"]["distribution"] == "uniform"


@pytest.mark.slow
def test_importing_the_package_is_cheap_and_loads_no_torch() -> None:
    code = "import sys, recbole_llminit; print('torch' in sys.modules, 'recbole' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "False"]


def test_nothing_of_the_vectors_stays_in_the_model(world: World) -> None:
    from tests.conftest import parts

    made = parts("LLMInitBPR", world)
    plain = parts("BPR", world)
    assert made.model.state_dict().keys() == plain.model.state_dict().keys()
    assert all(parameter.requires_grad for parameter in made.model.parameters())
    assert isinstance(made.model.item_embedding.weight, torch.nn.Parameter)


def test_a_general_model_reads_the_time_under_the_sequential_protocol(world: World) -> None:
    assert "timestamp" in config_of("BPR", world, "sequential")["load_col"]["inter"]
    assert "timestamp" not in config_of("BPR", world, "masked")["load_col"]["inter"]


def test_a_new_sequential_model_is_found_in_its_family() -> None:
    import importlib.util

    assert get_model("ALLMRec").__name__ == "ALLMRec"
    assert importlib.util.find_spec("recbole.model.general_recommender.allmrec") is None
    assert registry.model_names()["ALLMRec"] == "sequential"
    with pytest.raises(UserError, match="LLMInitALLMRec: ALLMRec computes its items from the vectors"):
        registry.model_class("LLMInitALLMRec")
