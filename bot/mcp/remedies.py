"""Tells operators how to fix MCP servers that are down."""

from collections.abc import Mapping

from bot import network
from bot.mcp.config import ServerConfig, StdioTransport
from bot.mcp.sentences import DOWN_FORBIDDEN, DOWN_NO_POST, DOWN_NOT_FOUND, DOWN_WITHOUT_HEADERS

UNTIL_FIXED = "Until that's fixed, answers won't use its tools."
_REMEDIES: Mapping[str, str] = {
    "it refuses the": "The token might have expired: replace it in this server's headers, and restart Typist.",
    DOWN_WITHOUT_HEADERS: "Set an Authorization header for this server, with a token that its vendor issues for "
    "programs. Typist's docs have recipes (tools.md).",
    DOWN_FORBIDDEN: "Check what this server's token can access, and whether the server allows this machine's IP "
    "address.",
    DOWN_NOT_FOUND: "Correct the path in this server's url. Many servers use /mcp.",
    DOWN_NO_POST: "Set url to the server's streamable HTTP endpoint, often /mcp. Its SSE endpoint, often /sse, is for "
    "an older version of MCP.",
    "it redirects": "Set url to the URL that it redirects to.",
    "HTTP 5": "Check the server's log, or try again in a few minutes.",
    "isn't from an MCP server": "Correct this server's url: a web page or another service responds there.",
    "command was not found": "Correct this server's command, or install it.",
}
"""Remedies, keyed by words that occur in the reason a server is down. The first match counts."""


def down_sentences(config: ServerConfig, reason: str) -> tuple[str, str]:
    """Returns a message that tells operators that a server is down, and a remedy."""
    found = (fix for words, fix in _REMEDIES.items() if words in reason)
    fix = network.remedy(reason, "BOT_MCP_CONFIG") or next(found, "")
    if not fix and isinstance(config.transport, StdioTransport):
        fix = "Run this server's command by hand, with the environment from BOT_MCP_CONFIG, and check its output."
        if not config.is_legacy:
            fix += ' If it lacks support for the newest protocol, add "protocol": "legacy".'
    fix = fix or "Check url and headers in BOT_MCP_CONFIG, the network, and whether the server is running."
    message = f"{config.name}: the MCP server is down ({reason})."
    return message, f"{fix} {UNTIL_FIXED}"
