"""Markdown documents: headings, anchors, links and code blocks."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.paths import REPOSITORY

GUIDES = [REPOSITORY / "README.md", *sorted(REPOSITORY.glob("docs/*.md"))]
DOCUMENTS = [
    *GUIDES,
    *(REPOSITORY / name for name in ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "tests/README.md")),
    *sorted(REPOSITORY.glob("benchmarks/**/*.md")),
    *(REPOSITORY / name for name in ("audio/README.md", "data/demo/README.md", "pretrained/kathleen/README.md")),
]


def without_code(text: str) -> str:
    """Return a document without fenced blocks and code spans."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE))


def slug(heading: str) -> str:
    """Return the anchor that GitHub gives to a heading."""
    words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", words).replace(" ", "-")


def headings(text: str) -> list[tuple[int, str]]:
    """Return (level, words) of each heading, in order."""
    plain = re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    return [(len(marks), words) for marks, words in re.findall(r"^(#{1,6}) (.+?) *$", plain, re.MULTILINE)]


def anchors(path: Path) -> set[str]:
    """Return the anchors of a document. The second heading of the same words ends in -1."""
    found: set[str] = set()
    for _, words in headings(path.read_text(encoding="utf-8")):
        name, number = slug(words), 0
        while (anchor := f"{name}-{number}" if number else name) in found:
            number += 1
        found.add(anchor)
    return found


def links(path: Path) -> list[str]:
    """Return the targets of a document's links and pictures."""
    text = without_code(path.read_text(encoding="utf-8"))
    return re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:href|src)="([^"]+)"', text)


def dead_links(path: Path) -> list[str]:
    """Return the relative links of a document whose file or anchor does not exist."""
    dead = []
    for link in links(path):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            dead.append(link)
    return dead


def code_blocks(text: str, language: str) -> list[str]:
    """Return the contents of fenced blocks of a language, without their indentation."""
    blocks = re.findall(rf"^( *)```{language}\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in blocks]
