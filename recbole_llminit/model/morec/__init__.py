"""MoRec: item vectors computed from frozen text vectors in every step, in three models.

The models are matrix factorisation and LightGCN (`MoRec`), and SASRec (`MoRecSASRec`).
"""

from recbole_llminit.model.morec.morec import MoRec
from recbole_llminit.model.morec.morecsasrec import MoRecSASRec

__all__ = ["MoRec", "MoRecSASRec"]
