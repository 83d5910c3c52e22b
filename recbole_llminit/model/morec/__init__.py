"""MoRec: items computed from frozen text vectors in every step, under three backbones."""

from recbole_llminit.model.morec.morec import MoRec
from recbole_llminit.model.morec.morecsasrec import MoRecSASRec

__all__ = ["MoRec", "MoRecSASRec"]
