"""A-LLMRec: a frozen collaborative model aligned with item texts, and a language model that ranks titles."""

from recbole_llminit.model.allmrec.allmrec import ALLMRec
from recbole_llminit.model.allmrec.allmrecranker import ALLMRecRanker

__all__ = ["ALLMRec", "ALLMRecRanker"]
