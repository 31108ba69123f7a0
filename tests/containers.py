"""The image's files, mounted here with buildah, and commands in them: as a container engine would run them."""

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slack_sandbox.testing.processes import output, running_process

RUN = """
set -e
mount --bind "$ROOT" "$ROOT"
for folder in dev proc; do mount --rbind "/$folder" "$ROOT/$folder"; done
mount --bind "$DATA" "$ROOT/data"
mount -o remount,bind,ro "$ROOT"
exec chroot --userspec="$CHROOT_USER" "$ROOT" env --ignore-environment --chdir="$FOLDER" "$@"
"""


def buildah(*arguments: str) -> str:
    return subprocess.run(("buildah", *arguments), check=True, capture_output=True, text=True).stdout.strip()


def has_image(name: str) -> bool:
    """Reports whether commands can run in the image: as root, and if buildah has it."""
    if shutil.which("buildah") is None or os.geteuid() != 0:
        return False
    return subprocess.run(("buildah", "inspect", name), check=False, capture_output=True).returncode == 0


@dataclass(frozen=True)
class Container:
    """The image's files, mounted here, and its configuration."""

    root: Path
    data: Path
    config: Mapping[str, Any]

    @asynccontextmanager
    async def running(
        self, *command: str, env: Mapping[str, str] | None = None, user: str | None = None
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        """Runs a command in the image's environment, as its user by default. The root is read-only but for /data."""
        variables = [*self.config["Env"], *(f"{name}={value}" for name, value in (env or {}).items())]
        async with running_process(
            *("unshare", "--mount", "--propagation", "private", "sh", "-c", RUN, "sh", *variables, *command),
            env={
                "PATH": os.environ["PATH"],
                "ROOT": str(self.root),
                "DATA": str(self.data),
                "CHROOT_USER": user or self.config["User"],
                "FOLDER": self.config["WorkingDir"],
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        ) as process:
            yield process

    async def output(self, *command: str, env: Mapping[str, str] | None = None) -> tuple[int | None, str, str]:
        async with self.running(*command, env=env) as process:
            out, err = await output(process)
        return process.returncode, out, err


@contextmanager
def mounted(image: str, data: Path, *storage: str) -> Iterator[Container]:
    """Mounts the image's files, with a new folder as /data. `storage`: options of buildah."""
    config = json.loads(buildah(*storage, "inspect", "--type", "image", image))["Docker"]["config"]
    user = int(config["User"].partition(":")[0])
    data.mkdir()
    os.chown(data, user, user)
    name = buildah(*storage, "from", "--pull-never", image)
    try:
        yield Container(Path(buildah(*storage, "mount", name)), data, config)
    finally:
        buildah(*storage, "rm", name)
