"""Hooks of mkdocs (`mkdocs.yml`): a site of the documents, at the paths that they have in the repository.

Documents link to each other and to other files as on GitHub, also from docs/ to the rest of the repository. The site
therefore holds docs/, the pages of the navigation and every file that these link to, and relative links work unchanged.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
HOME = "docs/index.md"
_MARKDOWN_LINK = re.compile(r"(?<=\]\()([^)\s#]+)(?=[)\s#])")
_HTML_LINK = re.compile(r"(?<=\s(?:src|ref)=\")([^\"#]+)|(?<=\ssrcset=\")([^\"#]+)|(?<=\shref=\")([^\"#]+)")


def linked_files(document: Path, repository: Path = REPOSITORY) -> Iterator[Path]:
    """Yield the files of the repository that a Markdown document links to. A folder stands for its README.md."""
    text = _without_code(document.read_text(encoding="utf-8"))
    for match in [*_MARKDOWN_LINK.finditer(text), *_HTML_LINK.finditer(text)]:
        target = (document.parent / match[0]).resolve()
        if target.is_dir():
            target = target / "README.md"
        if "://" not in match[0] and target.is_file() and target.is_relative_to(repository):
            yield target


def reachable_files(pages: Iterable[str] = (), repository: Path = REPOSITORY) -> list[Path]:
    """Return docs/, further pages and all files that can be reached from them by links, sorted."""
    documents = [path for path in (repository / "docs").iterdir() if path.suffix in (".md", ".css")]
    waiting = [*documents, *(repository / page for page in pages if (repository / page).is_file())]
    found = set(waiting)
    while waiting:
        document = waiting.pop()
        if document.suffix != ".md":
            continue
        new = set(linked_files(document, repository)) - found
        found |= new
        waiting += new
    return sorted(found)


def site_path(source: str) -> str:
    """Return the path in the site of a file of the repository."""
    path = Path(source)
    if source == HOME:
        return "index.html"
    if path.suffix != ".md":
        return source
    # The README.md of the repository is not the first page of the site.
    return str(
        path.with_name("index.html" if path.name == "README.md" and len(path.parts) > 1 else f"{path.stem}.html")
    )


def pages_of(navigation: Any) -> Iterator[str]:
    """Yield the pages in the `nav` of mkdocs.yml: a page, a list, or a dictionary from titles to these."""
    if isinstance(navigation, str):
        yield navigation
        return
    for item in navigation.values() if isinstance(navigation, dict) else navigation:
        yield from pages_of(item)


def on_files(files: Any, config: Any) -> Any:
    """Replace the files of docs/ with all files of the site."""
    from mkdocs.structure.files import File, Files

    kept = [file for file in files if file.src_dir != config.docs_dir]  # of the theme
    sources = [path.relative_to(REPOSITORY).as_posix() for path in reachable_files(pages_of(config.nav))]
    return Files(
        kept + [File(name, str(REPOSITORY), config.site_dir, False, dest_uri=site_path(name)) for name in sources]
    )


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Adapt what mkdocs reads otherwise than GitHub: links to folders, links in HTML, Markdown in <details>."""
    folder = (REPOSITORY / page.file.src_uri).parent

    def adapt(text: str) -> str:
        text = re.sub(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s#]+)\)", lambda m: _folder_link(m, folder), text)
        text = text.replace("<details>", "<details markdown>")
        return _HTML_LINK.sub(lambda match: _html_link(match[0], folder, page.file.dest_uri), text)

    return _outside_code(markdown, adapt)


def _folder_link(match: re.Match[str], folder: Path) -> str:
    target = folder / match[2]
    if "://" in match[2] or not target.is_dir():
        return match[0]
    readme = target / "README.md"
    return f"[{match[1]}]({match[2].rstrip('/')}/README.md)" if readme.is_file() else match[1]


def _html_link(link: str, folder: Path, page_path: str) -> str:
    target = (folder / link).resolve()
    if "://" in link or not target.is_file():
        return link
    path = site_path(target.relative_to(REPOSITORY).as_posix())
    return os.path.relpath(path, Path(page_path).parent)


_CODE = re.compile(r"^( *```).*?^\1|`[^`\n]+`", re.DOTALL | re.MULTILINE)


def _without_code(text: str) -> str:
    return _CODE.sub("", text)


def _outside_code(text: str, adapt: Any) -> str:
    parts, end = [], 0
    for match in _CODE.finditer(text):
        parts += [adapt(text[end : match.start()]), match[0]]
        end = match.end()
    return "".join([*parts, adapt(text[end:])])
