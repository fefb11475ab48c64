"""Write a bill of materials of this environment: its Python and Debian packages as CycloneDX 1.5 in JSON.

python sbom.py FILE    the container image contains the result as /usr/share/sbom/hifigan.cdx.json

The result depends on the environment alone, so two builds of the same packages give equal files.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
import sys
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote

DPKG_STATUS = Path("/var/lib/dpkg/status")
PRODUCT = "hifigan-recipe"


def normalise(name: str) -> str:
    """Return the name of a Python package as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def python_components() -> list[dict[str, Any]]:
    """Return the installed Python packages, as `pip list` does: the first of each name on the path."""
    found: dict[str, dict[str, Any]] = {}
    for package in importlib.metadata.distributions():
        name = package.metadata["Name"]
        if not name or normalise(name) in found:
            continue
        reference = f"pkg:pypi/{normalise(name)}@{quote(package.version, safe='')}"
        found[normalise(name)] = {
            **{"type": "library", "bom-ref": reference, "name": name, "version": package.version, "purl": reference},
            **({"licenses": [{"license": {"name": words}}]} if (words := find_licence(package.metadata)) else {}),
        }
    return [found[name] for name in sorted(found)]


def find_licence(metadata: Any) -> str:
    """Return the licence in a package's metadata, "" if it names none."""
    if expression := metadata.get("License-Expression"):
        return str(expression)
    classes = [
        line.rpartition(" :: ")[2] for line in metadata.get_all("Classifier") or [] if line.startswith("License")
    ]
    words = " ".join(str(metadata.get("License") or "").split())
    return "; ".join(classes) or (words if len(words) <= 100 else "")


def debian_components(status: Path) -> list[dict[str, Any]]:
    """Return the installed Debian packages by dpkg's records, none on other systems."""
    if not status.is_file():
        return []
    found = []
    for paragraph in status.read_text(encoding="utf-8", errors="replace").split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z-]+): (.*)$", paragraph, re.MULTILINE))
        if fields.get("Status") != "install ok installed":
            continue
        name, version, machine = fields["Package"], fields["Version"], fields["Architecture"]
        reference = f"pkg:deb/debian/{quote(name, safe='')}@{quote(version, safe='')}?arch={machine}"
        found.append({"type": "library", "bom-ref": reference, "name": name, "version": version, "purl": reference})
    return sorted(found, key=lambda component: str(component["bom-ref"]))


def make_bill(status: Path = DPKG_STATUS) -> dict[str, Any]:
    """Return the bill of materials."""
    python = python_components()
    components = [*python, *debian_components(status)]
    product = next((item for item in python if normalise(item["name"]) == PRODUCT), {"name": PRODUCT, "version": ""})
    listed = [item for item in components if item is not product]
    known = {normalise(item["name"]): item["bom-ref"] for item in python}
    dependencies = []
    for item in python:
        needed = importlib.metadata.requires(item["name"]) or []
        names = {normalise(re.split(r"[^\w.-]", line)[0]) for line in needed if "extra ==" not in line}
        dependencies.append({"ref": item["bom-ref"], "dependsOn": sorted(known[name] for name in names & set(known))})
    digest = hashlib.sha256(json.dumps(components).encode()).digest()
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.UUID(bytes=digest[:16], version=4)}",
        "version": 1,
        "metadata": {
            "component": {
                **{"type": "application", "bom-ref": product.get("bom-ref", PRODUCT)},
                **{"name": PRODUCT, "version": product["version"]},
            }
        },
        "components": listed,
        "dependencies": dependencies,
    }


def main() -> int:
    if len(sys.argv) != 2:
        raise SystemExit("usage: python sbom.py FILE")
    bill = make_bill()
    path = Path(sys.argv[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(bill, indent=1) + "\n", encoding="utf-8")
    print(f"{path}: {len(bill['components'])} components")
    return 0


if __name__ == "__main__":
    sys.exit(main())
