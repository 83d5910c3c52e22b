"""One spec a model: all that the shared rooms know of it, told before its file is imported.

A new model is one file with its class, one spec in `SPECS`, one YAML file with its defaults and one test.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recbole_llminit.dataset.places import PROPS

PREFIX = "LLMInit"
_MODELS = "recbole_llminit.model"


@dataclass(frozen=True)
class ModelSpec:
    """What registry, hooks, validation and studies read of a model.

    Classes and functions stand here as dotted names (``package.module:name``) and are imported when they
    are needed: a list of specs costs no import of torch.

    Attributes:
        name: The model's name, which is its class's.
        family: RecBole's: ``general``, ``sequential``, ``knowledge_aware`` or ``context_aware``.
        module: The module that holds the class; None: the file of that name in this room.
        properties: The YAML file of the model's defaults; None: ``props/model/<name>.yaml``.
        settings: Functions that take RecBole's config and raise `UserError` on a wrong value of a key.
        dataset: The model's own dataset class; None: the family's.
        reads_vectors: Whether the model itself reads the table that ``llm_embedding`` names; no
            ``LLMInit<name>`` exists then.
        path_keys: Keys whose value may be a file or a folder.
        split_keys: Keys that decide what the parts of the split, and so the data loaders, hold.
        adapter: The function in whose form `pretrained.adapters` reads user states and item vectors; None:
            that of the RecBole model which this one extends.
        draws_negatives: Whether a negative item is drawn for each training interaction.
        accelerates: Whether RecBole has a model of this name too. This one has the same numbers in less
            time and stands beneath ``LLMInit<name>`` alone.
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
        """The dotted name of the model's class."""
        return f"{self.module or f'{_MODELS}.{self.name.lower()}'}:{self.name}"

    @property
    def defaults(self) -> Path:
        """The YAML file of the model's defaults, which need not exist."""
        return self.properties or PROPS / "model" / f"{self.name}.yaml"


SPECS = (
    ModelSpec("LightGCN", "general", accelerates=True),
    ModelSpec("SGL", "general", accelerates=True),
    ModelSpec("SGCL", "general", draws_negatives=False),
    ModelSpec("MixSGCL", "general", draws_negatives=False),
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
        draws_negatives=False,  # the other candidates of a training prompt are drawn by the model
    ),
)


def host_name(model: str) -> str:
    """Return X for ``LLMInit<X>``, and any other name unchanged."""
    return model.removeprefix(PREFIX)
