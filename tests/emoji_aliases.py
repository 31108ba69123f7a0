"""Writes the tables of emoji of the bot and the sandbox: `make emoji`, which installs emoji-datasource.

Slack's events name an emoji by the first of its `short_names` in iamcal/emoji-data, whichever of them a person typed.
The sandbox imports nothing from the bot, so each has a table of its own, and a test compares the two.
"""

import json
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
TABLE = ROOT / "bot/core/emoji.txt"
ALIASES = ROOT / "sandbox/slack_sandbox/emoji_aliases.py"
BEGIN, END = "ALIASES: Final = MappingProxyType(\n    {\n", "    }\n)\n"
HEAD = """A generated table: each emoji, the name that Slack's events have, and other names. It is from
iamcal/emoji-data {version} (npm: emoji-datasource, MIT license).

"""


def table(emoji: list[dict[str, Any]], version: str) -> str:
    """Returns the bot's table, from the emoji in emoji-datasource's emoji.json. Skin tones and colors are left out."""
    entries = (" ".join([_characters(entry["unified"]), *entry["short_names"]]) for entry in emoji)
    lines = textwrap.wrap(", ".join(entries), 120, break_long_words=False, break_on_hyphens=False)
    return HEAD.format(version=version) + "\n".join(lines) + "\n"


def _characters(unified: str) -> str:
    return "".join(chr(int(code, 16)) for code in unified.split("-") if code != "FE0F")


def with_aliases(module: str, emoji: list[dict[str, Any]], version: str) -> str:
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
    TABLE.write_text(table(emoji, version))
    ALIASES.write_text(with_aliases(ALIASES.read_text(), emoji, version))


if __name__ == "__main__":
    main()
