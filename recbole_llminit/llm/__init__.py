"""Language models that answer prompts, all with the interface `LanguageModel`.

`EndpointLM` sends prompts to a server with OpenAI's protocol; `Recorded` keeps another model's answers in a
file and replays them; `llm.causal.load_llm` loads a model that runs in this process, and `llm.likelihood`
scores texts with it. Those two modules import torch; this one imports neither torch nor transformers nor
openai. No module here depends on a recommender: callers pass the name of their config key for messages.
"""

from __future__ import annotations

from recbole_llminit.llm.endpoint import EndpointLM
from recbole_llminit.llm.protocol import LanguageModel
from recbole_llminit.llm.recorded import Recorded

__all__ = ["EndpointLM", "LanguageModel", "Recorded"]
