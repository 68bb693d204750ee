"""Figure 1a: distributions in the plane, and what Gaussians with and without an auxiliary variable make of them.

Every fit is run under many seeds. It finds both modes if it gives each at least half of its true share. The bound is
below log Z, which is known by a sum over a grid; the gap is the divergence of q from the distribution.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from tfadgm.potentials import BOX, ENERGIES, GRID, SIDES, STEPS, Fit, fitted, grid, log_normaliser, side_share
from tfadgm.reproduce.common import save

AUXILIARY_UNITS = 4
POINTS = 100_000  # of q, for a bound and a share
SHOWN = 5_000
TITLES = {"auxiliary": "with an auxiliary variable", "mean_field": "one Gaussian"}


def reproduce(output: Path, seeds: int, steps: int = STEPS) -> dict[str, Any]:
    """Writes fig1a.png, fig1a.pdf and fig1a.json into `output`; returns what the last holds."""
    output.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {"seeds": seeds, "steps": steps, "auxiliary_units": AUXILIARY_UNITS, "energies": {}}
    pictures = {}
    for name, energy in ENERGIES.items():
        log_z, share = log_normaliser(energy), side_share(name)
        told: dict[str, Any] = {"log_z": round(log_z, 4), "share_of_a_side": round(share, 4)}
        for kind, units in (("auxiliary", AUXILIARY_UNITS), ("mean_field", 0)):
            runs = []
            for seed in range(seeds):
                model = fitted(name, units, seed, steps)
                runs.append(_measure(model, name, log_z, share))
                if seed == 0:
                    pictures[name, kind] = model.draw((2, 0), SHOWN)[1].numpy()
            gaps = [run["gap"] for run in runs]
            told[kind] = {
                "median_gap": round(float(np.median(gaps)), 4),
                "largest_gap": round(max(gaps), 4),
                "share_of_runs_that_find_both": sum(run["finds_both"] for run in runs) / seeds,
                "runs": runs,
            }
            print(f"{name} {kind}: gap {told[kind]['median_gap']:.3f} nats, both modes in "
                  f"{told[kind]['share_of_runs_that_find_both']:.0%} of {seeds} runs", flush=True)  # fmt: skip
        result["energies"][name] = told
    _draw(pictures, result)
    save(output, "fig1a", result)
    return result


def _measure(model: Fit, name: str, log_z: float, share: float) -> dict[str, Any]:
    """How far the bound is from log Z, in nats, and how the points of q divide between the modes."""
    bounds = model.bounds((1, 0), POINTS).numpy()
    above = float(np.mean(SIDES[name](model.draw((1, 1), POINTS)[1]).numpy() > 0))
    return {
        "gap": round(log_z - float(bounds.mean()), 4),
        "standard_error": round(float(bounds.std() / POINTS**0.5), 4),
        "share_of_a_side": round(above, 4),
        "finds_both": above >= share / 2 and 1 - above >= (1 - share) / 2,
    }


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
            axes[row, column].set_title(
                f"gap {told['median_gap']:.2f} nats\nboth modes: {told['share_of_runs_that_find_both']:.0%} of runs",
                fontsize=8,
            )
    for axis in axes.flat:
        axis.set(xlim=(-BOX, BOX), ylim=(-BOX, BOX), xticks=(-3, 0, 3), yticks=(-3, 0, 3), aspect="equal")
    for row, text in enumerate(("exp(-U) / Z", *TITLES.values())):
        axes[row, 0].set_ylabel(f"{text}\n$z_2$")
    for axis in axes[-1]:
        axis.set_xlabel("$z_1$")
