"""Each message that docs/troubleshooting.md explains is still a message of the programs or scripts."""

import ast
import re

from tests.support.paths import REPOSITORY

PAGE = (REPOSITORY / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
FOLDERS = ("common", "hifigan", "fastpitch", "voice", "evaluation")
GAP = "…"  # in a message, on the page and here: a part that differs


def messages_of_python(source):
    """Return the strings of a module, but for docstrings, with GAP in place of what is filled in."""
    tree = ast.parse(source)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if id(node) in docstrings:
            continue
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else GAP for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield re.sub(r"%[-+.\d]*[sdfgr]", GAP, node.value)  # as in logging


def messages_of_bash(source):
    """Return the arguments of echo, likewise."""
    for words in re.findall(r"echo ((?:\\\n|[^\n>|])+)", source):
        joined = re.sub(r'"\s*\\\n\s*"', " ", words)
        yield re.sub(r"\$\{[^}]*\}|\$\w+", GAP, joined)


def all_messages():
    modules = [*REPOSITORY.glob("*.py"), *(file for name in FOLDERS for file in (REPOSITORY / name).rglob("*.py"))]
    scripts = (REPOSITORY / "scripts").rglob("*.sh")
    found = [text for file in modules for text in messages_of_python(file.read_text(encoding="utf-8"))]
    return found + [text for file in scripts for text in messages_of_bash(file.read_text(encoding="utf-8"))]


def explained():
    return re.findall(r"^### `(.+)`$", PAGE, re.MULTILINE)


def is_among(quoted, messages):
    pieces = [re.escape(piece) for piece in quoted.split(GAP)]
    pattern = re.compile(f".*{GAP}.*".join(pieces), re.DOTALL)  # something is filled in at each gap
    return any(pattern.search(message) for message in messages)


def test_every_explained_message_exists():
    messages = all_messages()
    assert len(explained()) > 50
    assert [quoted for quoted in explained() if not is_among(quoted, messages)] == []


def test_the_comparison_notices_other_words():
    messages = [f"{GAP}: the pace is {GAP}; give {GAP}"]
    assert is_among(f"the pace is {GAP}", messages)
    assert not is_among("the pace is 3", messages)
    assert not is_among(f"the speed is {GAP}", messages)


def test_headings_are_the_messages_only():
    """A heading of another form would not be compared."""
    assert len(re.findall(r"^### ", PAGE, re.MULTILINE)) == len(explained()) == len(set(explained()))
