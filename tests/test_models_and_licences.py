"""docs/models-and-licences.md names every download, with its address and checksum, and the files of the voice."""

import hashlib
import re

from common.download.datasets import DATASETS
from common.download.models import MODELS, WHEEL, WHEEL_SHA256
from tests.support.paths import REPOSITORY

PAGE = (REPOSITORY / "docs" / "models-and-licences.md").read_text(encoding="utf-8")


PLACES = {"PyPI": "wheel", "GitHub": "GitHub", "NGC": "NVIDIA NGC"}  # source: word in the column "from"


def test_every_model_is_listed_with_its_source():
    rows = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| `")]
    listed = {row[0].strip("`"): row[2] for row in rows if len(row) == 5}
    assert [name for name, model in MODELS.items() if PLACES[model.source] not in listed.get(name, "")] == []


def test_addresses_and_checksums_are_those_of_the_programs():
    wanted = {WHEEL, WHEEL_SHA256}
    for model in MODELS.values():
        wanted |= {model.url, model.sha256, model.config_sha256}
    for archive in DATASETS.values():
        wanted |= {archive.url, archive.sha256}
    script = (REPOSITORY / "scripts" / "download_cmudict.sh").read_text(encoding="utf-8")
    dictionary = re.findall(r"https://[^}\s]+|[0-9a-f]{64}", script)
    assert len(dictionary) == 2
    assert [text for text in sorted(wanted | set(dictionary)) if text not in PAGE] == []


def test_checksums_of_the_voice():
    files = sorted((REPOSITORY / "pretrained" / "kathleen").glob("*.safetensors"))
    assert len(files) == 2
    for file in files:
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{file.name}` |"))
        assert hashlib.sha256(file.read_bytes()).hexdigest() in row
