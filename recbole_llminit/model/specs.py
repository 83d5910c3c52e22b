"""One `ModelSpec` for each model: what the rest of the package needs to know before it imports the model.

To add a model, write one file with its class, one spec in `SPECS`, one YAML file with its defaults, and one
test. The host model of ``LLMInit<X>`` is the RecBole model X beneath it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recbole_llminit.dataset.places import PROPS

PREFIX = "LLMInit"
_MODELS = "recbole_llminit.model"


@dataclass(frozen=True)
class ModelSpec:
    """Facts about a model that the registry, the wrappers of RecBole, validation and studies use.

    Classes and functions are given as dotted names (``package.module:name``) and are imported when they
    are needed, so that reading the specs does not import torch.

    Attributes:
        name: The name of the model and of its class.
        family: RecBole's family: ``general``, ``sequential``, ``knowledge_aware`` or ``context_aware``.
        module: The module that holds the class; None means ``recbole_llminit.model.<lower-case name>``.
        properties: The YAML file of the model's defaults; None means ``props/model/<name>.yaml``.
        settings: Functions that take RecBole's config and raise `UserError` if a key has a wrong value.
        dataset: The model's dataset class; None means that of its family.
        reads_vectors: Whether the model itself reads the table that ``llm_embedding`` names, in which case
            there is no ``LLMInit<name>``.
        path_keys: Keys whose value may be the path of a file or a folder.
        split_keys: Keys on which the content of the split, and so of the data loaders, depends.
        adapter: A function for `pretrained.adapters` that returns user states and item vectors; None means
            that of the RecBole model which this model extends.
        draws_negatives: Whether a negative item is drawn for each training interaction.
        accelerates: Whether RecBole has a model of this name too. This class computes the same numbers
            faster and is used only as the host model of ``LLMInit<name>``; plain ``<name>`` is RecBole's.
    """

    name: str
    family: str
    module: str | None = None
    properties: Path | None = None
    settings: tuple[str, ...] = ()
    dataset: str | None = None
    reads_vectors: bool = False
    path_keys: tuple[str, ...] = ()
    split_keys: tuple[str, ...] = ()
    adapter: str | None = None
    draws_negatives: bool = True
    accelerates: bool = False

    @property
    def dotted_class(self) -> str:
        """The dotted name of the model's class, ``package.module:name``."""
        return f"{self.module or f'{_MODELS}.{self.name.lower()}'}:{self.name}"

    @property
    def defaults(self) -> Path:
        """The path of the YAML file with the model's defaults; the file need not exist."""
        return self.properties or PROPS / "model" / f"{self.name}.yaml"


SPECS = (
    ModelSpec("LightGCN", "general", accelerates=True),
    ModelSpec("SGL", "general", accelerates=True),
    ModelSpec("SGCL", "general", draws_negatives=False),
    ModelSpec("MixSGCL", "general", draws_negatives=False),
    ModelSpec("SSM", "general", settings=(f"{_MODELS}.ssm:settings",), draws_negatives=False),
    ModelSpec(
        "CEASE", "general", settings=(f"{_MODELS}.cease:points",), reads_vectors=True, draws_negatives=False
    ),
    ModelSpec(
        "L3AE", "general", settings=(f"{_MODELS}.l3ae:points",), reads_vectors=True, draws_negatives=False
    ),
    ModelSpec(
        "TextProfile",
        "general",
        settings=(f"{_MODELS}.closed_form:check_vectors",),
        reads_vectors=True,
        draws_negatives=False,
    ),
    ModelSpec(
        "MoRec",
        "general",
        module=f"{_MODELS}.morec.morec",
        settings=(f"{_MODELS}.morec.settings:MoRecSettings.from_config",),
        reads_vectors=True,
    ),
    ModelSpec(
        "MoRecSASRec",
        "sequential",
        module=f"{_MODELS}.morec.morecsasrec",
        settings=(f"{_MODELS}.morec.settings:ProjectionSettings.from_config",),
        reads_vectors=True,
    ),
    ModelSpec(
        "ALLMRec",
        "sequential",
        module=f"{_MODELS}.allmrec.allmrec",
        settings=(f"{_MODELS}.allmrec.settings:BridgeSettings.from_config",),
        dataset=f"{_MODELS}.allmrec.dataset:BridgeDataset",
        reads_vectors=True,
        path_keys=("allmrec_backbone", "allmrec_text_encoder"),
        split_keys=("allmrec_positions",),
        adapter=f"{_MODELS}.allmrec.allmrec:states_and_items",
    ),
    ModelSpec(
        "ALLMRecRanker",
        "sequential",
        module=f"{_MODELS}.allmrec.allmrecranker",
        settings=(f"{_MODELS}.allmrec.settings:RankerSettings.from_config",),
        dataset=f"{_MODELS}.allmrec.dataset:RankerDataset",
        reads_vectors=True,
        path_keys=("allmrec_stage1", "allmrec_first", "allmrec_llm"),
        split_keys=("allmrec_positions", "allmrec_train_users", "allmrec_eval_users"),
        draws_negatives=False,  # the model itself draws the other candidates of a training prompt
    ),
)


def host_name(model: str) -> str:
    """Return X for ``LLMInit<X>``, and any other name unchanged."""
    return model.removeprefix(PREFIX)
