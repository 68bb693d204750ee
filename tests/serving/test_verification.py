"""What `verify` finds, and that every mistake planted in an export is found."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.serving.conftest import NAMES, info_of, make_plain, make_servable
from tfadgm import serving
from tfadgm.errors import VerificationError
from tfadgm.serving import archive, contract, runners, verification, warmup
from tfadgm.serving.servable import Servable
from tfadgm.serving.signatures import SIGNATURES, Signature


def export(model, output: Path) -> Path:
    return serving.export(model, output, name="tiny", class_names=NAMES, temperature=1.5)


def test_a_good_export_is_verified(exported):
    found = info_of(exported)["verified"]
    assert found["requests"] == 6 * 8 + 3 + 6 * 6 + 1  # batches of one, of generate, warm-up
    assert found["loaders"] == ["session", "c_api"]
    assert found["largest_difference"].keys() == {"keras", "batch", "processes"}
    assert all(difference <= 1e-6 for difference in found["largest_difference"].values())
    assert found["stored_numbers"] == make_servable().model.count_params() - len(NAMES)
    assert len(found["signatures"]) == 7


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "options"),
    [("ADGM", {"feature_shape": (6,)}), ("M2", {"likelihood": "gaussian"})],
    ids=["ADGM", "M2"],
)
def test_every_model_can_be_exported(tmp_path, in_process, kind, options):
    found = info_of(export(make_servable(kind, **options).model, tmp_path))["verified"]
    assert all(difference <= 1e-6 for difference in found["largest_difference"].values())


def entropy(servable: Servable, x: tf.Tensor) -> dict[str, tf.Tensor]:
    probabilities = servable.model(x)
    return {"nats": -tf.reduce_sum(probabilities * tf.math.log(probabilities), -1)}


def test_a_signature_is_one_entry_of_the_table(tmp_path, monkeypatch, keep, in_process, x):
    keep("serving_default")  # which asks for every weight of this model
    toy = Signature(entropy, {"x": "float32 B features"}, {"nats": "float32 B"}, lambda x, pixels, label: {"x": x})
    monkeypatch.setitem(SIGNATURES, "entropy", toy)
    model = make_plain()
    path = export(model, tmp_path)
    assert info_of(path)["verified"]["signatures"] == ["entropy", "serving_default"]
    requests = warmup.read(path / "assets.extra" / warmup.FILE)
    assert [len(arrays["x"]) for name, arrays in requests if name == "entropy"] == list(warmup.BATCH_SIZES)
    definition = contract.read_graph(path).signature_def["entropy"]
    ask = runners.c_api_runner(str(path))
    answer = ask({definition.inputs["x"].name: x}, {"nats": definition.outputs["nats"].name})
    probabilities = model.predict(x, verbose=0)
    np.testing.assert_allclose(answer["nats"], -(probabilities * np.log(probabilities)).sum(1), rtol=1e-4)
    assert serving.verify(path)["signatures"] == ["entropy", "serving_default"]  # by model_info.json alone
    for other, message in [
        (replace(toy, outputs={"nats": "float32 B C"}), "Expected the outputs of entropy"),
        (replace(toy, inputs={"x": "float64 B features"}), "Expected the inputs of entropy"),
        (replace(toy, applies=lambda info: False), "Expected the signatures: "),
    ]:
        monkeypatch.setitem(SIGNATURES, "entropy", other)
        with pytest.raises(VerificationError, match=message):
            serving.verify(path)


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_a_classifier_that_is_not_generative_can_be_exported(tmp_path, in_process, likelihood):
    model = make_plain(likelihood=likelihood)
    path = serving.export(model, tmp_path, name="plain", class_names=NAMES)
    info = info_of(path)
    assert info["verified"]["signatures"] == ["classify", "predict_bytes", "predict_images", "serving_default"]
    assert info["calibration"]["temperature"] == 1
    assert "draws no examples" in info["calibration"]["left_out"]
    requests = dict(warmup.read(path / "assets.extra" / warmup.FILE))
    x = model.scaling(requests["serving_default"]["x"]).numpy()
    assert x.shape == (256, 6)
    low, mean, deviation = (0, 0.5, 12**-0.5) if likelihood == "bernoulli" else (-9, 0, 1)
    assert x.min() >= low
    np.testing.assert_allclose(x.mean(0), mean, atol=0.25)
    np.testing.assert_allclose(x.std(0), deviation, rtol=0.2)


def python_predict(servable, x):
    answer = servable.predict(x)
    answer["probabilities"] = tf.py_function(lambda p: p, [answer["probabilities"]], tf.float32)
    answer["probabilities"].set_shape([None, 3])
    return answer


def random_embed(servable, x):
    return {"a": servable.embed(x)["a"] + 0 * tf.random.normal([])}


def compiled_embed(servable, x):
    return {"a": tf.function(servable.model.embed, jit_compile=True)(x)}


def neighbourly_predict(servable, x):
    """Noise of every row, drawn by a fixed seed: a row's answer depends on its place in the batch."""
    answer = servable.predict(x)
    noise = tf.random.stateless_uniform(tf.shape(answer["probabilities"]), [0, 0])
    return answer | {"probabilities": answer["probabilities"] + 1e-3 * noise}


def summed_embed(servable, x):
    return {"a": tf.reduce_sum(servable.model.embed(x), -1)}


@pytest.mark.parametrize(
    ("name", "mistake", "message"),
    [
        ("serving_default", python_predict, "Expected no operation that calls Python. Received EagerPyFunc"),
        ("embed", random_embed, "Expected no random state on a server: answers would differ. Received RandomStandardN"),
        ("embed", compiled_embed, "Expected nothing that must be compiled by XLA"),
        ("embed", summed_embed, "Expected the outputs of embed"),
        (
            "serving_default",
            neighbourly_predict,
            r"Expected probabilities of \w+ \(process 1\), (batch|keras) to agree within",
        ),
        ("serving_default", lambda servable, x: servable.predict(x), "Expected as many stored numbers as parameters"),
    ],
)
def test_a_planted_mistake_is_found_and_nothing_is_left(
    tmp_path, monkeypatch, keep, in_process, name, mistake, message
):
    keep("serving_default", name)
    monkeypatch.setitem(SIGNATURES, name, replace(SIGNATURES[name], method=mistake))
    with pytest.raises(VerificationError, match=message):
        export(make_servable().model, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_does_not_load_is_found_and_nothing_is_left(tmp_path, monkeypatch, keep, in_process):
    def saved_by_tensorflow(self, path):
        x = tf.TensorSpec([None, 2, 3], tf.float32, name="x")
        tf.saved_model.save(self.model, str(path), signatures=tf.function(self.predict, input_signature=[x]))

    keep("serving_default")
    monkeypatch.setattr(archive, "write", saved_by_tensorflow)
    with pytest.raises(VerificationError, match=r"Expected the model to load and run.* Received: .*[Cc]ould not find"):
        export(make_servable().model, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_a_process_tells_of_a_model_that_does_not_load(tmp_path, plain):
    graph = contract.read_graph(plain)
    with pytest.raises(VerificationError, match=r"load and run \(c_api\). Received: RuntimeError: Could not find"):
        verification.answer(tmp_path, graph, [], [verification.C_API])


def test_an_operation_without_a_kernel_is_found(plain):
    with pytest.raises(RuntimeError, match="Expected a kernel for the CPU of every operation. Received none of CudnnR"):
        runners.c_api_runner(str(plain), operations=["MatMul", "NoOp", "CudnnRNN"])


def test_another_model_is_told_from_the_exported_one(plain, in_process):
    other = Servable(make_plain(feature_shape=(6,)), NAMES, temperature=1.001)
    with pytest.raises(VerificationError, match=r"probabilities of .*, keras to agree within 1e-05"):
        serving.verify(plain, other)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("variables/variables.data-00000-of-00001", "Expected the content that model_info.json names"),
        ("saved_model.pb", "Expected"),
        ("assets.extra/model_info.json", "Expected an exported model in"),
        ("assets.extra/tf_serving_warmup_requests", "Expected an exported model in"),
    ],
)
def test_damage_is_found(tmp_path, plain, file, message):
    copy = shutil.copytree(plain, tmp_path / "1")
    content = bytearray((copy / file).read_bytes())
    content[len(content) // 2] ^= 0xFF
    (copy / file).write_bytes(bytes(content))
    with pytest.raises(VerificationError, match=message):
        serving.verify(copy)


def test_a_signature_without_a_warm_up_request_is_found(tmp_path, plain):
    copy = shutil.copytree(plain, tmp_path / "1")
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


def test_without_the_c_library_its_check_is_left_out(tmp_path, plain, monkeypatch, in_process):
    monkeypatch.setattr(verification, "C_API", ("c_api", str(tmp_path)))
    found = serving.verify(plain, Servable(make_plain(feature_shape=(6,)), NAMES))
    assert found["loaders"] == ["session"]
    assert f"Expected the C library of TensorFlow in {tmp_path}" in found["left_out"]
    assert found["largest_difference"]["keras"] <= 1e-6


@pytest.mark.parametrize("content", [None, b"no library"])
def test_what_a_process_tells_where_there_is_no_library(tmp_path, plain, content):
    if content:
        (tmp_path / "libtensorflow_framework.2.dylib").write_bytes(content)
    graph = contract.read_graph(plain)
    with pytest.raises(verification.LoaderMissing, match=f"Received: NoLibraryError: .* in {tmp_path}. Received: "):
        verification.answer(plain, graph, [], [("c_api", str(tmp_path))])


def test_the_library_is_found_by_its_name_on_macos(tmp_path, plain):
    for name in ("framework", "cc"):
        installed = Path(tf.__file__).parent / f"libtensorflow_{name}.so.2"
        (tmp_path / f"libtensorflow_{name}.2.dylib").symlink_to(installed)
    assert runners.c_api_runner(str(plain), tmp_path)
