"""Whatever people bring trains two steps or ends in one line: generated tables, arrays and folders of images."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.toys import Softmax
from tfadgm.config import Config
from tfadgm.data.labels import choose_labels
from tfadgm.data.sources import load_dataset
from tfadgm.errors import InputError
from tfadgm.models import MODELS
from tfadgm.resolve import resolve
from tfadgm.training.build import build_model

pytestmark = pytest.mark.filterwarnings("ignore:Even though the `tf.config.experimental_run_functions_eagerly`")
FEW, MANY = 5, 170  # examples of each kind of data: by default, and of the slow tests
SMALL = {"model": "any", "hidden_units": (4,), "xla": False, "epochs": 1, "labeled_batch": 8, "unlabeled_batch": 8}
CELLS = st.one_of(
    st.sampled_from(["", "NaN", "?", "-", "1e400", "-0", "1,5", "2024-02-30", "2024-02-29", "true", "é\u202e", " x "]),
    st.integers(-(2**70), 2**70).map(str),
    st.floats(width=64).map(repr),
    st.text(max_size=12),
)
LABELS = st.sampled_from(["a", "b", "a", "b", "", "c", "nan", "-1"])


@pytest.fixture(scope="module", autouse=True)
def small_and_eager():
    MODELS["any"] = Softmax
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
    del MODELS["any"]


def trains_or_says_why(name: str, **options: Any) -> None:
    """Two steps with finite losses, or an InputError of one line."""
    try:
        dataset = choose_labels(load_dataset(name, **options), None, 0)
        config = resolve(Config.of(dataset=name, **SMALL), dataset)
        model = build_model(config, dataset)
    except InputError as error:
        text = str(error)
        assert "\n" not in text
        assert text.isprintable()
        assert len(text) < 2000
        return
    labeled = dataset.label_indices[:8]
    batch = {"labeled": (tf.constant(dataset.x[labeled]), dataset.y[labeled]), "unlabeled": tf.constant(dataset.x[:8])}
    for _ in range(2):
        assert np.isfinite(float(model._update(batch)["loss"]))
    assert np.isfinite(model(tf.constant(dataset.x)).numpy()).all()
    keras.backend.clear_session()


def quote(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


@st.composite
def tables(draw: st.DrawFn) -> bytes:
    rows, columns = draw(st.integers(0, 12)), draw(st.integers(0, 4))
    head = draw(st.lists(st.text(min_size=1, max_size=8), min_size=columns, max_size=columns))
    kinds = [draw(st.sampled_from([CELLS, st.integers(-9, 9).map(str), st.floats(-1e3, 1e3).map(str)])) for _ in head]
    lines = [[*head, "label"]]
    lines += [[draw(kind) for kind in kinds] + [draw(LABELS)] for _ in range(rows)]
    if draw(st.integers(0, 9)) == 0 and rows:
        lines[-1].append("one too many")
    delimiter = draw(st.sampled_from([",", ",", ";", "\t"]))
    encoding = draw(st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"]))
    return "\n".join(delimiter.join(map(quote, line)) for line in lines).encode(encoding, errors="replace")


@st.composite
def arrays(draw: st.DrawFn) -> dict[str, np.ndarray]:
    rows, shape = draw(st.integers(0, 14)), draw(st.sampled_from([(1,), (3,), (4, 4), (4, 4, 3), (2, 1, 1, 2), ()]))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    kind = draw(
        st.sampled_from(["uint8", "bool", "int64", "int8", "float16", "float32", "float64", "uint64", "complex64"])
    )
    scale, offset = (
        draw(st.sampled_from([0.0, 1.0, 1e-40, 1e9, 1e30])),
        draw(st.sampled_from([0.0, -1.0, 1.7e9, 1e300])),
    )
    with np.errstate(all="ignore"):
        x = (scale * random.normal(size=(rows, *shape)) + offset).astype(kind)
        if draw(st.integers(0, 7)) == 0 and x.size and kind.startswith("float"):
            x.flat[0] = draw(st.sampled_from([np.nan, np.inf, -np.inf, np.finfo(kind).max]))
    y: Any = np.array([draw(st.sampled_from([0, 1, 2, -1, -1])) for _ in range(rows)])
    y = y.astype(draw(st.sampled_from(["int64", "int8", "float32", "U3", "S3", "bool", "uint8", "complex64"])))
    return {"x": x, "y": y[: rows - draw(st.sampled_from([0, 0, 0, 1]))]}


@st.composite
def folders(draw: st.DrawFn) -> dict[str, bytes]:
    random = np.random.default_rng(draw(st.integers(0, 99)))

    def content() -> bytes:
        shape = draw(st.sampled_from([(8, 8, 1), (8, 8, 3), (5, 9, 4), (40, 30, 3), (1, 1, 3), (8, 8, 2)]))
        image = random.integers(0, 256, shape).astype(np.uint8)
        encode = draw(st.sampled_from(["png", "jpeg", "png"]))
        whole = (
            tf.io.encode_png(image) if encode == "png" or shape[-1] in (2, 4) else tf.io.encode_jpeg(image)
        ).numpy()
        return draw(st.sampled_from([whole, whole, whole, whole[: len(whole) // 2], b"", whole + b"more"]))

    names = st.sampled_from([
        "a/1.png", "a/2.PNG", "b/1.jpg", "b/ü x.gif", "unlabeled/3.bmp", "unlabeled/4.png", "5.png", "test/a/6.png",
        "test/7.png", "c/d/8.png",
    ])  # fmt: skip
    return {name: content() for name in draw(st.lists(names, max_size=8, unique=True))}


def write(folder: Path, kind: str, data: Any) -> tuple[str, dict[str, Any]]:
    if kind == "table":
        (folder / "mine.csv").write_bytes(data)
        return str(folder / "mine.csv"), {"target": "label"}
    if kind == "arrays":
        np.savez(folder / "mine.npz", **data)
        return str(folder / "mine.npz"), {}
    for name, content in data.items():
        (folder / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "images" / name).write_bytes(content)
    return f"{folder}/images/", {"image_size": 8}


def check(kind: str, data: Any) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        name, options = write(folder, kind, data)
        trains_or_says_why(name, **options)
    finally:
        shutil.rmtree(folder)


KINDS = {"table": tables, "arrays": arrays, "images": folders}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("examples", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
def test_any_data_train_or_are_told(kind, examples):
    @settings(max_examples=examples, deadline=None, derandomize=True, database=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(KINDS[kind]())
    def run(data: Any) -> None:
        check(kind, data)

    run()
