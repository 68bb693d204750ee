"""log p(x) of test points by importance sampling: log mean_S p(x,z) / q(z|x) (Burda et al. 2016, eq. 8)."""

from __future__ import annotations

import math
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfadgm.errors import InputError
from tfadgm.files import digest, write_arrays
from tfadgm.inference.sampling import Sampler
from tfadgm.models import BaseModel, DensityModel
from tfadgm.nn.normalization import BatchNorm

BLOCK = 100  # examples at a time
MOST_ROWS = 5000  # samples of all examples of a block at a time; more do not go faster
COMPILING = 200  # MiB that XLA takes
TENSOR_MEMORY = 1024  # MiB for tensors where nobody sets a bound
TENSORS = 12  # of the widest layer's size that are alive at a time, at most
DRAWN = "training: drawn afresh every step; test: one seeded draw"


def log_likelihood(
    model: BaseModel,
    x: np.ndarray,
    samples: int,
    *,
    memory: int | None = None,
    seed: int = 0,
    path: Path | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, np.ndarray]:
    """Estimates for points x [N, *features], in nats: `log_p` [N] float64 and `effective_samples` [N].

    Args:
        samples: S, importance samples of a point.
        memory: MiB that the process may take, what it has taken included; None for no such bound.
        seed: of the samples. It, S and how many of them go at a time, as many as the memory allows, decide the numbers.
        path: an .npz file that keeps what is done; an estimate that was stopped goes on there, as many at a time.
        progress: called with the number of points done.

    Raises:
        InputError: if `path` holds another estimate, or cannot be written, or the memory is too little.
    """
    told: dict[str, Any] = {"samples": samples, "seed": seed}
    if path is not None:
        told |= {"points": digest(x), "weights": digest(*(weight.numpy() for weight in model.weights))}
    done, chunk = {"log_p": np.zeros(0), "effective_samples": np.zeros(0)}, 0
    if path is not None and path.exists():
        done, chunk = _read(path, told)
    if len(done["log_p"]) < len(x):
        chunk = _chunk(model, samples, memory, chunk)
    block = min(BLOCK, len(x))
    accumulate = model.traced(_accumulate, jit_compile=True, reduce_retracing=True)
    for first in range(len(done["log_p"]), len(x), block):
        rows = x[first : first + block]
        padded = tf.constant(np.concatenate([rows, np.repeat(rows[:1], block - len(rows), 0)]))
        total = square = tf.fill([block], -np.inf)
        for number in range(-(-samples // chunk)):
            key = tf.random.fold_in(tf.constant([seed, first]), number)
            kept = tf.constant(min(chunk, samples - number * chunk))
            total, square = accumulate(model, padded, key, total, square, chunk, kept)
        log_sum, log_squares = (part.numpy()[: len(rows)].astype(np.float64) for part in (total, square))
        done["log_p"] = np.append(done["log_p"], log_sum - np.log(samples))
        done["effective_samples"] = np.append(done["effective_samples"], np.exp(2 * log_sum - log_squares))
        if path is not None:
            write_arrays(path, **done, **told, chunk=chunk)
        progress(len(done["log_p"]))
    return done


def _accumulate(
    model: BaseModel, x: tf.Tensor, seed: tf.Tensor, total: tf.Tensor, square: tf.Tensor, chunk: int, kept: Any
) -> tuple[tf.Tensor, tf.Tensor]:
    """log sum w and log sum w^2 [B] with `kept` of `chunk` more samples."""
    weights = model.log_weights(model.scaling(x), Sampler(seed, chunk))  # [chunk, B]
    weights = tf.where(tf.range(chunk)[:, None] < kept, weights, -np.inf)
    total = tf.reduce_logsumexp(tf.concat([weights, total[None]], 0), 0)
    return total, tf.reduce_logsumexp(tf.concat([2 * weights, square[None]], 0), 0)


def _chunk(model: BaseModel, samples: int, memory: int | None, begun: int) -> int:
    """Samples of a block at a time, so that the process stays within `memory` MiB; `begun`, unless it is 0."""
    of_a_row = 4 * TENSORS * max(weight.shape[-1] for weight in model.trainable_variables) / 2**20
    taken = _taken() + COMPILING
    rows = int((TENSOR_MEMORY if memory is None else memory - taken) / of_a_row)
    least = BLOCK * max(1, begun)
    if rows < least and memory is not None:
        raise InputError(
            f"Expected a memory of at least {math.ceil(taken + least * of_a_row)} MiB for this model and its data"
            f"{', as the estimate was begun' * bool(begun)}. Received: {memory}"
        )
    return begun or max(1, min(samples, min(rows, MOST_ROWS) // BLOCK))


def _taken() -> int:
    """MiB that the process has taken at most."""
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 2**20
    # getrusage would tell of the process that started this one, too.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 2**10


def _read(path: Path, told: dict[str, Any]) -> tuple[dict[str, np.ndarray], int]:
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
        other = [name for name, value in told.items() if found[name] != value]
    except Exception as error:  # NumPy and zipfile raise many kinds for a file that is damaged
        raise InputError(f"Expected an estimate to go on with in {path}. Received: {error}: delete it") from error
    if other:
        raise InputError(
            f"Expected {path} to be of the same estimate. Received one that differs in {', '.join(other)}: ask for "
            "the same, or delete it"
        )
    return {name: found[name] for name in ("log_p", "effective_samples")}, int(found["chunk"])


def summary(found: dict[str, np.ndarray]) -> dict[str, float]:
    """The mean of log p(x) over points, its standard error, and the median of effective samples."""
    log_p = found["log_p"]
    return {
        "log_likelihood": float(log_p.mean()),
        "standard_error": float(log_p.std(ddof=1) / len(log_p) ** 0.5) if len(log_p) > 1 else 0.0,
        "median_effective_samples": float(np.median(found["effective_samples"])),
    }


def prepare_inputs(model: BaseModel, x: np.ndarray) -> np.ndarray:
    """Test points as the likelihood takes them, in the units of the data, by one seeded draw.

    Intensities of a model that binarises become 0 or the largest, or the mean of its `total_count` draws; integers of
    one that dequantises are spread over their unit.
    """
    if not (model.binarize or model.dequantize):
        return x
    random = np.random.default_rng(0)
    if model.dequantize:
        return x + (random.random(x.shape, np.float32) - 0.5)
    scale = model.scaling.scale.numpy().reshape(x.shape[1:])
    counts = sum((random.random(x.shape, np.float32) < x / scale).astype(np.float32) for _ in range(model.total_count))
    return counts * (scale / model.total_count)


def preparation(model: BaseModel) -> dict[str, Any]:
    """What an estimate is of, to be told beside it.

    Of intensities that a Bernoulli likelihood takes as they are, it is a score and no density of them.
    """
    of = "binary draws" if model.binarize else "intensities"
    return {
        "likelihood": model.likelihood,
        "draws": model.total_count if model.likelihood == "bernoulli" else None,
        "binarization": DRAWN if model.binarize else None,
        "dequantization": DRAWN if model.dequantize else None,
        "nats_of": "scaled features" if model.likelihood == "gaussian" else of,
    }


def refit_statistics(model: DensityModel, x: np.ndarray, batch: int = 256) -> None:
    """Sets the averages of batch normalization to those of one pass over x (Sønderby et al. 2016, section 3)."""
    norms = [layer for layer in model._flatten_layers() if isinstance(layer, BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    order = np.random.default_rng(0).permutation(len(x))
    batches = [order[first : first + batch] for first in range(0, max(1, len(x) - batch + 1), batch)]
    for number, rows in enumerate(batches):
        for norm in norms:
            norm.momentum = number / (number + 1)
        seed = tf.constant([model.seed, number])
        model.log_weights(model.prepare_inputs(tf.constant(x[rows]), seed), Sampler(seed, 1, bn_mode="update"))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
