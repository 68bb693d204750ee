"""Whether an export runs on the libraries of other TensorFlow releases, as a server of another release would run it.

    python -m experiments compatibility VERSION_DIR 2.20.0 2.18.0

VERSION_DIR is an exported version. The wheels of the releases are downloaded, a quarter of a gigabyte each. Every
release answers the requests of `tfadgm.serving.verify` through its own C API. Results go to results/compatibility.json.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from experiments.results import origin, parser, save
from tfadgm.cli import path
from tfadgm.errors import VerificationError
from tfadgm.provenance import commit


def main(name: str, arguments: Sequence[str]) -> None:
    import tensorflow as tf

    flags = parser(name, __doc__)
    flags.add_argument("version_dir", type=path, metavar="VERSION_DIR")
    flags.add_argument("releases", nargs="+", metavar="RELEASE")
    asked = flags.parse_args(arguments)
    told = {**origin(f"{name} VERSION_DIR {' '.join(asked.releases)}"), "commit": commit()}
    releases = {}
    for release in asked.releases:
        with tempfile.TemporaryDirectory() as folder:
            download(release, Path(folder))
            releases[release] = difference(asked.version_dir, Path(folder))
        print(release, releases[release], flush=True)
    save(name, {**told, "exported_by": tf.__version__, "largest_difference": releases})


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


def difference(version: Path, libraries: Path) -> float | str:
    """The largest difference from the installed release, relative to the largest of an output; or what went wrong."""
    from tfadgm.serving import contract, verification, warmup

    graph = contract.read_graph(version)
    calls = verification.make_calls(warmup.read(version / verification.INFO.parent / warmup.FILE))
    try:
        answers = [
            verification.answer(version, graph, calls, [run])[0]
            for run in (verification.C_API, (*verification.C_API, str(libraries)))
        ]
        return max(verification.compare(calls, answers).values())
    except VerificationError as error:
        return str(error)
