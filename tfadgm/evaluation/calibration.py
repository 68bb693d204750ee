"""Probabilities that can be trusted, without a label more than training had.

The labels that trained a classifier cannot judge its confidence: it has memorised them. The model's own examples can,
for their classes are known: one temperature is fitted on examples drawn from p(x|y). They are cleaner than data, so
they can show that a classifier is too sure, but not that it is too modest; a temperature below 1 is not taken.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfadgm.evaluation.metrics import classification_report
from tfadgm.models import Classifier, DeepGenerativeClassifier

POINTS = 4000
BATCH = 500
HOTTEST = 20.0


def temper(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """softmax(log p / T) of probabilities [N, C] (Guo et al. 2017, eq. 9); at T = 1 they stay as they are."""
    if temperature == 1:
        return probabilities
    logits = np.log(np.maximum(probabilities.astype(np.float64), 1e-30)) / temperature
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def best_temperature(probabilities: np.ndarray, y: np.ndarray) -> float:
    """The temperature from 1 to 20 of the least mean negative log-likelihood of classes y [N]."""
    from scipy.optimize import minimize_scalar

    def nll(log_temperature: float) -> float:
        likelihood = temper(probabilities, np.exp(log_temperature))[np.arange(len(y)), y]
        return float(-np.log(np.maximum(likelihood, 1e-30)).mean())

    fitted = minimize_scalar(nll, bounds=(0, np.log(HOTTEST)), method="bounded", options={"xatol": 1e-4})
    return float(np.exp(fitted.x)) if nll(fitted.x) < nll(0.0) else 1.0


def calibrate(model: Classifier, points: int = POINTS) -> dict[str, Any]:
    """The `temperature` for `model`'s probabilities, from its own examples of every class. Deterministic.

    `points` of them; their mean negative log-likelihood (`nll`) and calibration error (`ece`) before and after. A model
    that draws no examples keeps the temperature 1.
    """
    if not isinstance(model, DeepGenerativeClassifier):
        return {"temperature": 1.0, "left_out": "the model draws no examples to fit a temperature on"}
    y = np.arange(points) % model.classes
    predict = tf.function(model.call, autograph=False, reduce_retracing=True)
    batches = range(0, points, BATCH)
    probabilities = np.concatenate(
        [predict(model.generate(y[start : start + BATCH], (0, start))).numpy() for start in batches]
    )
    temperature = best_temperature(probabilities, y)
    told: dict[str, Any] = {"temperature": temperature, "points": points}
    for when, found in (("before", probabilities), ("after", temper(probabilities, temperature))):
        scores = classification_report(found, y)
        told |= {f"nll_{when}": scores["nll"], f"ece_{when}": scores["ece"]}
    return told
