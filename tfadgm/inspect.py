"""A look at data before a training: python -m tfadgm.inspect DATA --target NAME.

It prints what tfadgm takes the data for, what it would choose and what looks suspicious, and writes the same as a page.
"""

from __future__ import annotations

import html
import shlex
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tfadgm.cli import exit_status, path, train_parser
from tfadgm.config import RUN, Config
from tfadgm.data.dataset import UNLABELED, Dataset
from tfadgm.data.streams import steps_per_epoch
from tfadgm.errors import line
from tfadgm.evaluation import folds
from tfadgm.files import write_text
from tfadgm.nn.preprocessing import outliers
from tfadgm.nn.tables import TableEncoding
from tfadgm.resolve import reasons, resolve
from tfadgm.run import labeled_dataset, whole_dataset

MOST = 10  # lines of one kind
FEW = 20  # labels from which more can be told of them
ROWS = 5000  # that are looked at where all would take long
APART = 0.75  # area under the curve from which labeled rows are unlike the others
# Of a common processor: imports, traces and the report; a step of small networks; and the products of large ones.
SECONDS_AROUND, SECONDS_A_STEP, SECONDS_PER_PFLOP = 30.0, 0.01, 20_000.0
Section = tuple[str, list[str]]


def look(config: Config, dataset: Dataset) -> list[Section]:
    """What there is to say of `dataset`, with the labels that training sees, by section.

    Examples:
        >>> config = Config.for_dataset("moons")
        >>> sections = dict(look(config, labeled_dataset(config)))
        >>> sections["Labels"]
        ['upper: 3 labels', 'lower: 3 labels']
    """
    resolved = resolve(config, dataset)
    return [
        ("Data", [*_size(dataset), *dataset.notes]),
        ("Labels", _labels(dataset)),
        ("Choices", list(reasons(config, resolved, dataset)) or ["those of the preset"]),
        ("Look at", list(_suspicious(dataset)) or ["nothing suspicious"]),
        ("Expect", list(_cost(resolved, dataset))),
        ("Next", [_command(config)]),
    ]


def _size(dataset: Dataset) -> list[str]:
    shape = " x ".join(map(str, dataset.x.shape[1:]))
    kind = f"{shape} columns" if dataset.schema is not None else f"features {shape}, {dataset.x.dtype}"
    told = [f"{len(dataset.x)} rows for training, {len(dataset.x_test)} for the report, {kind}"]
    if dataset.schema is None:
        told.append(f"from {dataset.x.min():g} to {dataset.x.max():g}")
        return told
    share = np.isnan(dataset.x).mean(0)
    gaps = [f"{line(c.name)} {part:.0%}" for c, part in zip(dataset.schema.columns, share, strict=True) if part]
    return [
        *told,
        f"missing cells: {', '.join(gaps[:MOST])}{', ...' * (len(gaps) > MOST)}" if gaps else "no missing cells",
    ]


def _labels(dataset: Dataset) -> list[str]:
    if not dataset.classes:
        return ["none: a density model learns from such data"]
    counts = np.bincount(dataset.y[dataset.y != UNLABELED], minlength=dataset.classes)
    told = [
        f"{line(name)}: {count} label{'s' * int(count != 1)}"
        for name, count in zip(dataset.class_names, counts, strict=True)
    ]
    return [*told[: 2 * MOST], *([f"and {len(told) - 2 * MOST} classes more"] if len(told) > 2 * MOST else [])]


def _suspicious(dataset: Dataset) -> Iterator[str]:
    x = np.ascontiguousarray(dataset.x.reshape(len(dataset.x), -1))
    rows = _keys(x)
    repeated = len(x) - len(np.unique(rows))
    if repeated:
        yield f"{repeated} rows are the same as another one"
    known = dataset.y != UNLABELED
    twice = _contradictions(rows[known], dataset.y[known])
    if twice:
        yield f"{twice} rows have several labels"
    shared = np.isin(_keys(dataset.x_test.reshape(len(dataset.x_test), -1)), rows).sum() if len(dataset.x_test) else 0
    if shared:
        yield f"{shared} rows of the report are training rows, too: its error will be too low"
    yield from _features(dataset, x)
    counts = np.bincount(dataset.y[known], minlength=dataset.classes) if dataset.classes else np.zeros(0)
    for index in np.flatnonzero(counts == 1)[:MOST]:
        yield f"class {line(dataset.class_names[index])} has one label"
    if len(counts) and counts.max() >= 5 * max(1, counts.min()) and known.sum() >= FEW:
        yield "classes are of very unequal size, and the model takes them for equal"
    yield from _given_away(dataset)
    apart = _labeled_apart(dataset)
    if apart is not None and apart > APART:
        yield f"labeled rows are unlike the others: a forest tells them apart (area under the curve {apart:.2f})"


def _features(dataset: Dataset, x: np.ndarray) -> Iterator[str]:
    if dataset.schema is not None:
        numeric = [place for place, column in enumerate(dataset.schema.columns) if column.kind == "numeric"]
        names = [column.name for column in dataset.schema.columns]
        found = {place: list(outliers(x[:, [place]][np.isfinite(x[:, place])]).values()) for place in numeric}
        far = {place: distances[0] for place, distances in found.items() if distances}
    else:
        constant = int((x.min(0) == x.max(0)).sum())
        if constant:
            yield f"{constant} of {x.shape[1]} features are constant"
        far = outliers(x) if dataset.likelihood == "gaussian" and dataset.x.ndim == 2 else {}
        names = [f"feature {place}" for place in range(x.shape[1])]
    for place, distance in list(far.items())[:MOST]:
        yield f"{line(names[place])}: the farthest value is {distance:.3g} deviations away, and is drawn in"
    if len(far) > MOST:
        yield f"and {len(far) - MOST} features more with far values"


def _given_away(dataset: Dataset) -> Iterator[str]:
    """Columns of few values of which each stands for one class alone."""
    known = dataset.y != UNLABELED
    if dataset.schema is None or known.sum() < FEW:
        return
    y = dataset.y[known]
    for column, codes in zip(dataset.schema.columns, dataset.x[known].T, strict=True):
        if column.kind not in ("binary", "categorical") or np.isnan(codes).all():
            continue
        classes = [np.unique(y[codes == code]) for code in np.unique(codes[~np.isnan(codes)])]
        if all(len(found) == 1 for found in classes) and len({int(found[0]) for found in classes}) > 1:
            yield f"{line(column.name)} gives the label away: is it known before the label is?"


def _labeled_apart(dataset: Dataset) -> float | None:
    """How well a forest tells labeled rows from the others: 0.5 not at all, 1 entirely; None of too few."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import cross_val_predict

    known = dataset.y != UNLABELED
    if known.sum() < FEW or (~known).sum() < FEW or dataset.x[0].size > ROWS:
        return None
    random = np.random.default_rng(0)
    sizes = [random.permutation(np.flatnonzero(part))[: ROWS // 2] for part in (known, ~known)]
    rows = np.concatenate(sizes)
    x: Any = dataset.x[rows].reshape(len(rows), -1)
    if dataset.schema is not None:
        table = TableEncoding(dataset.schema.to_json())
        table.build()
        table.adapt(dataset.x)
        x = table(x).numpy()
    forest = RandomForestClassifier(100, min_samples_leaf=5, random_state=0, class_weight="balanced")
    shares = cross_val_predict(forest, x, known[rows], cv=3, method="predict_proba")[:, 1]
    return float(roc_auc_score(known[rows], shares))


def _cost(config: Config, dataset: Dataset) -> Iterator[str]:
    import tensorflow as tf

    from tfadgm.training.build import build_model, count_flops

    model = build_model(config, dataset.without_tests())
    labeled, rows = dataset.label_indices[: config.labeled_batch], slice(config.unlabeled_batch)
    batch: dict[str, Any] = {"unlabeled": tf.constant(dataset.x[rows])}
    if dataset.classes:
        batch["labeled"] = tf.constant(dataset.x[labeled]), tf.constant(dataset.y[labeled])
    steps = (config.epochs or 0) * steps_per_epoch(len(dataset.x), config.unlabeled_batch)
    a_step = SECONDS_A_STEP + count_flops(model, batch) / 1e15 * SECONDS_PER_PFLOP
    yield f"about {_duration(SECONDS_AROUND + steps * a_step)} on two cores"
    if config.estimate:
        more = SECONDS_AROUND + folds.FOLDS * min(steps, folds.most_steps(config)) * a_step
        yield f"about {_duration(more)} more for the estimate of the error; --no-estimate leaves it out"
    weights = sum(int(np.prod(weight.shape)) for weight in model.trainable_variables)
    yield f"about {0.6 + 4 * dataset.x.nbytes / 2**30 + 20 * weights / 2**30:.1f} GiB of memory, {weights:,} weights"


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds > 90 else f"{seconds:.0f} seconds"


def _command(config: Config) -> str:
    flags = ["--dataset", config.dataset]
    for name in RUN:
        if name not in ("dataset", "model") and getattr(config, name) != RUN[name].default and name in ASKED:
            flags += [f"--{name.replace('_', '-')}", str(getattr(config, name))]
    return "tfadgm train " + shlex.join(flags)


ASKED = "target", "columns", "image_size", "labels", "data_dir"


def as_text(sections: Sequence[Section]) -> str:
    return "\n\n".join(f"{title}\n" + "\n".join(f"  {text}" for text in lines) for title, lines in sections)


def as_page(title: str, sections: Sequence[Section], pictures: Sequence[tuple[str, str]] = ()) -> str:
    """One HTML page that needs nothing else; pictures are titles and PNG files in base64."""
    parts = [
        f"<section><h2>{html.escape(name)}</h2><ul>"
        + "".join(f"<li>{html.escape(text)}</li>" for text in lines)
        + "</ul></section>"
        for name, lines in sections
    ]
    parts += [
        f'<figure><img alt="{html.escape(name)}" src="data:image/png;base64,{data}"><figcaption>{html.escape(name)}'
        "</figcaption></figure>"
        for name, data in pictures
    ]
    return PAGE.format(title=html.escape(title), body="\n".join(parts))


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }}
h1 {{ font-size: 1.5rem; overflow-wrap: anywhere; }} h2 {{ font-size: 1.1rem; margin-bottom: 0.2rem; }}
ul {{ margin-top: 0; padding-left: 1.2rem; }} li {{ overflow-wrap: anywhere; }}
figure {{ margin: 1.5rem 0; }} img {{ max-width: 100%; }} figcaption {{ color: #555; }}
</style></head><body><h1>{title}</h1>
{body}
</body></html>
"""


def _keys(x: np.ndarray) -> np.ndarray:
    """A number for each row [N, D], the same for the same row."""
    raw = np.ascontiguousarray(x).view(np.uint8).reshape(len(x), -1)
    return np.array([hash(row.tobytes()) for row in raw], np.int64)


def _contradictions(rows: np.ndarray, y: np.ndarray) -> int:
    """How many rows [N] have the same features as one of another class."""
    pairs = np.unique(np.stack([rows, y], 1), axis=0)[:, 0]
    distinct, counts = np.unique(pairs, return_counts=True)
    return int(np.isin(rows, distinct[counts > 1]).sum())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = train_parser()
    parser.prog, parser.description = (
        "tfadgm inspect",
        "Looks at data before a training. Takes the flags of train, too.",
    )
    parser.add_argument("data", metavar="DATA", help=RUN["dataset"].help)
    parser.add_argument("--html", metavar="FILE", type=path, help="write the same as a page, with pictures")
    flags = vars(parser.parse_args(arguments))
    page, flags["dataset"] = flags.pop("html"), flags.pop("data")
    for name in ("run_dir", "resume", "recipe", "config"):
        flags.pop(name)
    config = Config.for_dataset(**flags)
    if not whole_dataset(config).classes:
        config = Config.for_dataset(**flags | {"model": "avae"})
    dataset = labeled_dataset(config)
    sections = look(config, dataset)
    print(as_text(sections))
    if page:
        from tfadgm.evaluation.data_plots import data_pictures  # needs Matplotlib

        write_text(page, as_page(config.dataset, sections, data_pictures(dataset)))
        print(f"\n{page}")


if __name__ == "__main__":
    sys.exit(exit_status("tfadgm inspect", main))
