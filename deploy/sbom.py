"""Prints a software bill of materials as CycloneDX JSON: `python -m deploy.sbom requirements.txt`.

The lock file pins packages for all systems. Listed are those that are installed beside this Python, each with the
hashes of the files that the lock allows, of which pip has installed one. The image's build runs this, so it needs no
network and no package. Without a time, the same installation has the same output.
"""

import json
import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bot import __version__

PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;]+)(?: ;[^\n]*)?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", re.MULTILINE)
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
MAX_LICENSE_CHARS = 100
"""In older metadata, the field "License" may hold the whole text."""

Json = dict[str, Any]


def sbom(lock: str) -> Json:
    """Returns the SBOM of what is installed. Raises SystemExit if a package isn't in the version of the lock."""
    components = []
    for name, version, hashes in PIN.findall(lock):
        try:
            installed = distribution(name)
        except PackageNotFoundError:
            # It is for another system.
            continue
        if installed.version != version:
            raise SystemExit(f"sbom: {name} {installed.version} is installed, and the lock has {version}. Install it.")
        components.append(_component(installed, name, HASH.findall(hashes)))
    application = {
        "type": "application",
        "bom-ref": "typist",
        "name": "typist",
        "version": __version__,
        "licenses": [{"license": {"id": "MIT"}}],
    }
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": application},
        "components": components,
    }


def _component(installed: Distribution, name: str, hashes: list[str]) -> Json:
    purl = f"pkg:pypi/{re.sub('[-_.]+', '-', name).lower()}@{quote(installed.version)}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": installed.version,
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": digest} for digest in hashes],
        "licenses": _licenses(installed),
    }


def _licenses(installed: Distribution) -> list[Json]:
    """Returns what a package's metadata declare: an SPDX expression, or else the names of its licenses."""
    metadata = installed.metadata
    if "License-Expression" in metadata:
        return [{"expression": metadata["License-Expression"]}]
    names = [value.split(" :: ")[-1] for value in metadata.get_all("Classifier") or () if value.startswith("License")]
    if not names and "License" in metadata and len(metadata["License"]) <= MAX_LICENSE_CHARS:
        names = [metadata["License"]]
    return [{"license": {"name": name}} for name in names]


if __name__ == "__main__":
    json.dump(sbom(Path(sys.argv[1]).read_text()), sys.stdout, indent=1)
    sys.stdout.write("\n")
