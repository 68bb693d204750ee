"""Single-cell counts: normalised, logarithms taken, principal components, then labels for all cells from a few.

python -m examples.cells                  drawn counts of five kinds of cells
python -m examples.cells counts.npz       your own: x, counts [cells, genes], and y, a name for some, "" for the rest
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from tfadgm import DGMClassifier

KINDS, GENES, EACH = 5, 400, 5  # labels of a kind


def draw_counts(cells: int = 1500, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Negative binomial counts of cells whose depths differ; each kind has genes of its own. Counts and kinds."""
    random = np.random.default_rng(seed)
    kinds = random.integers(0, KINDS, cells)
    levels = random.gamma(0.3, 1.0, [1, GENES]) * np.exp(random.normal(size=[KINDS, GENES]))
    rates = levels[kinds] * random.lognormal(0, 0.5, [cells, 1])
    return random.poisson(rates * random.gamma(2.0, 0.5, rates.shape)), kinds


def normalise(counts: np.ndarray) -> np.ndarray:
    """log(1 + counts per ten thousand) of every cell."""
    return np.log1p(1e4 * counts / np.maximum(counts.sum(1, keepdims=True), 1))


def label(counts: np.ndarray, few: np.ndarray, **options: Any) -> np.ndarray:
    """The kind of every cell from those of a `few`, where None or "" is none."""
    components = PCA(min(50, *counts.shape), random_state=0)
    model = make_pipeline(FunctionTransformer(normalise), components, DGMClassifier(**options))
    return model.fit(counts, few)[-1].transduction_


def main(counts: np.ndarray, kinds: np.ndarray, seed: int = 0, **options: Any) -> float:
    """Percent of the cells without a label that are named rightly, from EACH labels of a kind."""
    random, few = np.random.default_rng(seed), np.full(len(kinds), None, object)
    for kind in np.unique(kinds):
        rows = random.choice(np.flatnonzero(kinds == kind), EACH, replace=False)
        few[rows] = str(kind)
    found = label(counts, few, **options)
    unlabeled = np.array([name is None for name in few])
    right = 100 * float(np.mean(found[unlabeled] == kinds[unlabeled].astype(str)))
    print(f"{right:.0f} % of {unlabeled.sum()} cells named rightly, from {len(few) - unlabeled.sum()} labels")
    return right


if __name__ == "__main__":
    if len(sys.argv) > 1:
        with np.load(sys.argv[1], allow_pickle=False) as file:
            names, sizes = np.unique(label(file["x"], file["y"].astype(object)), return_counts=True)
        print(*(f"{name}: {size} cells" for name, size in zip(names, sizes, strict=True)), sep="\n")
    else:
        sys.exit(main(*draw_counts()) < 50)
