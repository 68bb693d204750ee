"""The models, one factorisation a file. A new one is a file here and its name in MODELS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfadgm.hyperparameters import Hyperparameter, arguments, declared
from tfadgm.inference.regularizers import regularizer_hyperparameters, regularizers_of
from tfadgm.models.adgm import ADGM
from tfadgm.models.avae import AVAE
from tfadgm.models.base import BaseModel
from tfadgm.models.classifier import Classifier
from tfadgm.models.deep_generative import DeepGenerativeClassifier
from tfadgm.models.density import DensityModel
from tfadgm.models.discriminative import Discriminative
from tfadgm.models.iwae import IWAE
from tfadgm.models.lvae import LVAE
from tfadgm.models.m2 import M2
from tfadgm.models.nf_vae import NFVAE
from tfadgm.models.sdgm import SDGM
from tfadgm.models.vae import VAE

MODELS: dict[str, type[BaseModel]] = {
    "adgm": ADGM, "sdgm": SDGM, "m2": M2, "discriminative": Discriminative,
    "vae": VAE, "iwae": IWAE, "avae": AVAE, "nf_vae": NFVAE, "lvae": LVAE,
}  # fmt: skip


def hyperparameters(name: str) -> dict[str, Hyperparameter]:
    """What the model called `name` lets a user choose: its own arguments and, of a classifier, the regularizers'."""
    own = declared(MODELS[name])
    return own | (regularizer_hyperparameters() if "regularizers" in arguments(MODELS[name]) else {})


def make(name: str, feature_shape: Sequence[int], choices: dict[str, Any], **arguments: Any) -> BaseModel:
    """The model called `name` with its hyperparameters `choices` and what does not belong to them."""
    if issubclass(MODELS[name], Classifier):
        arguments["regularizers"], choices = regularizers_of(choices)
    return MODELS[name](feature_shape, **choices, **arguments)


__all__ = [
    "ADGM", "AVAE", "IWAE", "LVAE", "M2", "MODELS", "NFVAE", "SDGM", "VAE", "BaseModel", "Classifier",
    "DeepGenerativeClassifier", "DensityModel", "Discriminative", "hyperparameters", "make",
]  # fmt: skip
