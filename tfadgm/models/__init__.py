"""The models, one factorisation a file."""

from tfadgm.models.adgm import ADGM
from tfadgm.models.avae import AVAE
from tfadgm.models.density import DensityModel
from tfadgm.models.iwae import IWAE
from tfadgm.models.lvae import LVAE
from tfadgm.models.m2 import M2
from tfadgm.models.nf_vae import NFVAE
from tfadgm.models.sdgm import SDGM
from tfadgm.models.semi_supervised import SemiSupervisedModel
from tfadgm.models.vae import VAE

Model = DensityModel | SemiSupervisedModel


def named(name: str) -> type[Model]:
    """The class of a model by the name that configurations use: nf_vae is NFVAE."""
    return globals()[name.upper().replace("_", "")]


__all__ = ["ADGM", "AVAE", "IWAE", "LVAE", "M2", "NFVAE", "SDGM", "VAE", "DensityModel", "SemiSupervisedModel"]
