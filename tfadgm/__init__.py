"""Classifiers from a few labels, and densities from none, by auxiliary deep generative models (Maaløe et al. 2016)."""

import tfadgm.quiet  # noqa: F401  # isort: skip  # before TensorFlow
from typing import Any

from tfadgm.config import Config
from tfadgm.models import ADGM, AVAE, IWAE, LVAE, M2, NFVAE, SDGM, VAE, Discriminative
from tfadgm.version import VERSION

__all__ = ["ADGM", "AVAE", "IWAE", "LVAE", "M2", "NFVAE", "SDGM", "VAE", "Config", "DGMClassifier", "Discriminative"]
__version__ = VERSION


def __getattr__(name: str) -> Any:
    """The estimator, when it is asked for: it needs all of scikit-learn."""
    if name == "DGMClassifier":
        from tfadgm.estimator import DGMClassifier

        return DGMClassifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
