"""The pages of the documentation, taken apart: code, command lines, links, headings."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^(<!-- not run: .+ -->\n)?```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\((?!\w+:)([^)\s]*?)(?:#([^)\s]*))?\)")
COMMAND = re.compile(r"(?:\.venv/bin/)?python |tfadgm |make ")


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def python_blocks(page: Path) -> list[str]:
    """Blocks of Python that are to be run; the others say why they are not."""
    return [text for skipped, kind, text in BLOCK.findall(page.read_text()) if kind == "python" and not skipped]


def commands(page: Path) -> Iterator[list[str]]:
    """The words of every command of ours, without comments."""
    for _, kind, text in BLOCK.findall(page.read_text()):
        for line in text.replace("\\\n", " ").splitlines():
            if kind == "sh" and COMMAND.match(line):
                yield shlex.split(line, comments=True)


def inline_code(page: Path) -> list[str]:
    return INLINE.findall(BLOCK.sub("", page.read_text()))


def anchors(page: Path) -> set[str]:
    """What `#...` may name: headings in small letters, with dashes."""
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", heading.lower()).strip()) for heading in headings}


def links(page: Path) -> list[tuple[Path, str]]:
    """Files that a page links to, with the anchor or ""."""
    text = BLOCK.sub("", page.read_text())
    return [(page.parent / target if target else page, anchor) for target, anchor in LINK.findall(text)]
