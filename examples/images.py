"""A folder of image files: scans of digits, thirty of them in folders of their class, the rest in `unlabeled`.

python -m examples.images
"""

from __future__ import annotations

import csv
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

from tfadgm import Config
from tfadgm.pipeline import run
from tfadgm.predict import predict

EACH, NEW = 3, 200  # labels of a class; images that come later


def write_images(folder: Path, points: int) -> dict[str, int]:
    """Writes `points` scans as PNG files, the last NEW of them into `new`; the digit of each file there."""
    x, y = load_digits(return_X_y=True)
    left, digits = dict.fromkeys(range(10), EACH), {}
    for number, (image, digit) in enumerate(zip(x[:points], y[:points], strict=True)):
        part, name = f"scans/{digit}" if left[digit] else "scans/unlabeled", f"{number:04}.png"
        left[digit] -= bool(left[digit])
        if number >= points - NEW:
            part, digits[name] = "new", int(digit)
        path = folder / part / name
        path.parent.mkdir(parents=True, exist_ok=True)
        levels = np.rint(image.reshape(8, 8, 1) * 255 / 16).astype(np.uint8)
        path.write_bytes(tf.io.encode_png(levels).numpy())
    return digits


def main(points: int = 1797, **options: Any) -> float:
    """Percent of the new images that are named rightly."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        digits = write_images(folder, points)
        run(Config.for_dataset(f"{folder}/scans/", **options), folder / "run")
        predict(folder / "run", folder / "new", folder / "labels.csv")
        with (folder / "labels.csv").open(newline="") as stream:
            rows = list(csv.DictReader(stream))
    right = 100 * float(np.mean([int(row["label"]) == digits[row["id"]] for row in rows]))
    print(f"{right:.0f} % of {len(rows)} new images named rightly, from {10 * EACH} labels")
    return right


if __name__ == "__main__":
    sys.exit(main() < 50)
