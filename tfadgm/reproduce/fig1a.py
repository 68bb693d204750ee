"""Figure 1a: distributions in the plane, and what Gaussians with and without an auxiliary variable make of them.

Every fit is run under many seeds. Where there are two modes, it finds both if it gives each at least half of its true
share. The bound is below log Z, which is known by a sum over a grid; the gap is the divergence of q from the
distribution. The folder `fig1a` keeps every fit's numbers, and a command that was stopped goes on with them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from tfadgm.potentials import BOX, ENERGIES, GRID, SIDES, STEPS, Fit, fits, grid, in_modes, log_normaliser, mode_shares
from tfadgm.provenance import commit, machine
from tfadgm.reproduce.common import save
from tfadgm.training import write_text

AUXILIARY_UNITS = 4
POINTS = 100_000  # of q, for a bound and shares
SHOWN = 5_000
TITLES = {"auxiliary": "with an auxiliary variable", "mean_field": "one Gaussian"}


def reproduce(output: Path, seeds: int, steps: int = STEPS) -> dict[str, Any]:
    """Writes fig1a.png, fig1a.pdf and fig1a.json into `output`; returns what the last holds."""
    kept = output / "fig1a"
    kept.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {
        "command": "python -m tfadgm.reproduce fig1a",
        "machine": machine(),
        "commit": commit(),
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
            runs = _runs(kept, name, kind, units, seeds, steps, told)
            pictures[name, kind] = np.array(runs[0]["points"])
            told[kind] = _summary([{key: value for key, value in run.items() if key != "points"} for run in runs])
            print(f"{name} {kind}, {seeds} runs:", _words(told[kind]).replace("\n", ", "), flush=True)
        result["energies"][name] = told
    _draw(pictures, result)
    save(output, "fig1a", result)
    return result


def _runs(
    kept: Path, name: str, kind: str, units: int, seeds: int, steps: int, told: dict[str, Any]
) -> list[dict[str, Any]]:
    """The numbers of the fits by all seeds, in files that are read if they are there."""
    paths = [kept / f"{name}-{kind}-{seed}-{steps}.json" for seed in range(seeds)]
    missing = [seed for seed, path in enumerate(paths) if not path.exists()]
    for seed, model in zip(missing, fits(name, units, missing, steps), strict=True):
        write_text(paths[seed], json.dumps(_measured(model, name, told)) + "\n")
    return [json.loads(path.read_text()) for path in paths]


def _measured(model: Fit, name: str, told: dict[str, Any]) -> dict[str, Any]:
    """How far the bound is from log Z, in nats, how the points of q divide between the modes, and some points."""
    bounds, points = model.bounds((1, 0), POINTS).numpy(), model.draw((1, 1), POINTS)[1]
    found: dict[str, Any] = {
        "gap": round(told["log_z"] - float(bounds.mean()), 4),
        "standard_error": round(float(bounds.std() / POINTS**0.5), 4),
        "points": points[:SHOWN].numpy().round(3).tolist(),
    }
    if name in SIDES:
        shares = in_modes(name, points).mean(1)
        found["mode_shares"] = shares.round(4).tolist()
        found["finds_both"] = bool((shares >= np.array(told["mode_shares"]) / 2).all())
    return found


def _summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    gaps, both = [run["gap"] for run in runs], [run["finds_both"] for run in runs if "finds_both" in run]
    share = {"share_of_runs_that_find_both": sum(both) / len(both)} if both else {}
    return {"median_gap": round(float(np.median(gaps)), 4), "largest_gap": max(gaps), **share, "runs": runs}


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
    for axis in axes.flat:
        axis.set(xlim=(-BOX, BOX), ylim=(-BOX, BOX), xticks=(-3, 0, 3), yticks=(-3, 0, 3), aspect="equal")
    for row, text in enumerate(("exp(-U) / Z", *TITLES.values())):
        axes[row, 0].set_ylabel(f"{text}\n$z_2$")
    for axis in axes[-1]:
        axis.set_xlabel("$z_1$")
