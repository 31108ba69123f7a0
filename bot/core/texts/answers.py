"""Text in an answer's own messages: placeholders, the line below the text, the footer."""

from collections.abc import Mapping, Sequence
from datetime import date

from bot.core.texts.actions import ANSWER_NOW
from bot.core.texts.times import token
from bot.core.texts.words import count, listed, web_query_text
from bot.models.events import Unparsed

THINKING = "Thinking…"


def searching(query: str) -> str:
    return f"Searching {web_query_text(query)}"


TRANSCRIBING = "Listening…"
CHECKING_ACCESS = "Checking your access. Slack is busy, so this might take a few minutes…"
"""Shown instead of THINKING until Slack has identified the asker."""


def transcript_line(transcript: str) -> str:
    return f"I heard: “{transcript}”"


QUEUED = "Queued. I'll answer after the questions ahead of this one."


WRITING = "Writing…"
"""Shown next to a Stop button below a growing answer that has no other buttons."""


def asked_on(ts: str) -> str:
    return f"Asked {token(float(ts))}."


def late_offer(ts: str) -> str:
    return (
        f"I was away when you asked this ({token(float(ts))}). If an answer would still help, press {ANSWER_NOW} "
        "and I'll begin."
    )


WRITING_LONG = "Writing… When I'm done, I'll attach the full answer as answer.md and show the end here."
CONTINUED_BELOW = "Continued below."
END_OF_ANSWER = "End of answer."
REST_IN_MESSAGE = "(Shortened here. See the message for the full text.)"
"""The end of a message's plain text for screen readers and notifications, if the message is too long for that text."""


CHART_NOT_DRAWN = "(I can't draw this as a chart.)"


def chart_in_words(title: str) -> str:
    """Describes a chart whose numbers are in the table above."""
    return f"Chart: {title}"


SOURCES = "Sources"

STEP_LIMIT = "I reached my step limit here. Press Continue and I'll keep going."
STEP_LIMIT_WITHOUT_TEXT = (
    "I reached my step limit before I could answer. Please ask a smaller question, or press Regenerate."
)
LENGTH_LIMIT = "I reached my length limit here. Press Continue and I'll keep going."
STOPPED = "Stopped."


def servers_left_out(servers: Sequence[str]) -> str:
    return f"I answered without {listed(servers)}, which {'is' if len(servers) == 1 else 'are'} unavailable right now."


NOT_CARRIED_OUT = "I couldn't do what you agreed to. Please ask me again."
INTERNAL_ERROR = "Something went wrong on my side. Please ask again."
SHUT_OUT = "I lost access to this channel before I was done. Press Continue and I'll keep going."
SHUT_OUT_WITHOUT_TEXT = "I lost access to this channel before I could answer. Press Regenerate and I'll answer now."


def not_posted(channel_id: str) -> str:
    """Explains to an asker in a direct message, in mrkdwn, why their answer isn't in the channel."""
    return (
        f"I couldn't answer you in <#{channel_id}> because Slack won't let me post there. If I'm not in the channel, "
        "invite me and ask again. Or ask me here."
    )


NOT_SHOWN = "I couldn't show more of this answer in Slack, so I stopped here. Please ask again."
STUCK = "I stopped here because some text took too long to process. Please rephrase your question."
HELP = (
    "Ask me anything: mention me with your question, or send me a direct message. I'll read the messages in the "
    "thread and answer there."
)


def continues_in_file(sections: int, words: int) -> str:
    """Reports how many sections of a long answer are only in the file, or how many words if it has no sections."""
    rest = f"{sections} more {'section' if sections == 1 else 'sections'}"
    return f"Continues in answer.md: {rest if sections else f'about {words:,} more words'}. The rest is below."


END_BELOW_FILE = "This is how the answer ends. The full answer is in answer.md."
WHOLE_ANSWER_ATTACHED = "The full answer is also in answer.md."


CODE_BLOCK_ATTACHED = "The long code block is also attached as a file."
CODE_BLOCKS_ATTACHED = "The long code blocks are also attached as files."


def omitted_pages_text(pages: int) -> str:
    return f"I left out the rest: the answer takes more than {pages} messages, and I couldn't attach it as a file."


FOOTER_STOPPED = "stopped"
FOOTER_INCOMPLETE = "incomplete"


def work_summary(searches: int, tools: int) -> str:
    return ", ".join(filter(None, (count(searches, "search", "searches"), count(tools, "tool", "tools"))))


def messages_read(number: int, since: date, today: date | None) -> str:
    """Reports how many channel messages a model read, and the day of the oldest. `today`: the day of the question and
    its answer, or None if they differ, because readers of a late or regenerated answer would take "today" for another
    day."""
    return f"read {count(number, 'message', 'messages')} {_from_day(since, today)}"


def _from_day(day: date, today: date | None) -> str:
    match (today - day).days if today else None:
        case 0:
            return "from today"
        case 1:
            return "since yesterday"
        case days if days is not None and 1 < days < 7:
            return f"since {day:%A}"
    year = "" if today and day.year == today.year else f", {day.year}"
    return f"since {day:%B} {day.day}{year}"


def memories_sent(number: int) -> str:
    return count(number, "memory", "memories")


WROTE_CALL = (
    "This is a tool call that the model's server returned as text, so I didn't run it: the server's tool parser is "
    "off. Your Typist admin can turn it on, with --enable-auto-tool-choice and --tool-call-parser for vLLM, or "
    "--jinja for llama.cpp."
)
WROTE_THOUGHTS = (
    "This answer starts with the model's reasoning, because the model server's reasoning parser is off. "
    "Your Typist admin can turn it on, with --reasoning-parser for vLLM and SGLang, or --reasoning-format for "
    "llama.cpp."
)
UNPARSED: Mapping[Unparsed, str] = {"": "", "call": WROTE_CALL, "thoughts": WROTE_THOUGHTS}
"""Notices about content that a model's server should have removed from an answer, by type."""


def thought_longer_text(level: str, cost_usd: float | None, *, is_estimate: bool, is_standard: bool = False) -> str:
    """Reports the effort of a thorough answer, and the cost if known. `level`: the vendor's name for the effort, or ""
    if unknown. `is_standard`: the cost is at the standard price, because the price of the answer's service tier, speed
    or region isn't known."""
    effort = f"thorough ({level} effort)" if level else "thorough"
    if cost_usd is None:
        return effort
    known = f"{'about ' if is_estimate else ''}${cost_usd:,.2f}" if cost_usd >= 0.005 else "less than $0.01"
    return f"{effort}, {known}{AT_STANDARD_PRICE if is_standard else ''}"


AT_STANDARD_PRICE = " at the standard price"


ANSWER_READY = "your answer is ready."
QUESTION_EDITED = "The question was edited after I answered it."
REGENERATE_ANSWERS_IT = "Press Regenerate and I'll answer the new version."


def answer_ready(mention: str) -> str:
    return f"{mention} {ANSWER_READY}"


def canvas_made(link: str) -> str:
    return f"The answer as a canvas: {link}"
