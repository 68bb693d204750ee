"""Files are old or new and never between, whenever a process is killed; one process at a time has a folder."""

import numpy as np
import pytest

from tests.support.faults import killed_before
from tfadgm.errors import InputError
from tfadgm.files import LOCK, digest, file_digest, locked, new_folder, write_arrays, write_json, write_text


def test_a_file_is_synced_before_it_takes_the_name_of_the_old_one(tmp_path):
    with killed_before(None) as met:
        write_text(tmp_path / "a.txt", "new")
    assert met == ["fsync", "replace", "fsync"]  # the file, then the folder


@pytest.mark.parametrize("number", range(4))
def test_a_file_is_whole_whenever_the_process_is_killed(tmp_path, number):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with killed_before(number):
        write_json(path, {"a": 2})
    assert path.read_text() == ('{\n  "a": 1\n}\n' if number < 2 else '{\n  "a": 2\n}\n')
    write_json(path, {"a": 3})
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("number", range(9))
def test_a_folder_is_complete_or_absent(tmp_path, number):
    final, partial = tmp_path / "final", tmp_path / "partial"
    with killed_before(number), new_folder(final, partial) as folder:
        (folder / "one").write_text("1")
        (folder / "two").write_text("2")
    if final.exists():
        assert {path.name: path.read_text() for path in final.iterdir()} == {"one": "1", "two": "2"}
    with new_folder(final, partial) as folder:
        (folder / "one").write_text("3")
    assert [path.name for path in final.iterdir()] == ["one"]
    assert not partial.exists()


def test_everything_in_a_folder_is_synced_before_it_gets_its_name(tmp_path):
    with killed_before(None) as met, new_folder(tmp_path / "final", tmp_path / "partial") as folder:
        (folder / "one").write_text("1")
        (folder / "two").write_text("2")
    assert met[met.index("fsync") : met.index("rename")].count("fsync") == 2


def test_arrays_are_replaced_whole(tmp_path):
    write_arrays(tmp_path / "a.npz", x=np.arange(3))
    with killed_before(1):
        write_arrays(tmp_path / "a.npz", x=np.arange(9))
    with np.load(tmp_path / "a.npz") as arrays:
        assert arrays["x"].tolist() == [0, 1, 2]


def test_a_disk_that_takes_nothing_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="Expected to write to .* Received"):
        write_text(tmp_path / "file" / "a.txt", "x")


def test_one_at_a_time(tmp_path):
    refused = pytest.raises(InputError, match="Expected a run that is not running. Received .*, which is in use")
    with locked(tmp_path, "a run"), refused, locked(tmp_path, "a run"):
        pass
    with locked(tmp_path, "a run"):
        assert [path.name for path in tmp_path.iterdir()] == [LOCK]


def test_digests_tell_shapes_types_and_contents_apart(tmp_path):
    arrays = [np.zeros(6), np.zeros([2, 3]), np.zeros(6, np.float32), np.ones(6), np.array(["a", "b"])]
    assert len({digest(array) for array in arrays}) == len(arrays)
    assert digest(np.arange(6).reshape(2, 3).T) == digest(np.ascontiguousarray(np.arange(6).reshape(2, 3).T))
    (tmp_path / "a").write_bytes(b"abc")
    assert file_digest(tmp_path / "a").startswith("ba7816bf8f01cfea")  # FIPS 180-2, appendix B.1
