"""Writes the tables of emoji aliases of the bot and the sandbox: `make emoji`, which installs emoji-datasource.

Slack's events name an emoji by the first of its `short_names` in iamcal/emoji-data, whichever of them a person typed.
The sandbox imports nothing from the bot, so each has a table of its own, and a test compares the two.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
TABLES = (ROOT / "bot/core/channel_settings.py", ROOT / "sandbox/slack_sandbox/emoji_aliases.py")
BEGIN, END = "ALIASES: Final = MappingProxyType(\n    {\n", "    }\n)\n"


def with_table(module: str, emoji: list[dict[str, Any]], version: str) -> str:
    """Returns a module's text with the aliases in emoji-datasource's emoji.json."""
    aliases = {alias: names[0] for names in (entry["short_names"] for entry in emoji) for alias in names[1:]}
    lines = [f'        "{alias}": "{aliases[alias]}",\n' for alias in sorted(aliases)]
    above, begin, rest = module.partition(BEGIN)
    _, end, below = rest.partition(END)
    return re.sub(r"(?<=iamcal/emoji-data )[0-9.]+", version, "".join((above, begin, *lines, end, below)))


def main() -> None:
    package = Path(sys.argv[1])
    emoji = json.loads((package / "emoji.json").read_text())
    version = json.loads((package / "package.json").read_text())["version"]
    for path in TABLES:
        path.write_text(with_table(path.read_text(), emoji, version))


if __name__ == "__main__":
    main()
