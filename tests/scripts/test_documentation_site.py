"""The site holds all pages, its links lead somewhere, and it fetches nothing from elsewhere."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from types import SimpleNamespace
from urllib.parse import unquote

import pytest

from scripts import documentation_site
from scripts.documentation_site import linked_files, on_page_markdown, pages_of, reachable_files, site_path
from tests.support.paths import REPOSITORY

CONFIGURATION = (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8")


@pytest.fixture
def repository(tmp_path):
    for name, text in {
        "docs/index.md": '# Home\n[a](a.md#part) <audio src="../audio/x.wav"></audio>\n',
        "docs/a.md": "[data](../data/) [up](../../outside.md) [web](https://example.org/b.md)\n`[no](../c.md)`\n",
        "docs/site.css": "",
        "data/README.md": "![curve](curve.png)",
        "data/curve.png": "",
        "audio/x.wav": "",
        "c.md": "",
        "d.md": "[c](c.md)\n```\n[no](data/unlinked.png)\n```\n",
        "data/unlinked.png": "",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_links_of_a_document(repository):
    found = {path.relative_to(repository).as_posix() for path in linked_files(repository / "docs/a.md", repository)}
    assert found == {"data/README.md"}


def test_files_of_the_site(repository):
    reached = ["audio/x.wav", "data/README.md", "data/curve.png", "docs/a.md", "docs/index.md", "docs/site.css"]
    assert [path.relative_to(repository).as_posix() for path in reachable_files((), repository)] == reached
    more = {path.relative_to(repository).as_posix() for path in reachable_files(["d.md", "missing.md"], repository)}
    assert more - set(reached) == {"c.md", "d.md"}


def test_paths_in_the_site():
    paths = {
        "docs/index.md": "index.html",
        "docs/faq.md": "docs/faq.html",
        "README.md": "README.html",
        "data/demo/README.md": "data/demo/index.html",
        "audio/x.flac": "audio/x.flac",
    }
    assert {source: site_path(source) for source in paths} == paths


def test_markdown_is_adapted(repository, monkeypatch):
    monkeypatch.setattr(documentation_site, "REPOSITORY", repository)

    def adapted(text, source):
        file = SimpleNamespace(src_uri=source, dest_uri=site_path(source))
        return on_page_markdown(text, SimpleNamespace(file=file), None, None)

    assert adapted("[data](../data/), [audio](../audio)", "docs/a.md") == "[data](../data/README.md), audio"
    player = '<audio controls src="../audio/x.wav">'
    assert adapted(player, "docs/index.md") == '<audio controls src="audio/x.wav">'
    assert adapted(player, "docs/a.md") == player
    assert adapted("<details>", "docs/a.md") == "<details markdown>"
    assert (
        adapted("`<details>`\n```\n[data](../data/)\n```\n", "docs/a.md") == "`<details>`\n```\n[data](../data/)\n```\n"
    )


def test_pages_of_a_navigation():
    assert list(pages_of([{"Home": "a.md"}, {"Part": ["b.md", {"C": "c.md"}]}])) == ["a.md", "b.md", "c.md"]


def test_each_page_is_in_the_navigation():
    navigation = CONFIGURATION.split("\nnav:\n")[1]
    pages = [path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "docs").glob("*.md")]
    pages += [path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "benchmarks/results").glob("*.md")]
    assert [page for page in sorted(pages) if f": {page}\n" not in navigation] == []


class Links(HTMLParser):
    """Collects what a page links to, and what a browser fetches with it."""

    def __init__(self, text):
        super().__init__()
        self.links, self.fetched, self.anchors = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.anchors |= {values[key] for key in ("id", "name") if values.get(key)}
        found = [values[key] for key in ("href", "src") if values.get(key)]
        self.links += found
        if tag in ("script", "img", "audio", "source", "iframe") or values.get("rel") in ("stylesheet", "preconnect"):
            self.fetched += found


@pytest.mark.medium
def test_strict_build(tmp_path):
    pytest.importorskip("material", reason="needs mkdocs: pip install -r requirements-docs.txt")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    built = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    pages = {
        path: Links(path.read_text(encoding="utf-8")) for path in tmp_path.rglob("*.html") if path.name != "404.html"
    }
    assert len(pages) > 15
    fetched = [link for page in pages.values() for link in page.fetched if re.match(r"(https?:)?//", link)]
    assert fetched == []
    assert len(list(tmp_path.glob("audio/*.flac"))) == 8
    broken = []
    for path, page in pages.items():
        for link in page.links:
            if re.match(r"(https?:)?//|mailto:|javascript:", link):
                continue
            name, _, anchor = unquote(link).partition("#")
            target = (path.parent / name).resolve() if name else path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file() or (anchor and target in pages and anchor not in pages[target].anchors):
                broken.append(f"{path.relative_to(tmp_path)}: {link}")
    assert broken == []
