from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from tfadgm.data.arrays import own_arrays, read_points
from tfadgm.data.dataset import UNLABELED
from tfadgm.data.labels import choose_labels
from tfadgm.data.sources import load_dataset
from tfadgm.errors import InputError

GOOD = {
    "x_labeled": np.arange(12.0).reshape(4, 3),
    "y_labeled": np.array(["cat", "dog", "cat", "dog"]),
    "x_unlabeled": np.ones([5, 3]),
    "x_test": np.zeros([2, 3]),
    "y_test": np.array(["dog", "cat"]),
}


def write(folder: Path, **changes) -> Path:
    arrays = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
    np.savez(folder / "own.npz", **arrays)
    return folder / "own.npz"


def test_strings_become_sorted_classes(tmp_path):
    dataset = load_dataset(str(write(tmp_path)))
    assert dataset.class_names == ("cat", "dog")
    assert dataset.y.tolist() == [0, 1, 0, 1] + [UNLABELED] * 5
    assert dataset.y_test.tolist() == [1, 0]
    assert dataset.x.shape == (9, 3)
    assert dataset.likelihood == "gaussian"


def test_class_names_set_the_order_of_strings_and_indices(tmp_path):
    names = np.array(["dog", "cat"])
    assert own_arrays(write(tmp_path, class_names=names)).y[:4].tolist() == [1, 0, 1, 0]
    numbers = {"y_labeled": np.array([1, 0, 1, 0]), "y_test": np.array([0, 1])}
    data = own_arrays(write(tmp_path, class_names=names, **numbers))
    assert (data.y[:4].tolist(), data.y_test.tolist()) == ([1, 0, 1, 0], [0, 1])


def test_any_integers_are_classes(tmp_path):
    data = own_arrays(write(tmp_path, y_labeled=np.array([7, -2, 7, 40]), y_test=np.array([40, 7])))
    assert data.class_names == ("-2", "7", "40")
    assert data.y[:4].tolist() == [1, 0, 1, 2]
    assert data.y_test.tolist() == [2, 1]


MARKED = {"x": np.concatenate([GOOD["x_labeled"], GOOD["x_unlabeled"]]), "y": np.repeat([0, 1, -1], [2, 2, 5])}


@pytest.mark.parametrize(
    "y",
    [
        MARKED["y"], MARKED["y"].astype(float), np.where(MARKED["y"] < 0, np.nan, MARKED["y"]),
        np.array(["0", "1", ""])[MARKED["y"]], np.array(["0", "1", "nan"])[MARKED["y"]], MARKED["y"].astype(str),
    ],
    ids=["-1", "-1.0", "NaN", "empty", "nan", "'-1'"],
)  # fmt: skip
def test_every_marker_of_no_label_is_taken(tmp_path, y):
    np.savez(tmp_path / "own.npz", x=MARKED["x"], y=y)
    data = own_arrays(tmp_path / "own.npz")
    assert data.class_names == ("0", "1")
    assert data.y.tolist() == [0, 0, 1, 1] + [UNLABELED] * 5
    assert data.ids is None


def test_a_file_of_keras_is_taken(tmp_path):
    tests = {"x_test": MARKED["x"][:2], "y_test": MARKED["y"][:2]}
    np.savez(tmp_path / "own.npz", x_train=MARKED["x"], y_train=MARKED["y"], **tests)
    data = own_arrays(tmp_path / "own.npz")
    assert data.y.tolist() == MARKED["y"].tolist()
    assert data.y_test.tolist() == [0, 0]
    np.testing.assert_array_equal(read_points(tmp_path / "own.npz"), MARKED["x"])
    np.savez(tmp_path / "two.npz", x_train=MARKED["x"], y_train=MARKED["y"], x=MARKED["x"], y=MARKED["y"])
    with pytest.raises(InputError, match="Received: x_train, y_train, x, y"):
        own_arrays(tmp_path / "two.npz")


def test_a_marker_among_the_labeled_is_no_class(tmp_path):
    data = own_arrays(write(tmp_path, y_labeled=np.array(["cat", "dog", "nan", ""])))
    assert data.class_names == ("cat", "dog")
    assert data.y.tolist() == [0, 1] + [UNLABELED] * 7
    assert data.ids.tolist() == ["labeled-0", "labeled-1", "labeled-2", "labeled-3", "0", "1", "2", "3", "4"]


def test_points_and_labels_in_files_of_their_own(tmp_path):
    np.save(tmp_path / "x.npy", MARKED["x"])
    np.save(tmp_path / "y.npy", MARKED["y"])
    sparse.save_npz(tmp_path / "sparse.npz", sparse.csr_matrix(MARKED["x"]))
    for name in ("x.npy", "sparse.npz"):
        data = load_dataset(str(tmp_path / name), target=str(tmp_path / "y.npy"))
        np.testing.assert_array_equal(data.x, MARKED["x"])
        assert data.y.tolist() == MARKED["y"].tolist()
    assert load_dataset(str(tmp_path / "x.npy")).classes == 0
    with pytest.raises(InputError, match="Expected --target with a table, an .npy file or a sparse .npz file"):
        load_dataset(str(write(tmp_path)), target="y.npy")
    with pytest.raises(InputError, match="Expected --columns with table of your own"):
        load_dataset(str(tmp_path / "x.npy"), columns="a=numeric")


def test_a_trap_of_zeros_is_refused_before_it_is_unpacked(tmp_path):
    np.savez_compressed(tmp_path / "own.npz", x_unlabeled=np.zeros([2**20, 1025], bool))
    with pytest.raises(InputError, match="Expected .* to hold at most 100 times its size. Received: 1.0 GiB in"):
        load_dataset(str(tmp_path / "own.npz"))


def test_images_keep_their_shape_and_bytes(tmp_path):
    images = {key: np.zeros([len(GOOD[key]), 4, 5, 3], np.uint8) for key in ("x_labeled", "x_unlabeled", "x_test")}
    dataset = load_dataset(str(write(tmp_path, **images)))
    assert dataset.x.shape == (9, 4, 5, 3)
    assert dataset.x.dtype == np.uint8
    assert dataset.likelihood == "bernoulli"


def test_the_test_arrays_are_optional(tmp_path):
    assert len(load_dataset(str(write(tmp_path, x_test=None, y_test=None))).y_test) == 0


def with_nan(key: str) -> dict[str, np.ndarray]:
    array = GOOD[key].copy()
    array[1, 2] = np.nan
    return {key: array}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_unlabeled": None}, "Expected .* to hold x and y, or x_labeled, y_labeled and x_unlabeled"),
        ({"labels": np.zeros(3)}, "Received: .*labels"),
        ({"y_test": None}, "x_test with y_test"),
        ({"x_unlabeled": np.ones([5, 4])}, r"Expected x_unlabeled to have features of shape \(3,\)"),
        ({"x_unlabeled": np.ones([0, 3])}, "Expected x_unlabeled .* at least one row"),
        ({"x_labeled": np.ones([0, 3]), "y_labeled": np.array([], int)}, "Expected x_labeled .* at least one row"),
        ({"x_labeled": np.ones(4)}, "Expected x_labeled"),
        ({"x_labeled": np.array([["a", "b", "c"]] * 4)}, "Expected x_labeled to hold numbers"),
        (with_nan("x_labeled"), "Expected finite numbers in x_labeled. Received NaN or infinity in row 1"),
        (with_nan("x_unlabeled"), "Expected finite numbers in x_unlabeled"),
        ({"x_unlabeled": np.full([5, 3], np.inf)}, "Expected finite numbers in x_unlabeled"),
        ({"y_labeled": np.array(["cat", "dog"])}, r"Expected y_labeled to have shape \(4,\)"),
        ({"y_labeled": np.array([0.5, 1.0, 0.0, 1.0])}, "Expected y_labeled to hold whole numbers or text"),
        ({"y_labeled": np.array(["cat"] * 4)}, "Expected 2 to 1000 classes in y_labeled. Received: 1"),
        ({"y_test": np.array([0, 1])}, "Expected every label of y_test .* Received: '0'"),
        ({"y_test": np.array(["cat", "cow"])}, "Expected every label of y_test .* Received: 'cow'"),
        ({"class_names": np.array(["cat", "dog", "cow"])}, "Received none of class .*cow"),
        ({"class_names": np.array(["cat", "cat"])}, "Expected class_names to hold distinct strings"),
        ({"class_names": np.array(["cat", "cow"])}, "Expected every label of y_labeled .* Received: 'dog'"),
        ({"class_names": np.array([str(i) for i in range(1001)])}, "Received: 1001"),
        ({"x_labeled": np.array([{}] * 4, object)}, "no pickled objects"),
        ({"x_unlabeled": np.ones([5, 3], np.uint8)}, "Expected x_unlabeled and x_labeled to be both bytes"),
        ({"x_unlabeled": np.full([5, 3], 1e300)}, "Received NaN or infinity in row 0"),
        ({"x_unlabeled": np.ones([5, 3], complex)}, "Expected x_unlabeled to hold numbers"),
        ({"y_labeled": np.array(3)}, r"Expected y_labeled to have shape \(4,\)"),
        ({"y_test": np.array([0.5, 1.5])}, "Expected y_test to hold whole numbers or text"),
        ({"y_test": np.array([(1, 2.0), (3, 4.0)], "i4,f4")}, "Expected y_test to hold whole numbers or text"),
    ],
)
def test_bad_arrays_are_named(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        own_arrays(write(tmp_path, **changes))


def test_points_alone_have_no_classes(tmp_path):
    np.savez(tmp_path / "mine.npz", x_unlabeled=np.zeros([3, 2]), x_test=np.ones([1, 2]))
    dataset = load_dataset(str(tmp_path / "mine.npz"))
    assert dataset.x.shape == (3, 2)
    assert dataset.x_test.shape == (1, 2)
    assert dataset.classes == len(dataset.y_test) == 0
    assert (dataset.y == UNLABELED).all()
    with pytest.raises(InputError, match="Expected labels for a classifier"):
        choose_labels(dataset, None, 0)
    np.savez(tmp_path / "half.npz", x_unlabeled=np.zeros([3, 2]), y_labeled=np.zeros(3))
    with pytest.raises(InputError, match="for a density model x or x_unlabeled. Received: x_unl"):
        load_dataset(str(tmp_path / "half.npz"))


def test_labels_out_of_range_are_named(tmp_path):
    path = write(
        tmp_path, class_names=np.array(["cat", "dog"]), y_labeled=np.array([0, 1, 2, 0]), y_test=np.array([0, 1])
    )
    with pytest.raises(InputError, match="Expected every label of y_labeled .* Received: 2"):
        own_arrays(path)


def test_damage_anywhere_in_a_file_is_one_line(tmp_path):
    """Every byte of a compressed file, flipped one at a time, is either harmless or told in one line."""
    np.savez_compressed(tmp_path / "whole.npz", **GOOD)
    content = (tmp_path / "whole.npz").read_bytes()
    messages = []
    for place in range(0, len(content), 5):
        path = tmp_path / "own.npz"
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            own_arrays(path)
        except InputError as error:
            messages.append(str(error))
    assert len(messages) > 50
    assert not any("\n" in message for message in messages)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip", b"\x93NUMPY\x01\x00", b"plain text"])
def test_files_that_are_no_npz_are_refused(tmp_path, content):
    path = tmp_path / "own.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"Expected .* to be an \.npz file"):
        own_arrays(path)


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(InputError, match="Expected an existing .npz file"):
        own_arrays(tmp_path / "own.npz")


def test_names_in_a_file_do_not_reach_the_terminal_raw(tmp_path):
    """A key that would clear the screen is told as text."""
    np.savez(tmp_path / "own.npz", **{"\x1b[2Jx": np.ones(3)})
    with pytest.raises(InputError) as error:
        own_arrays(tmp_path / "own.npz")
    assert "\\x1b[2Jx" in str(error.value)
    assert "\x1b" not in str(error.value)
