"""Whether an export runs on the libraries of other TensorFlow releases, as a server of another release would run it.

    python -m benchmarks.compatibility VERSION_DIR 2.20.0 2.18.0

VERSION_DIR is an exported version. The wheels of the releases are downloaded, a quarter of a gigabyte each. Every
release answers the requests of `tfadgm.serving.verify` through its own C API. Results go to results/compatibility.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import tensorflow as tf

from benchmarks.seeds import RESULTS
from tfadgm.errors import VerificationError
from tfadgm.provenance import commit, machine
from tfadgm.serving import contract, verification, warmup

LIBRARIES = "libtensorflow_framework.so.2", "libtensorflow_cc.so.2"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version_dir", type=Path, metavar="VERSION_DIR")
    parser.add_argument("releases", nargs="+", metavar="RELEASE")
    arguments = parser.parse_args()
    releases = {}
    for release in arguments.releases:
        with tempfile.TemporaryDirectory() as folder:
            download(release, Path(folder))
            releases[release] = difference(arguments.version_dir, Path(folder))
        print(release, releases[release], flush=True)
    result = {
        "command": f"python -m benchmarks.compatibility VERSION_DIR {' '.join(arguments.releases)}",
        "commit": commit(),
        "machine": machine(),
        "exported_by": tf.__version__,
        "largest_difference": releases,
    }
    (RESULTS / "compatibility.json").write_text(json.dumps(result, indent=2) + "\n")


def download(release: str, folder: Path) -> None:
    """The two libraries of a release's wheel."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    subprocess.run([*command, f"tensorflow-cpu=={release}"], check=True)
    wheel = next(folder.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith("tensorflow/libtensorflow"):
                (folder / Path(name).name).write_bytes(archive.read(name))
    wheel.unlink()


def difference(path: Path, libraries: Path) -> float | str:
    """The largest difference from the installed release, relative to the largest of an output; or what went wrong."""
    graph = contract.read_graph(path)
    calls = verification.make_calls(warmup.read(path / verification.INFO.parent / warmup.FILE))
    try:
        answers = [
            verification.answer(path, graph, calls, [run])[0]
            for run in (verification.C_API, (*verification.C_API, str(libraries)))
        ]
        return max(verification.compare(calls, answers).values())
    except VerificationError as error:
        return str(error)


if __name__ == "__main__":
    main()
