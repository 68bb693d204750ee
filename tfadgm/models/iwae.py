"""The importance-weighted auto-encoder (Burda et al. 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from tfadgm.models.vae import VAE


@keras.saving.register_keras_serializable("tfadgm")
class IWAE(VAE):
    """Importance-weighted auto-encoder: the VAE trained by log mean_K p(x,z) / q(z|x).

    Arguments as in `DensityModel`.

    Examples:
        >>> model = IWAE((4,), hidden_units=(8,), latent_units=2)
        >>> model.log_likelihood_bound(np.zeros([5, 4], np.float32)).shape
        (5,)
    """

    def __init__(self, feature_shape: Sequence[int], *, importance_samples: int = 50, **options: Any) -> None:
        super().__init__(feature_shape, importance_samples=importance_samples, **options)
