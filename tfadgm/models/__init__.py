"""The models, one factorisation a file."""

from tfadgm.models.adgm import ADGM
from tfadgm.models.base import SemiSupervisedModel
from tfadgm.models.m2 import M2
from tfadgm.models.sdgm import SDGM

__all__ = ["ADGM", "M2", "SDGM", "SemiSupervisedModel"]
