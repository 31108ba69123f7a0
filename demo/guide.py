"""What the sandbox's page says of Typist: its cards, who answers, and whom it answers; and the settings behind that."""

import sys
from dataclasses import replace
from importlib.util import find_spec

from bot.core.access import UserKind
from bot.mcp.config import MAX_SERVERS, McpSetup, ServerConfig, StdioTransport
from bot.settings import Settings
from demo.models import ModelChoice
from demo.pasted_key import PastedKey
from demo.scenes import SCENES, TOOL_SERVER
from slack_sandbox.page.guide import Card, Guide, PassTime, UseKey

REAL_ANSWERS = (
    "For real answers, paste an OpenAI or Anthropic key in the page, or start Ollama, LM Studio or llama.cpp before "
    "the sandbox."
)
ROLES = {
    "guest": UserKind.GUEST,
    "single-channel guest": UserKind.GUEST,
    "external": UserKind.EXTERNAL,
    "app": UserKind.BOT,
}
"""The sandbox's roles that are answered only if the settings say so."""
ADMINS = frozenset({"U0ADA"})
"""Ada owns the sandbox's workspace."""
CARDS_NOTE = "The bot is real; its answers are scripted."
WITH_KEY = "{models}, with the key that you pasted"


def for_sandbox(settings: Settings) -> Settings:
    """Returns the settings with Ada as a Typist admin, and with the sandbox's MCP server for direct messages."""
    settings = replace(settings, admins=settings.admins | ADMINS)
    server = notes_server(settings)
    theirs = settings.mcp
    if server is None:
        return settings
    mcp = McpSetup((*theirs.servers, server), theirs.rules, (*theirs.in_direct_messages, server.name))
    return replace(settings, mcp=mcp)


def notes_server(settings: Settings) -> ServerConfig | None:
    """Returns the sandbox's MCP server; None without the SDK, or where BOT_MCP_CONFIG leaves no room for it."""

    names = settings.mcp.names
    program = find_spec("demo.notes_server")
    if find_spec("mcp") is None or TOOL_SERVER in names or len(names) >= MAX_SERVERS:
        return None
    assert program is not None
    assert program.origin is not None
    return ServerConfig(TOOL_SERVER, StdioTransport(sys.executable, ("-I", "-S", program.origin)))


def guide_of(
    choice: ModelChoice,
    key: PastedKey | None = None,
    use_key: "UseKey | None" = None,
    pass_time: "PassTime | None" = None,
) -> "Guide":
    """Returns what the page says of Typist: its cards, who answers, and whom it answers.

    `use_key`: what the page does with a key that a person pastes; None: it takes none. `pass_time`: what makes
    scheduled runs due; None: the page has no button for it.
    """
    from slack_sandbox.page.guide import Guide

    has_tools = notes_server(choice.settings) is not None
    needs_server = {scene.title for scene in SCENES if scene.call and scene.call.needs_server}
    cards = tuple(
        Card(
            scene.title,
            scene.detail,
            scene.note,
            tuple(scene.scripts),
            scene.file,
            "direct message" if scene.title in needs_server else scene.room or "here",
            scene.replies,
            tuple(scene.reply_scripts),
        )
        for scene in SCENES
        if has_tools or scene.title not in needs_server
    )
    also = choice.settings.allow_also
    notes = dict.fromkeys(("admin", "member"), "Typist answers.")
    notes["owner"] = "Typist answers. Also a Typist admin here, who sees usage and sets quotas in Typist's Home."
    for role, kind in ROLES.items():
        notes[role] = (
            f"Typist answers, because BOT_ALLOW_ALSO has {kind}."
            if kind in also
            else f"Typist answers only if BOT_ALLOW_ALSO has {kind}."
        )
    keyed = key.models if key else None
    who = WITH_KEY.format(models=" then ".join(keyed.models.names)) if keyed else choice.description
    return Guide(
        cards,
        CARDS_NOTE,
        answers_note=f"Your own questions go to {who}.",
        setup_note="" if choice.is_real or keyed else REAL_ANSWERS,
        people_notes=notes,
        use_key=use_key,
        has_key=keyed is not None,
        pass_time=pass_time,
    )
