"""Classifiers from a few labels, and densities from none, by auxiliary deep generative models (Maaløe et al. 2016)."""

import tfadgm.quiet  # noqa: F401  # isort: skip  # before TensorFlow
from tfadgm.config import Config
from tfadgm.models import ADGM, AVAE, IWAE, LVAE, M2, NFVAE, SDGM, VAE
from tfadgm.version import VERSION

__all__ = ["ADGM", "AVAE", "IWAE", "LVAE", "M2", "NFVAE", "SDGM", "VAE", "Config"]
__version__ = VERSION
