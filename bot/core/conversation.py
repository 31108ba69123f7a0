"""Conversations as plain data: threads, messages, questions, and mentions in their texts.

A message's text is Markdown with one addition. People and channels are mentioned by id, `<@U123>` and `<#C123>`, or by
id and name, `<@U123|ada>`. What else stands under a name that its owner chose is `<!S123|@ops>`: groups, canvases, and
emoji of the workspace, of which readers see only a picture. Triage finds mentions by id, and names are looked up only
when a model is given the text. Any other `<` is written `&lt;`, so no text looks like a mention by accident; `&` and
`>` may be entities too. `bot.slack.text` makes such text of what Slack sends; it is also how questions are stored.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from bot.core.closings import is_courtesy
from bot.models.prompt import OURS, UNKNOWN, Origins


def is_direct(channel_id: str) -> bool:
    """Whether the channel is a direct message between two."""
    return channel_id.startswith("D")


@dataclass(frozen=True, slots=True)
class ThreadKey:
    """Identifies a conversation in Slack. Jobs of one thread are answered in order, one at a time."""

    team_id: str
    channel_id: str
    thread_ts: str | None
    """None outside threads in a direct message, which is one long conversation."""

    @property
    def place(self) -> tuple[str, str]:
        """The thread's team and channel."""
        return self.team_id, self.channel_id

    @property
    def in_direct_message(self) -> bool:
        """Whether the conversation is in a direct message with one person."""
        return is_direct(self.channel_id)

    def __str__(self) -> str:
        return f"{self.team_id}/{self.channel_id}/{self.thread_ts or 'root'}"


@dataclass(frozen=True, slots=True)
class File:
    """A file that was shared with a message, by Slack's description. Only the bytes show its type for certain."""

    id: str
    name: str
    mimetype: str = ""
    filetype: str = ""
    mode: str = ""
    """hosted, snippet, external, tombstone, hidden_by_limit, ..."""
    access: str = ""
    """visible, check_file_info, ...: Slack's file_access."""
    url: str = ""
    """The download address, which needs the bot's token."""
    user_id: str = ""
    """The person who shared it."""
    is_clip: bool = False
    """Whether a person recorded it in Slack, with sound or with a picture too."""
    transcript: str | None = field(default=None, repr=False)
    """All that is said in it, None if nobody has written that down."""
    captions_url: str = ""
    """Where Slack has its transcript as WebVTT, "" if Slack has none."""
    seconds: float = 0.0
    """How long it plays, if Slack says so."""
    size_bytes: int = 0
    """0 if Slack doesn't say it."""
    preview_url: str = ""
    """Where Slack has a smaller copy of an image, as PNG or JPEG; "" if it has none."""
    is_quoted: bool = False
    """Whether the message that brings the file quotes all of it, as it does a mail."""


SLACKS_OWN = frozenset({"USLACK", "USLACKBOT"})
"""The users of Slack itself, which aren't marked as bots. Mails and some apps' messages come from them, too."""
ANSWERED_SUBTYPES = frozenset({None, "file_share", "thread_broadcast", "me_message"})
"""The subtypes of what people write themselves; `/me is late` is a me_message."""
REOPENED_SUBTYPES = frozenset({"channel_unarchive", "group_unarchive"})
"""The subtypes of the message with which Slack says that a channel isn't archived any more."""
PASSED_ON_SUBTYPES = frozenset({"slackbot_response", "document_comment_root"})
"""The subtypes of what Slack posts in its own name, though members wrote it: an automatic reply, and the part of a
canvas that the thread below it is about."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message as Slack delivers it, in an event or in a thread's history."""

    team_id: str
    channel_id: str
    ts: str
    text: str = field(repr=False)
    """The writer's own text, as Markdown with mentions."""
    attached: str = field(default="", repr=False)
    """What Slack shows below its text, in the same form: forwarded and quoted messages, unfurls, mails, apps'
    attachments."""
    channel_type: str = "channel"
    """channel, group, im or mpim, as Slack's events name it."""
    thread_ts: str | None = None
    user_id: str | None = None
    bot_id: str | None = None
    app_name: str | None = None
    """The name of the app that wrote it."""
    by_app: bool = False
    """Whether an app wrote it, in its own name or a person's, even if the message names no bot."""
    subtype: str | None = None
    parent_user_id: str | None = None
    """The author of the thread's first message, if Slack says so."""
    files: tuple[File, ...] = ()
    edited_ts: str = ""
    """The time of its last edit; "" if it was never edited."""
    after_gap: bool = False
    """Whether messages before it are missing because there were too many or Slack didn't return them."""

    @property
    def writer_id(self) -> str:
        """The ID of the person or app that wrote the message; "" if Slack names neither."""
        by_slack = self.user_id in SLACKS_OWN
        return (self.bot_id if by_slack else None) or self.user_id or self.bot_id or ""

    @property
    def is_notice(self) -> bool:
        """Whether Slack itself says something, and passes on no mail, no app's message and no member's words."""
        passed_on = self.bot_id or self.by_app or self.files or self.subtype in PASSED_ON_SUBTYPES
        return self.user_id in SLACKS_OWN and not passed_on

    @property
    def thread(self) -> ThreadKey:
        """The message's thread; for a message in none, the conversation."""
        return ThreadKey(self.team_id, self.channel_id, self.thread_ts)

    @property
    def whole(self) -> str:
        """Everything that a reader sees of the message."""
        return "\n\n".join(part for part in (self.text, self.attached) if part.strip())

    @property
    def attached_chars(self) -> int:
        """How many of the last characters of the whole are no words of the writer."""
        return len(self.attached) if self.attached.strip() else 0

    def as_question(self, thread_ts: str | None) -> "Question":
        """The message as a question in a thread; None: in the direct message outside threads."""
        return Question(
            ThreadKey(self.team_id, self.channel_id, thread_ts),
            self.ts,
            self.writer_id,
            self.whole,
            self.files,
            from_bot=self.bot_id is not None,
            attached_chars=self.attached_chars,
        )


@dataclass(frozen=True, slots=True)
class Question:
    """A message to answer, and its thread."""

    thread: ThreadKey
    ts: str
    user_id: str
    text: str = field(repr=False)
    """Everything that a reader sees of the message, including the bot's mention, as Markdown with mentions."""
    files: tuple[File, ...] = ()
    from_bot: bool = False
    """Whether the asker is another bot."""
    attached_chars: int = 0
    """How many of the text's last characters are no words of the asker, but what Slack shows below them."""
    schedule: int | None = None
    """The schedule whose run this is; None for a person's question."""
    is_command: bool = False
    """Whether it needs no model (core/memory.py, core/schedules.py), so that no other question shares its answer."""
    had_sign_in: bool = False
    """Whether the asker's own words had the address of a sign-in, which was removed (core/sign_in_addresses.py)."""

    @property
    def own_text(self) -> str:
        """The asker's own words."""
        return self.text[: max(0, len(self.text) - self.attached_chars)].rstrip() if self.attached_chars else self.text

    @property
    def attached(self) -> str:
        """What Slack shows below the asker's words: forwarded and quoted messages, link previews."""
        return self.text[-self.attached_chars :] if self.attached_chars else ""

    @property
    def begins_thread(self) -> bool:
        """Whether the question begins its thread, so that nothing was written there before."""
        return self.thread.thread_ts == self.ts

    @property
    def place(self) -> tuple[str, str]:
        """The message's channel and ts, which no other message of the workspace has."""
        return self.thread.channel_id, self.ts

    def as_message(self) -> Message:
        """The question as a message of its conversation."""
        return Message(
            team_id=self.thread.team_id,
            channel_id=self.thread.channel_id,
            ts=self.ts,
            text=self.own_text,
            attached=self.attached,
            by_app=self.from_bot,
            thread_ts=self.thread.thread_ts,
            user_id=self.user_id,
            files=self.files,
        )


@dataclass(frozen=True, slots=True)
class Note:
    """What a prompt says about one question alone, beside the question's own words."""

    text: str = field(default="", repr=False)
    origins: Origins = OURS
    """Whose words it holds."""


NO_NOTE = Note()


@dataclass(frozen=True, slots=True)
class RecordedReply:
    """One of the bot's own messages, as it is on record."""

    text: str = field(repr=False)
    """An answer's Markdown, at its first page; "" at its other pages, and for replies without a model's text."""
    origins: Origins = UNKNOWN
    """What the answer had read."""
    asker: str = ""
    """The person whose questions it answers."""
    question_ts: str = ""
    """The newest of those questions, at the answer's first page."""
    note: Note = NO_NOTE
    """What the prompt said about that question alone."""
    refused: frozenset[str] = frozenset()
    """The ts of its questions if the model's vendor refused them."""


_LINK = re.compile(r"https://[a-z0-9.-]{1,100}/archives/([CDG][A-Z0-9]{1,20})/p(\d{1,12})(\d{6})(\?\S*)?", re.ASCII)
_LINKS_THREAD = re.compile(r"[?&]thread_ts=(\d{1,12}\.\d{6})", re.ASCII)
_MENTION = re.compile(r"<(?P<mark>[@#!])(?P<id>[A-Z0-9]+)(?:\|(?P<name>[^<>]*))?>")
_USER = re.compile(r"<@([A-Z0-9]+)(?:\|[^<>]*)?>")
_QUOTED = re.compile(r"^[ \t]*(?:[-*•][ \t]+|\d+\.[ \t]+)?(?:>|&gt;).*$", re.MULTILINE)
_CODE = re.compile(r"(`{3,}).*?(?:\1|\Z)|(?<!`)(`{1,2})(?!`)[^\n]*?(?<!`)\2(?!`)", re.DOTALL)
_UNNAMED_CHANNEL = re.compile(r"<#([A-Z0-9]+)\|?>")
_USER_MENTION = r"<@{}(?:\|[^<>]*)?>"
_ID = re.compile(r"[A-Z0-9]+")
_AFTER_MENTION = r"(?:[,:](?![\w+'-]{1,100}:))?(?:[ \t\n]|[,:](?=[ \t\n]|\Z))*"
"""Spaces, and a comma or colon between an address and its sentence. A colon may also begin an emoji: `:tada:`, `:)`."""
_EMOJI = re.compile(r":[\w+'-]{1,100}:|<!EMOJI\|[^<>]*>")
_BEFORE_MENTION = " \t\n,"
_SENTENCE_ENDS = " \t\n.?!…。？！"
_EMPHASIS = "*_"
_ANY_MENTION = re.compile(r"<@[A-Z0-9]+(?:\|[^<>]*)?>|<![A-Z0-9]+\|@|(?<![\w@.<|])@(?=\w)")
"""The mention of a person or a group, or its beginning, or an @ as it is typed."""
_MAX_BEFORE_MENTION_CHARS = 160
_MARKS = re.compile(r"(?:\d{1,3}[.)])?(?:[^\w`\"'“”„‘’«»]|_)*")
"""The mark of a list, emphasis, an emoji: neither words, nor quotation marks, nor code."""
_MAX_COURTESY_WORDS = 8
_MAX_COMMAND_CHARS = 300
_POINTING = f"{_SENTENCE_ENDS}^,:…⬆️👆"
_POINTING_WORDS = re.compile(r"this|that|(?:see )?(?:the )?above|(?:any |your )?thoughts|wdyt")


def linked_message(link: str) -> tuple[str, str, str | None] | None:
    """Returns channel, ts and thread_ts of the message that Slack's link leads to; None if it is no such link."""
    match = _LINK.fullmatch(link)
    if match is None:
        return None
    in_thread = _LINKS_THREAD.search(match[4] or "")
    return match[1], f"{match[2]}.{match[3]}", in_thread[1] if in_thread else None


def link_of(base: str, channel_id: str, ts: str, thread_ts: str | None) -> str:
    """Returns the link of a message; "" without the `base`, with which links of its channel's messages begin."""
    thread = f"?thread_ts={thread_ts}&cid={channel_id}" if thread_ts not in (None, "", ts) else ""
    return f"{base}{ts.replace('.', '')}{thread}" if base else ""


def mentioned_user_ids(text: str) -> list[str]:
    """Returns the ids of the people mentioned in the text, in order."""
    return _USER.findall(text)


def addressed_user_ids(text: str) -> list[str]:
    """Returns the ids of the people whom a writer mentions in words of their own, in order.

    Quotations and code repeat what stands elsewhere, or show how something is written.
    """
    return mentioned_user_ids(_CODE.sub("", _QUOTED.sub("", text)))


def mentioned(text: str) -> list[str]:
    """Returns the ids of the people, channels and other things with names in the text, in order."""
    return [mention["id"] for mention in _MENTION.finditer(text)]


def addresses_another(text: str, bot_name: str) -> bool:
    """Whether a text that doesn't mention the bot begins with a mention: of a person, a group, or @here.

    A greeting, thanks, an emoji or a quotation may stand before it. Only people's mentions have ids. The bot's own
    name may have been typed, without becoming a mention.
    """
    words = _QUOTED.sub("", text).lstrip()
    mention = _ANY_MENTION.search(words, 0, _MAX_BEFORE_MENTION_CHARS)
    if mention is None:
        return False
    before = words[: mention.start()]
    if not (_MARKS.fullmatch(before) or is_courtesy(before)):
        return False
    own_name = re.compile(rf"{re.escape(bot_name)}(?![-.]?\w)", re.IGNORECASE)
    return mention[0] != "@" or own_name.match(words, mention.end()) is None


def ids_to_name(text: str) -> list[str]:
    """Returns the ids whose names must be looked up: people's, and those of channels that come without a name.

    A person's name in the text may be outdated, so it is looked up as well.
    """
    return [*mentioned_user_ids(text), *_UNNAMED_CHANNEL.findall(text)]


def with_names(text: str, names: Mapping[str, str]) -> str:
    """Returns the text as a reader sees it, in Markdown; `names` are those of people and channels, by id.

    A person who isn't in `names` gets the name in the text, or else the id.
    """
    parts, end = [], 0
    for mention in _MENTION.finditer(text):
        mark = mention["mark"]
        name = names.get(mention["id"]) or unescape(mention["name"] or "").strip() or mention["id"]
        parts += [unescape(text[end : mention.start()]), name if mark == "!" else mark + name.removeprefix(mark)]
        end = mention.end()
    return "".join([*parts, unescape(text[end:])])


def named_by_others(id_: str, name: str) -> str:
    """Returns the mention of something whose name isn't the writer's; "" without an id."""
    return f"<!{id_}|{escape(name)}>" if _ID.fullmatch(id_) else ""


def without_users(text: str) -> str:
    """Returns the text without the mentions of people in it."""
    return _USER.sub("", text)


def without_address(text: str, bot_user_id: str) -> str:
    """Returns the text without the bot's mentions at its beginning and end, which only address the bot.

    In the middle of a sentence the mention is a part of what the sentence says, and stays.
    """
    mention = _USER_MENTION.format(re.escape(bot_user_id))
    words = text.strip()
    if leading := re.match(rf"(?:{mention}{_AFTER_MENTION})+", words):
        words = words[leading.end() :]
    sentence_end = end = len(words.rstrip(_SENTENCE_ENDS))
    for trailing in reversed(list(re.finditer(mention, words))):
        if trailing.end() != end:
            break
        end = trailing.start()
        while end and words[end - 1] in _BEFORE_MENTION:
            end -= 1
    return words if end == sentence_end else words[:end] + "".join(words[sentence_end:].split())


def sole_words(question: Question, bot_user_id: str) -> str:
    """Returns what a person says to the bot in plain words; "" if the message has more, or nobody says it.

    More are files and attached text. Nobody says the words of a schedule's run when it comes.
    """
    has_more = bool(question.files or question.attached.strip()) or question.schedule is not None
    return "" if has_more else without_address(question.own_text, bot_user_id).strip()


def without_greeting(words: str, bot_user_id: str, bot_name: str) -> str:
    """Returns a sentence without a greeting of the bot, thanks, "please" or emoji at its beginning."""
    first = words.split(None, _MAX_COURTESY_WORDS)
    for size in range(min(len(first), _MAX_COURTESY_WORDS), 0, -1):
        if _is_courtesy(first[:size], bot_user_id, bot_name):
            return "".join(words.split(None, size)[size:])
    return words


def plain_command(words: str, bot_user_id: str, bot_name: str) -> str:
    """Returns a sentence in lower case without its mark, and without a greeting, "please" and thanks around it.

    Returns "" if it is too long for a command.
    """
    if len(words) > _MAX_COMMAND_CHARS:
        return ""
    bare, longer = without_greeting(words, bot_user_id, bot_name).rstrip(_SENTENCE_ENDS), ""
    while bare != longer:
        longer = bare
        last = bare.rsplit(None, _MAX_COURTESY_WORDS)[1:]
        sizes = range(1, len(last) + 1)
        size = next((size for size in sizes if _is_courtesy(last[-size:], bot_user_id, bot_name)), 0)
        bare = bare.rsplit(None, size)[0] if size else bare
    return bare.lstrip(_EMPHASIS).rstrip(f"{_SENTENCE_ENDS}{_EMPHASIS},").casefold().replace("’", "'")


def _is_courtesy(words: list[str], bot_user_id: str, bot_name: str) -> bool:
    """Whether words are courtesy to the bot."""
    said = " ".join(words)
    return not set(mentioned_user_ids(said)) - {bot_user_id} and is_courtesy(said, bot_name)


def is_bare(text: str, bot_user_id: str) -> bool:
    """Whether a text has no words but the bot's mention, or points at what stands above: "@typist thoughts?"."""
    words = _EMOJI.sub("", without_address(text, bot_user_id)).strip(_POINTING).casefold()
    return _POINTING_WORDS.fullmatch(words) is not None or not any(map(str.isalnum, words))


def escape(text: str) -> str:
    """Returns a text with `&`, `<` and `>` as entities, so that none of it is markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def unescape(text: str) -> str:
    """Returns a text with its entities decoded, once: `&amp;lt;` becomes `&lt;`."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
