"""Writes the tables of emoji aliases of the bot and the sandbox: `make emoji`, which installs emoji-datasource.

Slack's events name an emoji by the first of its `short_names` in iamcal/emoji-data, whichever of them a person typed.
The sandbox imports nothing from the bot, so each has a table of its own, and a test compares the two.
"""

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
TABLES = (ROOT / "bot/core/emoji_aliases.py", ROOT / "sandbox/emoji_aliases.py")
HEAD = '''"""Other names of emoji, each with the name that Slack's events have. `make emoji` writes this file.

Source: the `short_names` of iamcal/emoji-data {version} (npm: emoji-datasource, MIT license).
"""

from types import MappingProxyType
from typing import Final

ALIASES: Final = MappingProxyType(
    {{
'''
TAIL = "    }\n)\n"


def table(emoji: list[dict[str, Any]], version: str) -> str:
    """Returns the module with the aliases in emoji-datasource's emoji.json."""
    aliases = {alias: names[0] for names in (entry["short_names"] for entry in emoji) for alias in names[1:]}
    lines = [f'        "{alias}": "{aliases[alias]}",\n' for alias in sorted(aliases)]
    return "".join((HEAD.format(version=version), *lines, TAIL))


def main() -> None:
    package = Path(sys.argv[1])
    version = json.loads((package / "package.json").read_text())["version"]
    written = table(json.loads((package / "emoji.json").read_text()), version)
    for path in TABLES:
        path.write_text(written)


if __name__ == "__main__":
    main()
