"""Semi-supervised classification with auxiliary deep generative models (Maaløe et al. 2016)."""

import tfadgm.quiet  # noqa: F401  # isort: skip  # before TensorFlow
from tfadgm.config import Config
from tfadgm.models import ADGM, M2, SDGM

__all__ = ["ADGM", "M2", "SDGM", "Config"]
__version__ = "0.1.0"
