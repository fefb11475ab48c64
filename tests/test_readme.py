"""What the documents name is there."""

import re

import pytest

from tests.support import REPOSITORY

DOCUMENTS = [
    REPOSITORY / "README.md",
    *sorted(REPOSITORY.glob("docs/*.md")),
    *sorted(REPOSITORY.glob("benchmarks/*.md")),
]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (path.parent / link).exists()]
    assert not missing


def test_scripts_and_modules_that_the_readme_runs_exist():
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    scripts = set(re.findall(r"(?:bash |python )((?:scripts/)?\w+\.(?:sh|py))", text))
    modules = {name.replace(".", "/") + ".py" for name in re.findall(r"python -m ([\w.]+)", text)}
    ours = {
        name for name in modules if name.split("/")[0] in ("common", "hifigan", "fastpitch", "benchmarks", "scripts")
    }
    assert scripts
    assert ours
    assert [name for name in scripts | ours if not (REPOSITORY / name).is_file()] == []
