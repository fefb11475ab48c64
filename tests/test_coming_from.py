"""The commands of docs/coming-from.md do what it tells. tests/common/files/generators/test_read.py loads the files."""

import re
import subprocess

from tests.support.paths import REPOSITORY

PAGE = (REPOSITORY / "docs" / "coming-from.md").read_text(encoding="utf-8")


def section(title):
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def example(title, language):
    return re.search(rf"```{language}\n(.*?)```", section(title), re.DOTALL)[1]


def test_file_lists_of_the_paper_authors(tmp_path):
    (tmp_path / "training.txt").write_text("LJ050-0234|It has used|It has used\nLJ019-0373|to avail|to avail\n")
    command = example("The paper authors' repository", "bash")
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True)
    assert (tmp_path / "train.txt").read_text().split() == ["wavs/LJ050-0234.wav", "wavs/LJ019-0373.wav"]
