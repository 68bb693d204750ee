"""Text through embeddings: sentences of scikit-learn's own manual, to be filed under its modules.

pip install sentence-transformers
python -m examples.text
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tfadgm import DGMClassifier

MODULES = "cluster", "decomposition", "ensemble", "linear_model"
LABELS = 5  # of a module
MODEL = "sentence-transformers/all-MiniLM-L6-v2"


def sentences(most: int | None = None) -> tuple[list[str], np.ndarray]:
    """Sentences of eight words or more that one module's docstrings have and no other's, `most` of each; its module."""
    found: dict[str, set[str]] = {}
    for module in MODULES:
        own = importlib.import_module(f"sklearn.{module}")
        for name in own.__all__:
            prose = re.split(r"(?:References|Examples)\n---", inspect.getdoc(getattr(own, name)) or "")[0]
            for text in re.split(r"(?<=\.)\s+|\n\s*\n", prose):
                if len(text.split()) >= 8 and "---" not in text:
                    found.setdefault(" ".join(text.split()), set()).add(module)
    alone = sorted((*owners, text) for text, owners in found.items() if len(owners) == 1)
    some = [row for module in MODULES for row in [row for row in alone if row[0] == module][:most]]
    return [text for _, text in some], np.array([module for module, _ in some], object)


def transformer(texts: Sequence[str]) -> np.ndarray:
    """Sentence embeddings [N, 384]."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(MODEL).encode(list(texts))


def main(
    encode: Callable[[Sequence[str]], np.ndarray] = transformer,
    most: int | None = None,
    seed: int = 0,
    **options: Any,
) -> float:
    """Percent of the sentences without a label that are filed rightly, from LABELS of each module."""
    texts, modules = sentences(most)
    random, few = np.random.default_rng(seed), np.full(len(texts), None, object)
    for module in MODULES:
        few[random.choice(np.flatnonzero(modules == module), LABELS, replace=False)] = module
    classifier = DGMClassifier(**options).fit(encode(texts), few)
    unlabeled = np.array([label is None for label in few])
    right = 100 * float(np.mean(classifier.transduction_[unlabeled] == modules[unlabeled]))
    print(f"{right:.0f} % of {unlabeled.sum()} sentences filed rightly, from {LABELS * len(MODULES)} labels")
    return right


if __name__ == "__main__":
    sys.exit(main() < 40)
