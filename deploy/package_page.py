"""Builds the page that package indexes show, from README.md. Hatchling calls it for each wheel and source archive.

Installed packages have no clone, so the page has no commands, links or images that need one.
"""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

ONLY_FOR_CLONES = ("Try it", "Connect to Slack", "Read on")
START = """\
## Try it

Install Typist in a separate environment, with uvx or pipx, because its packages have generic names.

    typist             # opens the sandbox, or connects to Slack if it is set up
    typist init        # sets Typist up for your Slack workspace
    typist settings    # explains every setting

"""
_LINK = r"(?<!!)\[([^\[\]]+)\]\((?!https?:)[^()]*\)"


class PackagePage(MetadataHookInterface):
    def update(self, metadata: dict[str, Any]) -> None:
        text = package_page((Path(self.root) / "README.md").read_text("utf-8"))
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def package_page(readme: str) -> str:
    """Returns the README without sections for clones, images and relative links."""
    first, *sections = re.split(r"^(?=## )", readme, flags=re.MULTILINE)
    kept = (section for section in sections if section.partition("\n")[0].removeprefix("## ") not in ONLY_FOR_CLONES)
    text = "".join((first, START, *kept))
    text = re.sub(r"^\[?!\[.*\n+", "", text, flags=re.MULTILINE)
    # A parenthesis that is only a link would say nothing without it.
    text = re.sub(rf"\s\({_LINK}\)", "", text)
    return re.sub(_LINK, r"\1", text)
