"""Language models that answer prompts, all behind one protocol: `LanguageModel`.

`EndpointLM` asks a server that speaks OpenAI's protocol; `Recorded` keeps another model's answers in a
file and replays them; `llm.causal.load_llm` loads a model that computes here, and `llm.likelihood` scores
texts with it. Those two modules import torch; this one imports neither torch nor transformers nor openai.
Nothing here knows a recommender: whoever needs a language model hands in the name of its key for messages.
"""

from __future__ import annotations

from recbole_llminit.llm.endpoint import EndpointLM
from recbole_llminit.llm.protocol import LanguageModel
from recbole_llminit.llm.recorded import Recorded

__all__ = ["EndpointLM", "LanguageModel", "Recorded"]
