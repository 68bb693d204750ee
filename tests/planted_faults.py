"""Whether the tests catch what they are there to catch: faults planted one at a time, which must each fail.

    python -m tests.planted_faults                 in a copy of the commit that is checked out
    python -m tests.planted_faults --commit OLD    in a copy of a commit of version 0.1

For each fault one text of one file is replaced, and the default tests of the places named beside it are run: a part of
`make test`, so that what fails there fails here. Where a commit has no such text, the fault is not there to be planted.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.golden import check_out
from tfadgm.provenance import ROOT


class Fault(NamedTuple):
    """`old` and `new` are file, text, text in its place, and tests: of version 0.1, and of today."""

    name: str
    old: tuple[str, str, str, str] | None
    new: tuple[str, str, str, str]


FAULTS = [
    Fault(
        "sign of a KL divergence",
        ("tfadgm/bounds.py", "(log_p_a - divergence_from_prior(q_z, z))", "(log_p_a + divergence_from_prior(q_z, z))",
         "tests/test_bounds.py"),
        ("tfadgm/inference/elbo.py", "(log_p_a - kl_z)", "(log_p_a + kl_z)", "tests/inference/test_elbo.py"),
    ),
    Fault(
        "mean of importance weights without its count",
        ("tfadgm/bounds.py", " - math.log(importance_samples), 0)", ", 0)", "tests/models/test_density.py"),
        ("tfadgm/inference/elbo.py", " - math.log(importance_samples), 0)", ", 0)", "tests/models/test_density.py"),
    ),
    Fault(
        "sign of a score-function gradient",
        ("tfadgm/marginalization.py", "(bound_drawn - bound_top)", "(bound_top - bound_drawn)",
         "tests/test_marginalization.py"),
        ("tfadgm/inference/marginalization.py", "(elbo_drawn - elbo_top)", "(elbo_top - elbo_drawn)",
         "tests/inference/test_marginalization.py"),
    ),
    Fault(
        "entropy of q(y|x) left out",
        ("tfadgm/marginalization.py", "(bounds - log_q), -1)", "bounds, -1)", "tests/test_marginalization.py"),
        ("tfadgm/inference/marginalization.py", "(elbos - log_q), -1)", "elbos, -1)",
         "tests/inference/test_marginalization.py"),
    ),
    Fault(
        "one seed for a and z",
        ("tfadgm/sweep.py", "units[1]], seeds[1]", "units[1]], seeds[0]", "tests/models/test_models.py"),
        ("tfadgm/inference/sampling.py", "zip(units.items(), own, strict=True)", "zip(units.items(), own[:1] * 9)",
         "tests/inference/test_sampling.py tests/models/test_models.py"),
    ),
    Fault(
        "labels that were not chosen are seen",
        ("tfadgm/data/split.py", "return np.sort(np.concatenate(chosen))", "return np.flatnonzero(y != UNKNOWN)",
         "tests/data"),
        ("tfadgm/data/labels.py", "y = np.full_like(dataset.y, UNLABELED)", "y = dataset.y.copy()", "tests/data"),
    ),
    Fault(
        "labels of other points",
        ("tfadgm/data/streams.py", "tf.gather(y_labeled, labeled)", "tf.gather(y_labeled, labeled[::-1])",
         "tests/data"),
        ("tfadgm/data/streams.py", "_rows(y_labeled, labeled, labeled_batch)",
         "_rows(y_labeled, labeled[::-1], labeled_batch)", "tests/data/test_streams.py"),
    ),
    Fault(
        "every pass in the same order",
        ("tfadgm/data/streams.py", "tf.cast(number, tf.int32))", "tf.cast(0 * number, tf.int32))", "tests/data"),
        ("tfadgm/data/streams.py", "tf.cast(number, tf.int32))", "tf.cast(0 * number, tf.int32))", "tests/data"),
    ),
    Fault(
        "class names in another order than their labels",
        ("tfadgm/data/npz.py", "return order[np.searchsorted(values, y, sorter=order)]",
         "return np.searchsorted(values, y, sorter=order)", "tests/data"),
        ("tfadgm/data/classes.py", "self.codes[value] for value in values]",
         "-1 - self.codes[value] + len(self.codes) for value in values]", "tests/data/test_classes.py"),
    ),
    Fault(
        "the labeled stream enters the running averages",
        ("tfadgm/models/semi_supervised.py", 'tf.shape(x_labeled)[0], "batch")', 'tf.shape(x_labeled)[0], "update")',
         "tests/models/test_models.py"),
        ("tfadgm/models/deep_generative.py", '= ("batch", "update")', '= ("update", "update")',
         "tests/models/test_models.py"),
    ),
    Fault(
        "variance in place of a standard deviation",
        ("tfadgm/networks.py", "scale = np.sqrt(variance + dequantize / 12)", "scale = variance + dequantize / 12",
         "tests/test_networks.py"),
        ("tfadgm/nn/preprocessing.py", "deviation = np.sqrt(variance + dequantize / 12)",
         "deviation = variance + dequantize / 12", "tests/nn/test_preprocessing.py"),
    ),
    Fault(
        "levels spread to one side",
        ("tfadgm/models/base.py", "seed, -0.5, 0.5, alg", "seed, 0.0, 1.0, alg", "tests/test_level_images.py"),
        ("tfadgm/models/base.py", "seed, -0.5, 0.5, alg", "seed, 0.0, 1.0, alg", "tests/data/test_tfds.py"),
    ),
    Fault(
        "gradient of the weight prior with the wrong sign",
        ("tfadgm/bounds.py", "[-upstream * weight for", "[upstream * weight for", "tests/test_bounds.py"),
        ("tfadgm/inference/elbo.py", "[-upstream * weight for", "[upstream * weight for", "tests/inference"),
    ),
    Fault(
        "the target of the virtual adversarial term takes a gradient",
        ("tfadgm/regularisers.py", "log_q = tf.stop_gradient(tf.nn.log_softmax(logits))",
         "log_q = tf.nn.log_softmax(logits)", "tests/test_regularisers.py"),
        ("tfadgm/inference/regularizers.py", "log_q = tf.stop_gradient(tf.nn.log_softmax(logits))",
         "log_q = tf.nn.log_softmax(logits)", "tests/inference"),
    ),
    Fault(
        "determinant of a planar map without its slope",
        ("tfadgm/models/nf_vae.py", "(1 - saturated) * self.slope", "(1 - saturated)", "tests/models"),
        ("tfadgm/models/nf_vae.py", "(1 - saturated) * self.slope", "(1 - saturated)", "tests/models/test_nf_vae.py"),
    ),
    Fault(
        "p(a|x,z) with the wrong sign",
        ("tfadgm/models/avae.py", "cost -= p_a.log_prob", "cost += p_a.log_prob", "tests/models/test_density.py"),
        ("tfadgm/models/avae.py", "cost -= p_a.log_prob", "cost += p_a.log_prob", "tests/models/test_density.py"),
    ),
    Fault(
        "x not seen by q(z|a,x,y)",
        ("tfadgm/models/sdgm.py", "self.q_z_axy.distribution(a, x, y,", "self.q_z_axy.distribution(a, 0 * x, y,",
         "tests/models/test_models.py"),
        ("tfadgm/models/sdgm.py", "self.q_z_axy.distribution(a, x, y,", "self.q_z_axy.distribution(a, 0 * x, y,",
         "tests/models/test_models.py"),
    ),
    Fault(
        "a resumed run begins its stream anew",
        ("tfadgm/training.py", "first_step=progress.epoch * steps", "first_step=0", "tests/test_training.py"),
        ("tfadgm/training/trainer.py", "_stream(config, dataset, self.progress.epoch * self.steps)",
         "_stream(config, dataset, 0)", "tests/training"),
    ),
    Fault(
        "checkpoints without the optimizer",
        ("tfadgm/checkpoint.py", "enumerate([*model.weights, *model.optimizer.variables])", "enumerate(model.weights)",
         "tests/test_training.py"),
        ("tfadgm/training/checkpoint.py", "enumerate([*model.weights, *model.optimizer.variables])",
         "enumerate(model.weights)", "tests/training"),
    ),
    Fault(
        "a run is not named by its labels",
        ("tfadgm/training.py", "for array in (dataset.x, dataset.y[label_indices], label_indices)",
         "for array in (dataset.x,)", "tests/test_training.py tests/test_train_script.py"),
        ("tfadgm/training/build.py", "digest(dataset.x, dataset.y[labels], labels, after=text)",
         "digest(dataset.x, after=text)", "tests/training"),
    ),
    Fault(
        "averaged weights are not swapped back",
        ("tfadgm/training.py", "            variable.assign(weight)\n\n\ndef write_history",
         "            pass\n\n\ndef write_history", "tests/test_training.py"),
        ("tfadgm/training/callbacks.py", "        model.traced(swap)()\n\n\ndef write_history",
         "        pass\n\n\ndef write_history", "tests/training"),
    ),
    Fault(
        "a lost fsync",
        None,
        ("tfadgm/files.py", "        sync(partial)\n        partial.replace(path)", "        partial.replace(path)",
         "tests/test_files.py"),
    ),
    Fault(
        "a file written in place",
        ("tfadgm/training.py", "partial.write_text(text)\n        partial.replace(path)", "path.write_text(text)",
         "tests/test_training.py tests/tuner/test_oracles.py"),
        ("tfadgm/files.py", "    with writing(path):\n        write(partial)\n        sync(partial)\n"
         "        partial.replace(path)\n", "    with writing(path):\n        write(path)\n", "tests/test_files.py"),
    ),
    Fault(
        "no lock on a run folder",
        None,
        ("tfadgm/run.py", 'with locked(self.folder, "a run"):', "with contextlib.nullcontext():",
         "tests/test_run.py"),
    ),
    Fault(
        "a resume that is refused has changed config.json",
        None,
        ("tfadgm/pipeline.py", "        training.begin(resume, values)\n", "        folder.begin(config)\n"
         "        training.begin(resume, values)\n", "tests/test_run.py"),
    ),
    Fault(
        "calibration error that cancels out",
        ("tfadgm/evaluation.py", "np.abs(np.bincount(index, gap, bins)).sum()", "np.bincount(index, gap, bins).sum()",
         "tests/test_evaluation.py"),
        ("tfadgm/evaluation/metrics.py", "np.abs(np.bincount(index, gap, bins)).sum()",
         "np.bincount(index, gap, bins).sum()", "tests/evaluation/test_metrics.py"),
    ),
    Fault(
        "a baseline that trains with the run's falling step size",
        None,
        ("tfadgm/training/supervised.py", "ema_momentum=0.0, decay=0.0", "ema_momentum=0.0",
         "tests/evaluation/test_baselines.py"),
    ),
    Fault(
        "a served probability heated where it should be cooled",
        ("tfadgm/serving/signatures.py", "1e-30)) / self.temperature", "1e-30)) * self.temperature",
         "tests/serving/test_signatures.py"),
        ("tfadgm/serving/servable.py", "1e-30)) / self.temperature", "1e-30)) * self.temperature",
         "tests/serving/test_signatures.py"),
    ),
    Fault(
        "folds that judge by what they trained on",
        ("tuner/objectives.py", "every[fold == number]", "every[fold != number]", "tests/tuner/test_objectives.py"),
        ("tfadgm/data/labels.py", "    y[rows] = UNLABELED\n", "", "tests/tuner/test_objectives.py"),
    ),
    Fault(
        "bad input ends with status 1",
        ("tfadgm/cli.py", "return 2 if isinstance", "return 1 if isinstance", "tests/test_train_script.py"),
        ("tfadgm/cli.py", "return 2 if isinstance", "return 1 if isinstance", "tests/test_train_script.py"),
    ),
    Fault(
        "a missing cell counts in the likelihood",
        None,
        ("tfadgm/nn/conditionals.py", "(1 - missing_numbers) * self.gaussian", "self.gaussian",
         "tests/nn/test_tables.py"),
    ),
    Fault(
        "one glitch decides the scale of its column",
        None,
        ("tfadgm/nn/preprocessing.py", "rest = values[np.abs(values - mean) <= REACH * deviation]", "rest = values",
         "tests/nn/test_preprocessing.py"),
    ),
    Fault(
        "features of another shape are taken",
        None,
        ("tfadgm/nn/preprocessing.py", "if not x.shape[1:].is_compatible_with(self.feature_shape):", "if False:",
         "tests/nn/test_preprocessing.py"),
    ),
    Fault(
        "p(y) left out of the bound",
        None,
        ("tfadgm/models/classifier.py", "tf.reduce_sum(y * tf.math.log(shares), -1)", "0.0",
         "tests/models/test_class_prior.py"),
    ),
    Fault(
        "labels out for the rows that had one",
        None,
        ("tfadgm/evaluation/predictions.py", "np.flatnonzero(dataset.y == UNLABELED)",
         "np.flatnonzero(dataset.y != UNLABELED)", "tests/test_predict.py"),
    ),
    Fault(
        "a list of images leads out of its folder",
        None,
        ("tfadgm/data/images.py", "if outside is not None:", "if False:", "tests/data/test_images.py"),
    ),
    Fault(
        "a pool judged by labels that chose its weights",
        None,
        ("tfadgm/evaluation/pool.py", "each[~own] for name, each in probabilities.items()}, y[~own]",
         "each for name, each in probabilities.items()}, y", "tests/evaluation/test_pool.py"),
    ),
    Fault(
        "answers accepted that are less sure than the threshold",
        None,
        ("tfadgm/serving/servable.py", "tf.reduce_max(probabilities, -1) >= self.threshold",
         "tf.reduce_max(probabilities, -1) < self.threshold", "tests/serving/test_signatures.py"),
    ),
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commit", default="HEAD")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = check_out(flags.commit, Path(name) / "copy")
        old = not (folder / "tfadgm" / "hyperparameters.py").exists()
        print("| fault | caught | seconds |\n|---|---|---|", flush=True)
        missed = 0
        for fault in FAULTS:
            planted = fault.old if old else fault.new
            if planted is None:
                print(f"| {fault.name} | not there: no such guard | |", flush=True)
                continue
            started = time.perf_counter()
            caught = plant(folder, *planted)
            missed += not caught
            seconds = time.perf_counter() - started
            print(f"| {fault.name} | {'yes' if caught else '**no**'} | {seconds:.0f} |", flush=True)
    sys.exit(missed)


def plant(folder: Path, file: str, text: str, fault: str, tests: str) -> bool:
    """Whether the tests fail with the fault."""
    path = folder / file
    whole = path.read_text()
    if whole.count(text) != 1:
        sys.exit(f"tests.planted_faults: Expected {text!r} once in {file}. Received: {whole.count(text)} times")
    path.write_text(whole.replace(text, fault))
    command = [sys.executable, "-m", "pytest", "-x", "-n", "0", "-p", "no:cacheprovider", *tests.split()]
    try:
        status = subprocess.run(command, cwd=folder, capture_output=True).returncode
    finally:
        path.write_text(whole)
    if status not in (0, 1):
        sys.exit(f"tests.planted_faults: the tests of {file} could not be run (status {status})")
    return status == 1


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
