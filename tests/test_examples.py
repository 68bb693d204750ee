"""The scripts in examples/ run, on a part of their data and with small networks."""

import numpy as np
import pytest
import tensorflow as tf

from examples import cells, images, table, text
from tests.support.minilm import EACH, stored
from tfadgm.training import trainer

pytestmark = pytest.mark.filterwarnings("ignore:Even though the `tf.config.experimental_run_functions_eagerly`")
TINY = {"hidden_units": (8,), "latent_units": 2, "auxiliary_units": 2, "xla": False}


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    monkeypatch.setattr(trainer, "epochs_at_once", lambda *_: 1)
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def test_a_table(capsys):
    assert 0 <= table.main(epochs=1, options=TINY) <= 100
    assert "of 169 wines named rightly, from 9 labels" in capsys.readouterr().out


@pytest.mark.slow
def test_single_cells(capsys):
    assert 0 <= cells.main(*cells.draw_counts(200), epochs=1, options=TINY) <= 100
    assert "of 175 cells named rightly, from 25 labels" in capsys.readouterr().out


@pytest.mark.slow
def test_a_folder_of_images(capsys):
    assert 0 <= images.main(points=300, epochs=1, **TINY) <= 100
    told = capsys.readouterr().out
    assert "100 images of 8x8, grey" in told
    assert "of 200 new images named rightly" in told


@pytest.mark.slow
def test_sentences(capsys):
    assert 0 <= text.main(stored, EACH, epochs=1, options=TINY) <= 100
    assert "of 380 sentences filed rightly, from 20 labels" in capsys.readouterr().out


def test_embeddings_tell_modules_apart():
    """The nearest of all other sentences is of the same module more often than by chance, a quarter of the time."""
    texts, modules = text.sentences(EACH)
    found = stored(texts)
    alike = found @ found.T - 2 * np.eye(len(found))
    assert np.mean(modules[alike.argmax(1)] == modules) > 0.5


@pytest.mark.slow
def test_what_they_are_worth():
    tf.config.run_functions_eagerly(False)
    assert table.main() > 80
    assert images.main() > 60
    assert cells.main(*cells.draw_counts()) > 90
    assert text.main(stored, EACH) > 40
