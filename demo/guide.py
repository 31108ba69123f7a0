"""The sandbox page's information about Typist (its cards, which model answers, and whom Typist answers), and the
settings that it reflects."""

import re
import secrets
import sys
from base64 import urlsafe_b64encode
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

from bot.core.access import UserKind
from bot.errors import EndReason
from bot.mcp.config import MAX_SERVERS, HttpTransport, McpSetup, ServerConfig, StdioTransport
from bot.models.registry import KEY_COMPANIES
from bot.settings import Settings
from demo.export import CARDS_NOTE as OWN_CARDS_NOTE
from demo.export import GOES_TO, tour
from demo.local_model import LocalModel
from demo.models import ModelChoice
from demo.newcomers import first_answer
from demo.pasted_key import PastedKey
from demo.scenes import SCENES, TOOL_SERVER, TRACKER
from demo.scripted_model import ScriptedModel
from slack_sandbox.page.guide import Badge, Card, Guide, PassTime, UseKey, without_mention
from slack_sandbox.workspace import Message

if TYPE_CHECKING:
    from slack_sandbox.export.opened import Export

_SCHEDULED = re.compile(r"\b(?:Created|Changed) schedule \d|\bPress \W{0,4}Time passes\b")
"""Matches Typist's notice below an answer that created or changed a schedule, and the script's own text about it, which
remains after the schedule is stopped."""
REAL_ANSWERS = (
    f"For real answers, paste an {KEY_COMPANIES} key in the page, or start Ollama, LM Studio or llama.cpp before "
    "the sandbox."
)
TOY_ANSWERS = "To try a toy model, which is often wrong, start the sandbox with --model local."
MENTION_NOTE = "Typist answers when mentioned: ask again with @Typist."
ROLES = {
    "guest": UserKind.GUEST,
    "single-channel guest": UserKind.GUEST,
    "external": UserKind.EXTERNAL,
    "app": UserKind.BOT,
}
"""The sandbox's roles that Typist answers only if the settings allow it."""
ADMINS = frozenset({"U0ADA"})
"""Ada owns the sandbox's workspace."""
CARDS_NOTE = "The bot is real; its answers are scripted."
WITH_KEY = "{models}, with the key that you pasted"
BADGES = {
    ScriptedModel.model: Badge("scripted", "A script wrote this answer. No model was asked."),
    LocalModel.model: Badge("toy model", "A very small model wrote this answer. Much of what it says is wrong."),
}
"""The badges that the page shows next to these models' answers."""


def sandbox_settings(settings: Settings, tracker_url: str) -> Settings:
    """Returns the settings with Ada as a Typist admin, and with the sandbox's MCP servers for direct messages."""
    settings = replace(settings, admins=settings.admins | ADMINS)
    if not has_tools(settings):
        return settings
    program = find_spec("demo.notes_server")
    assert program is not None
    assert program.origin is not None
    notes = ServerConfig(TOOL_SERVER, StdioTransport(sys.executable, ("-I", "-S", program.origin)))
    theirs, reads = settings.mcp, frozenset([f"{TRACKER}__*"])
    mcp = McpSetup(
        (*theirs.servers, notes, ServerConfig(TRACKER, HttpTransport(tracker_url))),
        replace(theirs.rules, allow=theirs.rules.allow | reads, read_only=theirs.rules.read_only | reads),
        (*theirs.direct_message_servers, TOOL_SERVER, TRACKER),
    )
    return replace(settings, mcp=mcp, secret_keys=settings.secret_keys or (_key(),))


def has_tools(settings: Settings) -> bool:
    """Returns whether BOT_MCP_CONFIG leaves room for the sandbox's MCP servers."""
    names = settings.mcp.names
    return not {TOOL_SERVER, TRACKER} & set(names) and len(names) + 2 <= MAX_SERVERS


def _key() -> str:
    """Returns a key that encrypts people's accounts at the tracker, which forgets them when the sandbox stops."""
    return urlsafe_b64encode(secrets.token_bytes(32)).decode()


def guide_of(
    choice: ModelChoice,
    key: PastedKey | None = None,
    use_key: "UseKey | None" = None,
    pass_time: "PassTime | None" = None,
    export: "Export | None" = None,
) -> "Guide":
    """Returns the page's information about Typist: its cards, which model answers, and whom Typist answers.

    `use_key`: called with a key that a person pastes, or None if the page doesn't accept keys. `pass_time`: makes
    scheduled runs due, or None if the page has no button for that. `export`: replaces the sample workspace.
    """
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
            scene.waits,
        )
        for scene in SCENES
        if has_tools(choice.settings) or scene.title not in needs_server
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
    own = "" if keyed else LocalModel.model if choice.is_toy else "" if choice.is_real else ScriptedModel.model
    who = WITH_KEY.format(models=" then ".join(keyed.models.names)) if keyed else choice.description
    own_note = f"Your own questions go to {who}."
    guide = Guide(
        cards if export is None else tour(export),
        CARDS_NOTE if export is None else OWN_CARDS_NOTE,
        answers_note=own_note if export is None else GOES_TO.format(note=own_note),
        setup_note=""
        if choice.is_real or keyed
        else " ".join([REAL_ANSWERS, *([] if choice.is_toy else [TOY_ANSWERS])]),
        mention_note=MENTION_NOTE,
        people_notes=notes,
        use_key=use_key,
        has_key=keyed is not None,
        pass_time=pass_time,
        offers_time=lambda message: pass_time is not None and _SCHEDULED.search(message.text) is not None,
    )

    def badge_of(answer: Message, question: Message | None) -> Badge | None:
        text = without_mention(question.text) if question else ""
        is_scripted = (export is None and guide.card_of(text)) or (own and first_answer(text, {}))
        return BADGES.get(writer_of(answer, ScriptedModel.model if is_scripted else own))

    return replace(guide, badge_of=badge_of)


def writer_of(message: Message, presumed: str) -> str:
    """Returns the model that wrote one of Typist's messages, or "" if no model did, as is the case for notices.

    The footer of a complete answer shows the model. `presumed`: the model that is assumed for an answer that is still
    growing.
    """
    page = (message.metadata or {}).get("event_payload") or {}
    is_written = page.get("shown_chars") and page.get("end") != EndReason.COMMAND
    if not is_written and message.streaming_state is None:
        return ""
    small = [one for block in message.blocks if block["type"] == "context" for one in block.get("elements", ())]
    named = {str(one.get("text", "")).partition(" · ")[0] for one in small}
    return next((model for model in BADGES if model in named), "" if page.get("end") == EndReason.WHOLE else presumed)
