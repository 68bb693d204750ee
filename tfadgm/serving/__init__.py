"""A trained classifier as a SavedModel that TF Serving takes as it is."""

from tfadgm.serving.archive import export
from tfadgm.serving.verification import verify

__all__ = ["export", "verify"]
