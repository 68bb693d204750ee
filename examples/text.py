"""Text through embeddings: sentences of scikit-learn's own manual, to be filed under its modules.

python examples/text.py            as principal directions of their words
pip install sentence-transformers
python examples/text.py --bert     as embeddings of a small transformer
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import TfidfVectorizer

from tfadgm import DGMClassifier

MODULES = "cluster", "decomposition", "ensemble", "linear_model"
EACH = 5  # labels of a class
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
TOPICS = 100  # of the encoder that needs nothing to be installed
Encoder = Callable[[Sequence[str]], np.ndarray]


def sentences(modules: Sequence[str] = MODULES) -> tuple[list[str], np.ndarray]:
    """Every sentence of eight words or more that one module's docstrings have and no other's; its module."""
    found: dict[str, set[str]] = {}
    for module in modules:
        own = importlib.import_module(f"sklearn.{module}")
        for name in own.__all__:
            prose = (inspect.getdoc(getattr(own, name)) or "").split("Examples\n---")[0]
            for text in re.split(r"(?<=\.)\s+|\n\s*\n", prose):
                if len(text.split()) >= 8 and "---" not in text:
                    found.setdefault(" ".join(text.split()), set()).add(module)
    alone = sorted((min(owners), text) for text, owners in found.items() if len(owners) == 1)
    return [text for _, text in alone], np.array([owner for owner, _ in alone], object)


def transformer(texts: Sequence[str]) -> np.ndarray:
    """Sentence embeddings [N, 384]."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(MODEL).encode(list(texts))


def topics(texts: Sequence[str]) -> np.ndarray:
    """The sentences in principal directions of their weighted words, [N, TOPICS]; a simpler encoder."""
    weighted = TfidfVectorizer(stop_words="english", sublinear_tf=True).fit_transform(texts)
    return PCA(TOPICS, svd_solver="arpack", random_state=0).fit_transform(weighted)


def main(encode: Encoder = topics, seed: int = 0, **options: Any) -> float:
    """Percent of the sentences without a label that are filed rightly."""
    texts, modules = sentences()
    random = np.random.default_rng(seed)
    few = np.full(len(texts), None, object)
    for module in MODULES:
        rows = random.choice(np.flatnonzero(modules == module), EACH, replace=False)
        few[rows] = module
    classifier = DGMClassifier(**options).fit(encode(texts), few)
    unlabeled = np.array([label is None for label in few])
    right = 100 * float(np.mean(classifier.transduction_[unlabeled] == modules[unlabeled]))
    print(f"{right:.0f} % of {unlabeled.sum()} sentences filed rightly, from {EACH * len(MODULES)} labels")
    return right


if __name__ == "__main__":
    sys.exit(main(transformer if "--bert" in sys.argv else topics) < 50)
