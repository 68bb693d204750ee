import numpy as np
import pytest

from tfadgm.data.classes import NO_LABEL, Classes
from tfadgm.errors import InputError


@pytest.mark.parametrize(
    ("y", "names", "codes"),
    [
        (np.array([7, -1, 40, 7]), ("7", "40"), [0, -1, 1, 0]),
        (np.array([7.0, np.nan, 40.0]), ("7", "40"), [0, -1, 1]),
        (np.array([10, 9, 2]), ("2", "9", "10"), [2, 1, 0]),
        (np.array([True, False]), ("False", "True"), [1, 0]),
        (np.array(["no", "", " yes", "nan"]), ("no", "yes"), [0, -1, 1, -1]),
        (np.array(["no", None, float("nan"), "yes"], object), ("no", "yes"), [0, -1, -1, 1]),
        (np.array([0, None, 1], object), ("0", "1"), [0, -1, 1]),
        (np.array([0, "a", -1], object), ("0", "a"), [0, 1, -1]),
        (np.array([b"no", b"yes"]), ("no", "yes"), [0, 1]),
    ],
)
def test_labels_and_gaps(y, names, codes):
    classes = Classes.of(y)
    assert classes.names == names
    assert classes.encode(y).tolist() == codes


@pytest.mark.parametrize("marker", [*NO_LABEL, "NaN", "None", " NA "])
def test_every_marker_of_a_gap_in_text(marker):
    y = np.array(["a", "b", marker])
    assert Classes.of(y).encode(y).tolist() == [0, 1, -1]
    assert not Classes.of(y).notes


def test_a_doubtful_marker_is_taken_and_told():
    y = np.array(["a", "unknown", "b", "?"])
    classes = Classes.of(y, "y")
    assert classes.encode(y).tolist() == [0, -1, 1, -1]
    assert classes.notes == ("y: '?' is taken for no label", "y: 'unknown' is taken for no label")


def test_names_set_the_order_of_text_and_indices():
    names = np.array(["dog", "cat"])
    assert Classes.of(np.array(["cat", "dog"]), names=names).encode(np.array(["cat", "", "dog"])).tolist() == [1, -1, 0]
    assert Classes.of(np.array([0, 1]), names=names).encode(np.array([1, -1, 0])).tolist() == [1, -1, 0]


@pytest.mark.parametrize(
    ("y", "names", "message"),
    [
        (np.array([-1, 1, 1]), None, "Received: 1, beside rows whose label is a gap or -1"),
        (np.array(["", ""]), None, "Expected 2 to 1000 classes in y. Received: 0"),
        (np.arange(1001), None, "Received: 1001"),
        (np.array([0.5, 1.0]), None, "Expected y to hold whole numbers or text. Received: '0.5'"),
        (np.array([[0, 1]]), None, "one a row"),
        (np.array([0j, 1j]), None, "Expected y to hold whole numbers or text"),
        (np.array([{}, []], object), None, "Expected y to hold whole numbers or text"),
        (np.array(["a", "b"]), np.array(["a", "b", "c"]), "Received none of class 'c'"),
        (np.array(["a", "d"]), np.array(["a", "b"]), "Received: 'd'"),
        (np.array([0, 2]), np.array(["a", "b"]), "Received: 2"),
        (np.array(["a", "b"]), np.array(["a", "a"]), "Expected class_names to hold distinct strings"),
    ],
)
def test_what_cannot_be_classes_is_named(y, names, message):
    with pytest.raises(InputError, match=message):
        Classes.of(y, names=names)


def test_a_label_of_no_class_is_named():
    with pytest.raises(InputError, match="Expected every label of y_test to be one of 2 classes .* Received: 'cow'"):
        Classes.of(np.array(["cat", "dog"])).encode(np.array(["cow"]), "y_test")
