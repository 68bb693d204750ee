"""A table with missing cells and categories: scikit-learn's wines, of which nine have a label.

python -m examples.table
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import load_wine

from tfadgm import DGMClassifier


def wines(seed: int = 0) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """The wines with a column of words and with gaps; labels of which all but three of each class are None, and all."""
    frame, y = load_wine(return_X_y=True, as_frame=True)
    random = np.random.default_rng(seed)
    frame["colour"] = pd.cut(frame.pop("color_intensity"), [0, 4, 6, 20], labels=["pale", "red", "deep"]).astype(object)
    for column in ("ash", "magnesium", "colour"):
        frame.loc[random.random(len(frame)) < 0.15, column] = None
    names = np.array(["Barolo", "Grignolino", "Barbera"], object)[y]
    few = np.full(len(y), None, object)
    for index in range(3):
        rows = random.choice(np.flatnonzero(y == index), 3, replace=False)
        few[rows] = names[rows]
    return frame, few, names


def main(**options: Any) -> float:
    """Percent of the wines without a label that are named rightly."""
    frame, few, names = wines()
    classifier = DGMClassifier(columns={"colour": "categorical"}, **options).fit(frame, few)
    unlabeled = np.array([label is None for label in few])
    right = 100 * float(np.mean(classifier.transduction_[unlabeled] == names[unlabeled]))
    print(frame.head())
    print(f"{right:.0f} % of {unlabeled.sum()} wines named rightly, from 9 labels")
    return right


if __name__ == "__main__":
    sys.exit(main() < 50)
