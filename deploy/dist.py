"""Builds what a release publishes: `make dist`. The same commit always produces the same bytes.

The files are built from the commit, not from the work tree: a wheel and a source archive of each package, a list of the
image's Python packages, the image, and SHA256SUMS. Only root can build the image, with buildah. Elsewhere SHA256SUMS
doesn't list it, which `make release-dry` reports.
"""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

from deploy.release import ROOT, SUMS, VERSION_FILES, versions
from deploy.sbom import sbom

IMAGE = "localhost/typist-test"
"""The name under which tests/scenarios/test_image.py finds the image."""


def build(root: Path, target: Path) -> None:
    """Replaces the target folder with the files of the repository's newest commit."""
    epoch = _output(root, "git", "log", "-1", "--format=%ct")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    with TemporaryDirectory() as folder:
        sources = Path(folder)
        archive = subprocess.run(("git", "archive", "HEAD"), cwd=root, stdout=subprocess.PIPE, check=True)
        subprocess.run(("tar", "--extract"), cwd=sources, input=archive.stdout, check=True)
        # Archives keep the modes of files, which depend on the umask.
        subprocess.run(("chmod", "-R", "u=rwX,go=rX", "."), cwd=sources, check=True)
        for name, path in VERSION_FILES.items():
            package = sources if name == "typist" else sources / path.partition("/")[0]
            command = (sys.executable, "-m", "hatchling", "build", "-d", str(target), "-t", "wheel", "-t", "sdist")
            subprocess.run(command, cwd=package, env={**os.environ, "SOURCE_DATE_EPOCH": epoch}, check=True)
        version = versions(sources)["typist"]
        lock = (sources / "requirements.txt").read_text()
        (target / f"typist-{version}.cdx.json").write_text(json.dumps(sbom(lock), indent=1) + "\n")
        _build_image(sources, epoch, version, target / f"typist-{version}-image.tar")
    sums = (f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(target.iterdir()))
    (target / SUMS).write_text("".join(sums))


def _build_image(sources: Path, epoch: str, version: str, file: Path) -> None:
    command = (".ci/image", IMAGE, "--timestamp", epoch, "--build-arg", f"SOURCE_DATE_EPOCH={epoch}")
    if shutil.which("buildah") is None or subprocess.run(command, cwd=sources, check=False).returncode != 0:
        print("The image was not built: that needs root, buildah, and the right to mount.", file=sys.stderr)
        return
    with TemporaryDirectory() as folder:
        built = Path(folder) / "built.tar"
        subprocess.run(("buildah", "push", "--quiet", IMAGE, f"docker-archive:{built}:typist:{version}"), check=True)
        copy_image(built, file, f"typist:{version}")


def copy_image(built: Path, file: Path, tag: str) -> None:
    """Copies an image's archive without the random IDs of the containers in which it was built."""
    with tarfile.open(built) as old, tarfile.open(file, "w") as new:
        [image] = json.loads(_content(old, "manifest.json"))
        config = json.loads(_content(old, image["Config"]))
        for key in ("container", "container_config", "parent"):
            config.pop(key, None)
        config["config"].pop("Hostname", None)
        for step in config["history"]:
            step.pop("comment", None)
        layers = (old.getmember(layer) for layer in image["Layers"])
        # Layers that are the same are one file.
        files = {layer.name: layer for layer in layers if layer.isfile()}
        image["Layers"] = [old.getmember(layer).linkname or layer for layer in image["Layers"]]
        for layer in files.values():
            new.addfile(_entry(layer.name, layer.size), old.extractfile(layer))
        image["RepoTags"] = [tag]
        text = json.dumps(config, sort_keys=True).encode()
        image["Config"] = f"{hashlib.sha256(text).hexdigest()}.json"
        for name, content in ((image["Config"], text), ("manifest.json", json.dumps([image]).encode())):
            new.addfile(_entry(name, len(content)), io.BytesIO(content))


def _content(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None
    return file.read()


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size = size
    return entry


def _output(folder: Path, *command: str) -> str:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    build(ROOT, ROOT / "dist")
    print((ROOT / "dist" / SUMS).read_text(), end="")
