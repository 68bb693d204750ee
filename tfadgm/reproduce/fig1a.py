"""Figure 1a: distributions in the plane, and what Gaussians with and without an auxiliary variable make of them.

Every fit is run under many seeds. Where there are two modes, it finds both if it gives each at least half of its true
share. The bound is below log Z, which is known by a sum over a grid; the gap is the divergence of q from the
distribution. The folder `fig1a` keeps every fit's numbers, and a command that was stopped goes on with them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfadgm.files import write_json
from tfadgm.potentials import BOX, ENERGIES, GRID, SIDES, STEPS, Fit, fits, grid, in_modes, log_normaliser, mode_shares
from tfadgm.provenance import commit
from tfadgm.reproduce.common import plt, save

AUXILIARY_UNITS = 4
POINTS = 100_000  # of q, for a bound
KEPT = 5_000  # for shares and the picture
LOWEST = {"U4": -5.5}  # z_2 that is drawn
TITLES = {"auxiliary": "with an auxiliary variable", "mean_field": "one Gaussian"}


def reproduce(output: Path, seeds: int, steps: int = STEPS) -> dict[str, Any]:
    """Writes fig1a.png, fig1a.pdf and fig1a.json into `output`; returns what the last holds."""
    kept = output / "fig1a"
    kept.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {
        "commit": commit(),  # before fits that may last for an hour
        "seeds": seeds,
        "steps": steps,
        "auxiliary_units": AUXILIARY_UNITS,
        "energies": {},
    }
    pictures = {}
    for name, energy in ENERGIES.items():
        told: dict[str, Any] = {"log_z": round(log_normaliser(energy), 4)}
        if name in SIDES:
            told["mode_shares"] = mode_shares(name).round(4).tolist()
        for kind, units in (("auxiliary", AUXILIARY_UNITS), ("mean_field", 0)):
            runs = _runs(kept, name, kind, units, seeds, steps, told["log_z"])
            pictures[name, kind] = np.array(runs[0]["points"])
            told[kind] = _summary(name, runs, told.get("mode_shares"))
            print(f"{name} {kind}, {seeds} runs:", _words(told[kind]).replace("\n", ", "), flush=True)
        result["energies"][name] = told
    _draw(pictures, result)
    return save(output, "fig1a", result)


def _runs(kept: Path, name: str, kind: str, units: int, seeds: int, steps: int, log_z: float) -> list[dict[str, Any]]:
    """The numbers of the fits by all seeds, in files that are read if they are there."""
    paths = [kept / f"{name}-{kind}-{seed}-{steps}.json" for seed in range(seeds)]
    missing = [seed for seed, path in enumerate(paths) if not path.exists()]
    for seed, model in zip(missing, fits(name, units, missing, steps), strict=True):
        write_json(paths[seed], _measured(model, log_z), indent=None)
    return [json.loads(path.read_text()) for path in paths]


def _measured(model: Fit, log_z: float) -> dict[str, Any]:
    """How far the bound is from log Z, in nats, and some points of q."""
    bounds = model.bounds((1, 0), POINTS).numpy()
    return {
        "gap": round(log_z - float(bounds.mean()), 4),
        "standard_error": round(float(bounds.std() / POINTS**0.5), 4),
        "points": model.draw((1, 1), KEPT)[1].numpy().round(3).tolist(),
    }


def _summary(name: str, runs: list[dict[str, Any]], true_shares: list[float] | None) -> dict[str, Any]:
    """What the runs came to, and how their points divide between the modes, if there are two."""
    gaps = [run["gap"] for run in runs]
    told = [{key: run[key] for key in ("gap", "standard_error")} for run in runs]
    found: dict[str, Any] = {"median_gap": round(float(np.median(gaps)), 4), "largest_gap": max(gaps), "runs": told}
    if true_shares is not None:
        shares = [in_modes(name, tf.constant(run["points"], tf.float32)).mean(1) for run in runs]
        for row, own in zip(told, shares, strict=True):
            row["mode_shares"] = own.round(4).tolist()
        both = [bool((own >= np.array(true_shares) / 2).all()) for own in shares]
        found["share_of_runs_that_find_both"] = sum(both) / len(both)
    return found


def _words(told: dict[str, Any]) -> str:
    share = told.get("share_of_runs_that_find_both")
    return f"gap {told['median_gap']:.2f} nats" + ("" if share is None else f"\nboth modes in {share:.0%} of runs")


def _draw(pictures: dict[tuple[str, str], np.ndarray], result: dict[str, Any]) -> None:
    """A column for each distribution: its density, then points of either fit."""
    _, axes = plt.subplots(3, len(ENERGIES), figsize=(2.6 * len(ENERGIES), 7.6), layout="constrained")
    points = grid()
    for column, (name, energy) in enumerate(ENERGIES.items()):
        density = np.exp(-energy(points).numpy())
        axes[0, column].pcolormesh(GRID[::4], GRID[::4], density[::4, ::4], cmap="Blues", rasterized=True)
        axes[0, column].set_title(name)
        for row, kind in enumerate(TITLES, 1):
            told, z = result["energies"][name][kind], pictures[name, kind]
            axes[row, column].scatter(z[:, 0], z[:, 1], s=0.5, color="#0072b2", alpha=0.4, rasterized=True)
            axes[row, column].set_title(_words(told), fontsize=8)
        lowest = LOWEST.get(name, -BOX)
        for axis in axes[:, column]:
            axis.set(xlim=(-BOX, BOX), ylim=(lowest, lowest + 2 * BOX), xticks=(-3, 0, 3), yticks=(-3, 0, 3))
            axis.set_aspect("equal")
    for row, text in enumerate(("exp(-U)", *TITLES.values())):
        axes[row, 0].set_ylabel(f"{text}\n$z_2$")
    for axis in axes[-1]:
        axis.set_xlabel("$z_1$")
