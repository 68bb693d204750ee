"""What `verify` finds, and that every mistake planted in an export is found."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tests.serving.conftest import NAMES, make_servable
from tfadgm import serving
from tfadgm.errors import VerificationError
from tfadgm.serving import signatures, warmup
from tfadgm.serving.signatures import Servable


def test_a_good_export_is_verified(exported):
    found = json.loads((exported / "assets.extra" / "model_info.json").read_text())["verified"]
    assert found["requests"] == 6 * 8 + 3 + 6 * 6 + 1  # batches of one, of generate, warm-up
    assert found["largest_difference"].keys() == {"keras", "batch", "processes"}
    assert all(difference <= 1e-6 for difference in found["largest_difference"].values())
    assert found["stored_numbers"] == make_servable().model.count_params() - len(NAMES)
    assert len(found["signatures"]) == 7


@pytest.mark.parametrize(
    ("kind", "options"), [("ADGM", {}), ("M2", {"likelihood": "gaussian", "feature_shape": (6,)})], ids=["ADGM", "M2"]
)
def test_every_model_can_be_exported(tmp_path, kind, options):
    model = make_servable(kind, **options).model
    path = serving.export(model, tmp_path, name="tiny", class_names=NAMES, temperature=1.5)
    found = json.loads((path / "assets.extra" / "model_info.json").read_text())["verified"]
    assert all(difference <= 1e-6 for difference in found["largest_difference"].values())


def python_predict(self, x):
    answer = original_predict(self, x)
    answer["probabilities"] = tf.py_function(lambda p: p, [answer["probabilities"]], tf.float32)
    answer["probabilities"].set_shape([None, 3])
    return answer


def random_embed(self, x):
    return {"a": original_embed(self, x)["a"] + 0 * tf.random.normal([])}


def compiled_embed(self, x):
    return {"a": tf.function(self.model.embed, jit_compile=True)(x)}


def neighbourly_predict(self, x):
    """Noise of every row, drawn by a fixed seed: a row's answer depends on its place in the batch."""
    answer = original_predict(self, x)
    noise = tf.random.stateless_uniform(tf.shape(answer["probabilities"]), [0, 0])
    return answer | {"probabilities": answer["probabilities"] + 1e-3 * noise}


def summed_embed(self, x):
    return {"a": tf.reduce_sum(self.model.embed(x), -1)}


def saved_by_tensorflow(self, path):
    functions = {name: tf.function(method, input_signature=specs) for name, (method, specs) in self.signatures.items()}
    tf.saved_model.save(self.model, str(path), signatures=functions)


original_predict, original_embed = Servable.predict, Servable.embed


@pytest.mark.parametrize(
    ("method", "mistake", "message"),
    [
        ("predict", python_predict, "Expected no operation that calls Python. Received EagerPyFunc"),
        ("embed", random_embed, "Expected no random state on a server: answers would differ. Received RandomStandardN"),
        ("embed", compiled_embed, "Expected nothing that must be compiled by XLA"),
        ("embed", summed_embed, "Expected the outputs of embed"),
        ("predict", neighbourly_predict, r"Expected probabilities of \w+ \(process 1\), (batch|keras) to agree within"),
        (
            "write",
            saved_by_tensorflow,
            r"Expected the model to load and run \(session\). Received: .*[Cc]ould not find",
        ),
    ],
)
def test_a_planted_mistake_is_found_and_nothing_is_left(tmp_path, monkeypatch, method, mistake, message):
    monkeypatch.setattr(signatures.Servable, method, mistake)
    with pytest.raises(VerificationError, match=message):
        serving.export(make_servable().model, tmp_path, name="tiny", class_names=NAMES, temperature=1.5)
    assert list(tmp_path.iterdir()) == []


def test_another_model_is_told_from_the_exported_one(exported):
    other = make_servable(temperature=1.501)
    with pytest.raises(VerificationError, match=r"probabilities of .*, keras to agree within 1e-05"):
        serving.verify(exported, other)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("variables/variables.data-00000-of-00001", "Expected the content that model_info.json names"),
        ("saved_model.pb", "Expected"),
        ("assets.extra/model_info.json", "Expected an exported model in"),
        ("assets.extra/tf_serving_warmup_requests", "Expected an exported model in"),
    ],
)
def test_damage_is_found(tmp_path, exported, file, message):
    copy = shutil.copytree(exported, tmp_path / "1")
    content = bytearray((copy / file).read_bytes())
    content[len(content) // 2] ^= 0xFF
    (copy / file).write_bytes(bytes(content))
    with pytest.raises(VerificationError, match=message):
        serving.verify(copy)


def test_a_signature_without_a_warm_up_request_is_found(tmp_path, exported):
    copy = shutil.copytree(exported, tmp_path / "1")
    file = copy / "assets.extra" / warmup.FILE
    records = list(tf.data.TFRecordDataset(str(file)).as_numpy_iterator())
    with tf.io.TFRecordWriter(str(file)) as writer:
        for record in records[: len(warmup.BATCH_SIZES)]:
            writer.write(record)
    with pytest.raises(VerificationError, match=r"Expected warm-up requests of every signature"):
        serving.verify(copy)


def test_a_folder_without_an_export(tmp_path):
    with pytest.raises(VerificationError, match="Expected an exported model in .* Received: FileNotFoundError"):
        serving.verify(tmp_path)


def test_runners_keep_strings_and_numbers(tmp_path):
    from tfadgm.serving import runners

    words = np.empty([2, 2], np.object_)
    words[:] = [[b"", b"\0a\0"], [b"bc", b"\xff"]]
    arrays = {
        "0/words": words,
        "0/none": np.empty([0], np.object_),
        "0/x": np.arange(6, dtype=np.float32).reshape(2, 3),
    }
    runners.save(tmp_path / "a.npz", arrays)
    found = runners.load(tmp_path / "a.npz")
    assert found.keys() == arrays.keys()
    for key, value in arrays.items():
        assert found[key].shape == value.shape
        assert found[key].tolist() == value.tolist()
