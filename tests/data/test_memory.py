"""What data take: the peak of a process that begins a training, beside one that does so with next to no data."""

import subprocess
import sys

import numpy as np
import pytest

BEGIN = """
import resource, sys
from pathlib import Path
from tfadgm.config import Config
from tfadgm.resolve import resolve
from tfadgm.run import labeled_dataset
from tfadgm.training.trainer import Training
config = Config.for_dataset(sys.argv[1], hidden_units=(4,), latent_units=2, auxiliary_units=2, xla=False, epochs=1)
dataset = labeled_dataset(config)
training = Training(resolve(config, dataset), dataset.without_tests(), Path(sys.argv[2]))
training.begin(False)
training.steps = 2
training.fit(verbose=0)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak(path, folder) -> int:
    """Bytes."""
    command = [sys.executable, "-c", BEGIN, str(path), str(folder)]
    return 1024 * int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "darwin", reason="ru_maxrss has another unit there")
@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_the_peak_is_about_twice_the_arrays(tmp_path, kind):
    random = np.random.default_rng(0)
    sizes = {"small": 100, "large": 500_000 if kind == "uint8" else 125_000}
    for name, rows in sizes.items():
        x = random.integers(0, 256, [rows, 28, 28], np.uint8).astype(kind)
        np.savez(tmp_path / f"{name}.npz", x_labeled=x[:20], y_labeled=np.arange(20) % 10, x_unlabeled=x[20:])
    bytes_ = x.nbytes
    del x
    before = peak(tmp_path / "small.npz", tmp_path / "a")
    assert peak(tmp_path / "large.npz", tmp_path / "b") - before < 2.2 * bytes_
