"""Choices: a model that is unsure asks its reader, and offers up to five answers as buttons. Pure.

The model asks for them by a tool, whose call ends the answer. The question and the list of choices become the last
words of the answer, so they are on record, in later prompts, and in messages without buttons. The buttons belong to the
answer's end (`End.choices`). So a waiting choice holds no worker and no lease, and needs no process.

A press asks a question of its own, in the presser's name (`MessageQuestion`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bot.core.calls import fitting
from bot.core.job import AnswerRecord
from bot.core.unseen import visible
from bot.models.events import ToolCall
from bot.models.prompt import OURS, READS_ONLY, ToolDefinition

NAME = "offer_choices"
"""No owner stands before it, so no MCP server has a tool of this name."""
MAX_CHOICES = 5
MAX_CHOICE_CHARS = 200
LABEL_CHARS = 75
"""Slack's limit for the text of a button."""
MAX_QUESTION_CHARS = 1_000

DEFINITION = ToolDefinition(
    NAME,
    "Asks the reader a question with up to five choices, which they see as buttons, and ends your turn. Use it only if "
    "you can't answer well without knowing which of a few things the reader wants, and their choice changes your "
    "answer. Don't use it to offer more help or to confirm. Call no other tool beside it, and don't write the question "
    "or the choices in your text: they are shown below it. The reader may press a button or write something else.",
    {
        "type": "object",
        "properties": {
            "question": {"type": "string", "description": "One short question"},
            "choices": {
                "type": "array",
                "items": {"type": "string", "description": "A few words of plain text, in the reader's language"},
                "minItems": 1,
                "maxItems": MAX_CHOICES,
            },
        },
        "required": ["question", "choices"],
        "additionalProperties": False,
    },
    origins=OURS,
    rule=READS_ONLY,
    is_dispensable=True,
)

# What the model reads of a call that offers nothing.
_NOTHING_OFFERED = "Nothing was offered: {problem} Call the tool again, or answer without it."
_NOT_ALONE = "call no other tool in the same step."
_NO_QUESTION = f"the question must be a text of at most {MAX_QUESTION_CHARS} characters, and not be empty."
_NO_LIST = f"the choices must be a list of one to {MAX_CHOICES} texts."
_EMPTY = "a choice is empty."
_TOO_LONG = f"a choice is longer than {MAX_CHOICE_CHARS} characters."
_TWICE = "a choice comes twice."


@dataclass(frozen=True, slots=True)
class Choices:
    """A question to the reader, and the answers that they can press."""

    question: str = field(repr=False)
    choices: tuple[str, ...] = field(repr=False)
    """Each is one line that hides nothing."""

    @property
    def markdown(self) -> str:
        """The question and the choices, as the last words of the answer."""
        return f"{self.question}\n\n{listed(self.choices)}"


def without_listed(markdown: str, choices: Sequence[str]) -> str:
    """Returns an answer without the list of its choices, where their buttons show each of them whole."""
    fit = all(len(choice) <= LABEL_CHARS for choice in choices)
    return markdown.rstrip().removesuffix(listed(choices)) if fit else markdown


def marked(markdown: str, chosen: str, mark: str) -> str:
    """Returns an answer with a mark behind the choice that somebody has pressed, in the list at its end."""
    lines = markdown.rstrip().split("\n")
    for at in range(len(lines) - 1, max(-1, len(lines) - 1 - MAX_CHOICES), -1):
        if lines[at].partition(". ")[2] == chosen:
            lines[at] += f" {mark}"
            return "\n".join(lines)
    return markdown


def listed(choices: Sequence[str]) -> str:
    """Returns choices as a numbered list."""
    return "\n".join(f"{number}. {choice}" for number, choice in enumerate(choices, start=1))


def offered(calls: Sequence[ToolCall]) -> Choices | str:
    """Returns what a step's calls offer to the reader; if nothing, why a call that should offer something doesn't."""
    if [call.name for call in calls] != [NAME]:
        return _NOTHING_OFFERED.format(problem=_NOT_ALONE)
    arguments = fitting(DEFINITION.parameters, calls[0].arguments or {})
    question, choices = arguments.get("question"), arguments.get("choices")
    problem = _problem_of(question, choices)
    if problem or not isinstance(question, str) or not isinstance(choices, list):
        return _NOTHING_OFFERED.format(problem=problem)
    return Choices(visible(question.strip()), tuple(map(_on_a_line, choices)))


def _problem_of(question: object, choices: object) -> str:
    """Returns why a question and its choices can't be offered; "" if they can."""
    if not isinstance(question, str) or not 0 < len(question.strip()) <= MAX_QUESTION_CHARS:
        return _NO_QUESTION
    if not isinstance(choices, list) or not 0 < len(choices) <= MAX_CHOICES:
        return _NO_LIST
    if not all(isinstance(choice, str) for choice in choices):
        return _NO_LIST
    lines = [_on_a_line(choice) for choice in choices]
    if not all(lines):
        return _EMPTY
    if any(len(line) > MAX_CHOICE_CHARS for line in lines):
        return _TOO_LONG
    return _TWICE if len({line.casefold() for line in lines}) < len(lines) else ""


def _on_a_line(choice: str) -> str:
    return " ".join(visible(choice).split())


def question_id(job_id: int, version: int) -> str:
    """Returns the id of the question that a press asks: the same for all choices of one version of an answer."""
    return f"choice:{job_id}:{version}"


def value_of(version: int, index: int) -> str:
    """Returns what the button of a choice carries: the answer's version, and the choice's place from 0."""
    return f"{version}.{index}"


def choice_named(value: str, version: int, choices: Sequence[str]) -> str | None:
    """Returns the choice that a button's value names, None if it is not one of these."""
    values = [value_of(version, index) for index in range(len(choices))]
    return choices[values.index(value)] if value in values else None


@dataclass(frozen=True, slots=True)
class AwaitedChoice:
    """A choice below an answer that awaits the first person to press one, if they have access (core/awaited.py)."""

    answer: AnswerRecord
    choice: str = field(repr=False)
    message_ts: str
    """The answer's page with the button."""

    @property
    def name(self) -> str:
        """Identifies the question that the choice asks: the same for all choices of one version of an answer."""
        return question_id(self.answer.job_id, self.answer.version)
