"""The workflow's rights and actions, and that SECURITY.md describes what is there."""

from __future__ import annotations

import itertools
import re
import shlex

import yaml

from tests.support.paths import REPOSITORY

WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
SECURITY = (REPOSITORY / "SECURITY.md").read_text(encoding="utf-8")


def test_workflows_may_only_read() -> None:
    assert WORKFLOWS
    for path in WORKFLOWS:
        workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert workflow["permissions"] == {"contents": "read"}, path.name
        for job in workflow["jobs"].values():
            assert "permissions" not in job
            assert job["timeout-minutes"] <= 60
            for step in job["steps"]:
                if step.get("uses", "").startswith("actions/checkout@"):
                    assert step["with"]["persist-credentials"] is False, "later steps could push"
                # An expression in a command would run what a branch or title contains.
                assert "${{" not in step.get("run", "")
        assert "pull_request_target" not in workflow[True]


def test_actions_are_pinned_by_commit_with_their_version() -> None:
    for path in WORKFLOWS:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if "uses:" in line]
        assert lines
        for line in lines:
            assert re.search(r"uses: actions/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line
    updates = yaml.safe_load((REPOSITORY / ".github" / "dependabot.yml").read_text())["updates"]
    assert [update["package-ecosystem"] for update in updates] == ["github-actions"]


def test_files_and_commands_of_the_security_policy_exist() -> None:
    commands = [line for block in re.findall(r"```bash\n(.*?)```", SECURITY, re.DOTALL) for line in block.splitlines()]
    assert len(commands) == 3
    for command in commands:
        words = shlex.split(command, comments=True)
        assert words[:4] == ["pip", "install", "--require-hashes", "--no-deps"]
        for flag, value in itertools.pairwise(words):
            assert flag != "-r" or (REPOSITORY / value).is_file(), command
    for name in re.findall(r"`(?:bash |python )?(scripts/[\w/.]+\.(?:sh|py))", SECURITY):
        assert (REPOSITORY / name).is_file(), name
    assert "SHA-256 is printed" in SECURITY
    assert "/usr/share/sbom/hifigan.cdx.json" in (REPOSITORY / "Dockerfile").read_text()
