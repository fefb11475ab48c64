"""The bill of materials lists what `pip list` lists, in the form of CycloneDX. Equal packages give equal files."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.docker import sbom
from tests.support.paths import REPOSITORY

STATUS = """Package: libc6
Status: install ok installed
Architecture: amd64
Version: 1:2.36-9+deb12u10
Description: libraries
 that go on: here

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
"""


@pytest.mark.medium
def test_every_package_is_listed(tmp_path: Path) -> None:
    command = [sys.executable, str(REPOSITORY / "scripts" / "docker" / "sbom.py"), str(tmp_path / "a" / "sbom.json")]
    subprocess.run(command, cwd=tmp_path, check=True)
    bill = json.loads((tmp_path / "a" / "sbom.json").read_text())
    listing = [sys.executable, "-m", "pip", "list", "--format=json", "--disable-pip-version-check"]
    # In another folder, since the repository is not an installed package.
    packages = json.loads(subprocess.run(listing, cwd=tmp_path, check=True, capture_output=True).stdout)
    found = {(sbom.normalise(item["name"]), item["version"]) for item in [*bill["components"], product(bill)]}
    assert {(sbom.normalise(item["name"]), item["version"]) for item in packages} <= found
    python = [item for item in bill["components"] if item["purl"].startswith("pkg:pypi/")]
    assert len(python) in (len(packages), len(packages) - 1)  # without the product


def product(bill: dict) -> dict:
    return bill["metadata"]["component"]


def test_form() -> None:
    bill = sbom.make_bill(Path("/nowhere"))
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.5", 1)
    assert re.fullmatch(
        r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", bill["serialNumber"]
    )
    references = [item["bom-ref"] for item in [*bill["components"], product(bill)]]
    assert len(set(references)) == len(references)
    for item in bill["components"]:
        assert item["type"] == "library"
        assert item["purl"] == item["bom-ref"]
    assert {needed for item in bill["dependencies"] for needed in item["dependsOn"]} <= set(references)
    (torch,) = [item for item in bill["dependencies"] if item["ref"].startswith("pkg:pypi/torch@")]
    assert any(needed.startswith("pkg:pypi/sympy@") for needed in torch["dependsOn"])
    licensed = sum("licenses" in item for item in bill["components"])
    assert licensed > len(bill["components"]) / 2
    assert bill == sbom.make_bill(Path("/nowhere"))


def test_debian_packages(tmp_path: Path) -> None:
    (tmp_path / "status").write_text(STATUS)
    (found,) = sbom.debian_components(tmp_path / "status")
    assert found["purl"] == "pkg:deb/debian/libc6@1%3A2.36-9%2Bdeb12u10?arch=amd64"
    assert found["version"] == "1:2.36-9+deb12u10"
    assert sbom.debian_components(tmp_path / "none") == []


def test_the_image_contains_it() -> None:
    text = (REPOSITORY / "Dockerfile").read_text()
    (path,) = re.findall(r"python scripts/docker/sbom\.py (\S+)", text)
    assert f'LABEL io.github.hifigan-recipe.sbom="{path}"' in text
    assert text.index("pip install --no-deps --editable .") < text.index("sbom.py")
