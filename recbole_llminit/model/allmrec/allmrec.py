"""ALLMRec: the first stage of A-LLMRec, which aligns a frozen collaborative model with the items' texts.

Kim et al., "Large Language Models meet Collaborative Filtering: An Efficient All-round LLM-based
Recommender System", KDD 2024 (arXiv 2404.11343), section 4.1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from recbole.model.abstract_recommender import SequentialRecommender
from recbole.utils import InputType

from recbole_llminit.embedding.load import load_item_vectors
from recbole_llminit.initialize.controls import shuffled
from recbole_llminit.model.allmrec.alignment import ALIGNMENTS, recommendation_loss
from recbole_llminit.model.allmrec.settings import BridgeSettings
from recbole_llminit.model.allmrec.text_encoder import TextEncoder, item_texts
from recbole_llminit.pretrained.adapters import adapt
from recbole_llminit.pretrained.checkpoint import load_frozen
from recbole_llminit.utils.errors import UserError
from recbole_llminit.utils.values import flag


class ALLMRec(SequentialRecommender):  # type: ignore[misc]
    """Item and text autoencoders around a frozen backbone, trained by matching, reconstruction and ranking.

    Differences from the published code:

    - The published first stage is trained only. Here its networks also rank the whole catalogue: a warm
      item by its joint vector, a cold item by its text (the paper's cold mode, which the code lacks).
    - A score is the inner product, as in the paper; the code takes the mean over dimensions.
    - The text vectors are frozen, unless ``allmrec_text_encoder`` names their encoder, which is then
      trained too, as in the paper.
    - Negatives are drawn by RecBole's sampler for sequences, which excludes the target item alone. An item
      without training interactions is never a negative: its collaborative vector is untrained, and
      matching would fit its text to noise.

    Reads `allmrec_backbone`, `allmrec_text_encoder`, `allmrec_text`, `llm_shuffle_items`, `seed`, and the
    keys of `BridgeSettings`, `load_frozen`, `load_item_vectors` and RecBole's sequential models.

    Raises:
        UserError: If the backbone, the vectors or a setting do not fit the run.
    """

    input_type = InputType.PAIRWISE
    text_vectors: torch.Tensor  # (n_items, d_llm)

    def __init__(self, config: Any, dataset: Any) -> None:
        super().__init__(config, dataset)
        settings = BridgeSettings.from_config(config)
        frozen = load_frozen(config, "allmrec_backbone", dataset)
        texts, self.llm_vectors_hash = _text_vectors(config, dataset)
        self.backbone = adapt(frozen.model, "allmrec_backbone")  # not an nn.Module, see Backbone
        self.backbone_hash = frozen.hash
        self.other_parameter_name = ["backbone_hash", "llm_vectors_hash"]
        for name, table in (("item_vectors", self.backbone.items), ("text_vectors", texts)):
            self.register_buffer(name, table, persistent=False)
        degrees = dataset.item_degrees
        for name, values in (("degrees", degrees), ("trained", degrees.nonzero()[:, 0])):
            self.register_buffer(name, values, persistent=False)
        self.cold = settings.cold
        widths = self.item_vectors.shape[1], self.text_vectors.shape[1]
        self.alignment = ALIGNMENTS[settings.match](*widths, settings)
        self.text_encoder = _text_encoder(config, dataset, widths[1]) if settings.text_encoder else None
        self._stale = self.text_encoder is not None  # text_vectors need encoding again
        self._catalogue: torch.Tensor | None = None  # see `catalogue`; kept during evaluation

    def calculate_loss(self, interaction: Any) -> tuple[torch.Tensor, ...]:
        """Return the weighted loss terms of a batch; RecBole logs each of them and sums them."""
        ids = torch.cat([interaction[self.POS_ITEM_ID], self._known(interaction[self.NEG_ITEM_ID])])
        items, texts = self.item_vectors[ids], self.texts(ids)
        e, q = self.alignment.item_encoder(items), self.alignment.text_encoder(texts)
        users = self.users(interaction).repeat(2, 1)
        positive, negative = (users * self.alignment.item_decoder(e)).sum(dim=1).chunk(2)
        # Detached so that the text encoder is not trained towards the reconstruction.
        return *self.alignment.terms(e, q, items, texts.detach(), ids), recommendation_loss(
            positive, negative
        )

    def _known(self, negatives: torch.Tensor) -> torch.Tensor:
        """Replace each negative that has no training interactions by a random item that has some."""
        others = self.trained[torch.randint(len(self.trained), negatives.shape, device=negatives.device)]
        return torch.where(self.degrees[negatives] > 0, negatives, others)

    def texts(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the text vectors of ids (n,): (n, d_llm), with gradient if their encoder is in training."""
        if self.text_encoder is None:
            return self.text_vectors[ids]
        if self.training:
            self._stale = True
            known = self.text_encoder.known[ids].unsqueeze(1)
            return torch.where(known, self.text_encoder(ids), self.text_vectors[ids])
        if self._stale:
            self.text_vectors = self.text_encoder.table(self.text_vectors)
            self._stale = False
        return self.text_vectors[ids]

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Load a state as PyTorch does, and discard vectors that were computed with the previous one."""
        self._stale, self._catalogue = self.text_encoder is not None, None
        return super().load_state_dict(*args, **kwargs)

    def train(self, mode: bool = True) -> ALLMRec:
        """Switch between training and evaluation, and discard the catalogue that is kept."""
        self._catalogue = None
        return super().train(mode)  # type: ignore[no-any-return]

    def users(self, interaction: Any) -> torch.Tensor:
        """Return the backbone's user states, (batch, d), without gradient."""
        return self.backbone.states(interaction)

    def joint(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the latent vectors of ids (n,): (n, latent).

        An item with at most ``allmrec_cold`` training interactions gets its encoded text, any other item
        its encoded item vector.
        """
        e = self.alignment.item_encoder(self.item_vectors[ids])
        q = self.alignment.text_encoder(self.texts(ids))
        return torch.where((self.degrees[ids] <= self.cold).unsqueeze(1), q, e)

    def predict(self, interaction: Any) -> torch.Tensor:
        """Return the scores of a batch of (user, item) pairs: (batch,)."""
        items = self.alignment.item_decoder(self.joint(interaction[self.ITEM_ID]))
        return (self.users(interaction) * items).sum(dim=1)

    def full_sort_predict(self, interaction: Any) -> torch.Tensor:
        """Return the scores of all items for a batch of users: (batch, n_items)."""
        return self.users(interaction) @ self.catalogue().T

    def catalogue(self) -> torch.Tensor:
        """Return the decoded vectors by which all items are scored, (n_items, d)."""
        items = self._catalogue
        if items is None or self.training or torch.is_grad_enabled():
            everything = torch.arange(self.n_items, device=self.item_vectors.device)
            items = self.alignment.item_decoder(self.joint(everything))
            self._catalogue = None if items.requires_grad else items
        return items

    def load_other_parameter(self, para: dict[str, Any] | None) -> None:
        """Refuse a checkpoint that was trained with another backbone or with other text vectors."""
        refuse_other(para, "backbone_hash", self.backbone_hash, "allmrec_backbone")
        refuse_other(para, "llm_vectors_hash", self.llm_vectors_hash, "llm_embedding")


def states_and_items(model: ALLMRec) -> tuple[Any, torch.Tensor]:
    """Return the function that gives the user states of a batch, and the decoded item vectors."""
    return model.users, model.catalogue()


def refuse_other(saved: dict[str, Any] | None, name: str, here: str | None, key: str) -> None:
    """Compare the hash of a frozen part with the one in a checkpoint.

    The checkpoint's hash is the entry `name` of `saved`; without such an entry nothing is compared.

    Raises:
        UserError: If the file that `key` names is not what the checkpoint was trained on.
    """
    there = (saved or {}).get(name)
    if there is not None and there != here:
        raise UserError(
            f"{key} is not what this checkpoint was trained on ({(here or 'unknown')[:12]}, expected "
            f"{there[:12]}); put that one back, or train again"
        )


def _text_encoder(config: Any, dataset: Any, width: int) -> TextEncoder:
    """Return the encoder to train, with the items' texts or, for ``llm_shuffle_items``, other items' texts.

    Reads `allmrec_text_encoder`, `llm_embedding`, `llm_shuffle_items`, `seed` and the keys of `item_texts`.
    """
    found, max_length = item_texts(config, dataset)
    texts = np.array(found, dtype=object)
    if flag(config, "llm_shuffle_items"):
        texts = shuffled(texts, config["seed"])
    name = str(config["allmrec_text_encoder"])
    encoder = TextEncoder(name, texts.tolist(), max_length)
    if encoder.width != width:
        raise UserError(
            f"allmrec_text_encoder '{name}' makes {encoder.width} dimensions and llm_embedding "
            f"'{config['llm_embedding']}' has {width}; name the encoder of that table"
        )
    return encoder


def _text_vectors(config: Any, dataset: Any) -> tuple[torch.Tensor, str | None]:
    """Return the text vectors (n_items, d_llm) by RecBole's ids, and their hash.

    Reads `llm_shuffle_items`, `seed` and the keys of `load_item_vectors`.
    """
    loaded = load_item_vectors(config, dataset)
    if loaded is None:
        raise AssertionError("the settings were checked for vectors")
    matrix = loaded.matrix
    if flag(config, "llm_shuffle_items"):
        matrix = shuffled(matrix, config["seed"])
    return torch.from_numpy(matrix), loaded.hash
