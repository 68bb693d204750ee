"""The models, one factorisation a file."""

from tfadgm.models.adgm import ADGM
from tfadgm.models.m2 import M2
from tfadgm.models.sdgm import SDGM
from tfadgm.models.semi_supervised import SemiSupervisedModel

__all__ = ["ADGM", "M2", "SDGM", "SemiSupervisedModel"]
