"""Which answers to accept: those whose probability reaches a threshold, by labels that no method had seen.

The more answers are left to a person, the fewer of the rest are wrong (El-Yaniv and Wiener 2010).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tfadgm.config import Config
from tfadgm.evaluation.intervals import LEVEL, error_interval

NONE = 2.0  # a threshold that no probability reaches


def risk_coverage(probability: np.ndarray, wrong: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """For each threshold: that, the share of answers that reach it, and the share of these that are wrong; [T, 3].

    Args:
        probability: of the answer to each label, [L].
        wrong: whether it is wrong, [L].
        weight: how many points it stands for, [L].

    Examples:
        >>> risk_coverage(np.array([0.9, 0.6, 0.8]), np.array([False, True, False]), np.ones(3)).round(2).tolist()
        [[0.9, 0.33, 0.0], [0.8, 0.67, 0.0], [0.6, 1.0, 0.33]]
    """
    order = np.argsort(-probability, kind="stable")
    probability, wrong, weight = probability[order], wrong[order], weight[order]
    accepted, missed = np.cumsum(weight), np.cumsum(weight * wrong)
    last = np.append(probability[1:] < probability[:-1], True)  # answers of one probability come together
    return np.stack([probability, accepted / accepted[-1], missed / accepted], 1)[last]


def curve_of(answers: dict[str, Any]) -> np.ndarray:
    """`risk_coverage` of what `report.json` has as `answers`, [T, 3]."""
    return risk_coverage(*(np.asarray(answers[name]) for name in ("probability", "wrong", "weight")))


def threshold_of_error(curve: np.ndarray, most: float) -> float:
    """The threshold that the most answers reach of which a share of `most` is wrong; NONE if it is always more.

    Args:
        curve: see `risk_coverage`.
        most: from 0 to 1.
    """
    fits = curve[curve[:, 2] <= most]
    return float(fits[-1, 0]) if len(fits) else NONE


def accepted(config: Config, told: dict[str, Any], probability: np.ndarray) -> dict[str, Any] | None:
    """What `config` wants accepted, by the estimate `told`, see `acceptance`; None where it does not say."""
    if config.accept_error is None and config.coverage is None:
        return None
    if "left_out" in told:
        return {"left_out": told["left_out"]}
    answers = told["answers"]
    if config.accept_error is not None:
        threshold = threshold_of_error(curve_of(answers), config.accept_error)
    else:
        threshold = float(np.quantile(probability, 1 - (config.coverage or 0.0), method="inverted_cdf"))
    return acceptance(threshold, answers, probability) | {"wanted_error": config.accept_error}


def acceptance(threshold: float, answers: dict[str, Any], probability: np.ndarray) -> dict[str, Any]:
    """What `report.json` has as `accepted`.

    Args:
        threshold: of the probability.
        answers: to labels that no method had seen: `probability`, `wrong` and `weight`, [L] each.
        probability: of the answers to points without a label, [N], by which their share is told.

    Returns:
        The `threshold`, the `coverage` (the share of points that reach it), and, in percent, the `error` of those
        labels that reach it, with its interval from `low` to `high`; None where none does.
    """
    reached = np.asarray(answers["probability"]) >= threshold
    told: dict[str, Any] = {
        "threshold": threshold,
        "coverage": round(float(np.mean(probability >= threshold)), 4),
        "labels": int(reached.sum()),
    }
    wrong, weight = (np.asarray(answers[name])[reached] for name in ("wrong", "weight"))
    ends = [round(100 * value, 2) for value in error_interval(wrong, weight)] if reached.any() else [None] * 3
    return told | dict(zip(("error", "low", "high"), ends, strict=True))


def in_words(told: dict[str, Any]) -> str:
    """One line for a user, and another where the labels are too few for what is wanted."""
    if "left_out" in told:
        return f"No threshold of answers to accept. {told['left_out']}"
    if not told["labels"]:
        return "Accepted: no answer. Of no group of labels are so few answers wrong."
    text = (
        f"Accepted: {told['coverage']:.0%} of the points without a label, those of a probability of "
        f"{told['threshold']:.2f} or more: error about {told['error']:.0f} %, "
        f"{LEVEL:.0%} interval {told['low']:.0f} to {told['high']:.0f} %."
    )
    most = told["wanted_error"]
    if most is not None and told["high"] > 100 * most:
        text += f"\n{told['labels']} labels are too few to show that it is at most {100 * most:g} %."
    return text
