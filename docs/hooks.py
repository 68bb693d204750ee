"""MkDocs hooks: pages and pictures outside docs/ are part of the site, and their links lead to each other.

README.md becomes index.md; files of docs/ move to the top; the others keep their paths.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
TOP = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "CITATION.cff", "LICENSE")
LINK = re.compile(r"(\]\()(?!\w+:)([^)#\s]+)")


def on_files(files: Files, config: Any) -> Files:
    """Adds what lies outside docs/."""
    for path in [*(ROOT / name for name in TOP), *sorted((ROOT / "results").iterdir())]:
        name = site_path(path.relative_to(ROOT).as_posix())
        files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **kwargs: Any) -> str:
    """Turns links between files of the repository into links between pages of the site."""
    here = posixpath.dirname(page.file.src_uri)
    repository = Path(page.file.abs_src_path).relative_to(ROOT).parent

    def moved(link: re.Match[str]) -> str:
        target = (ROOT / repository / link[2]).resolve().relative_to(ROOT)
        return link[1] + posixpath.relpath(site_path(target.as_posix()), here)

    return LINK.sub(moved, markdown)


def site_path(path: str) -> str:
    """Where a file of the repository is in the sources of the site."""
    return "index.md" if path == "README.md" else path.removeprefix("docs/")
