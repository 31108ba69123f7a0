"""Choices: a model that is unsure asks the reader, and offers up to five possible answers as buttons. Pure.

The model asks with a tool call that ends the answer. The question and choices become the last lines of the answer, so
they are recorded, repeated in later prompts, and shown in messages without buttons. The buttons belong to the answer's
end (`End.choices`), so no worker waits for a choice. Clicking a choice asks it as a new question on behalf of the
person who clicked (`MessageQuestion`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bot.core.calls import convert_arguments, object_schema
from bot.core.job import AnswerRecord
from bot.core.unseen import visible
from bot.models.events import ToolCall
from bot.models.prompt import OURS, READ_ONLY_RULE, ToolDefinition

TOOL_NAME = "offer_choices"
"""The tool's name. It has no owner prefix, so that no MCP server can have a tool with the same name."""
MAX_CHOICES = 5
MAX_CHOICE_CHARS = 200
LABEL_CHARS = 75
MAX_QUESTION_CHARS = 1_000

DEFINITION = ToolDefinition(
    TOOL_NAME,
    "Asks the reader a question with up to five choices, which they see as buttons, and ends your turn. Use it only if "
    "you can't answer well without knowing which of a few things the reader wants, and their choice changes your "
    "answer. Don't use it to offer more help or to confirm. Call no other tool beside it, and don't write the question "
    "or the choices in your text: they are shown below it. The reader may press a button or write something else.",
    object_schema(
        {
            "question": {"type": "string", "description": "One short question"},
            "choices": {
                "type": "array",
                "items": {"type": "string", "description": "A few words of plain text, in the reader's language"},
                "minItems": 1,
                "maxItems": MAX_CHOICES,
            },
        },
        ("question", "choices"),
    ),
    origins=OURS,
    rule=READ_ONLY_RULE,
    is_dispensable=True,
)

# The result that the model gets for a call that offers nothing.
_NOTHING_OFFERED = "Nothing was offered: {problem} Call the tool again, or answer without it."
_NOT_ALONE = "call no other tool in the same step."
_NO_QUESTION = f"the question must be a text of at most {MAX_QUESTION_CHARS} characters, and not be empty."
_NO_LIST = f"the choices must be a list of one to {MAX_CHOICES} texts."
_EMPTY_CHOICE = "a choice is empty."
_CHOICE_TOO_LONG = f"a choice is longer than {MAX_CHOICE_CHARS} characters."
_DUPLICATE_CHOICE = "a choice comes twice."


@dataclass(frozen=True, slots=True)
class Choices:
    question: str = field(repr=False)
    choices: tuple[str, ...] = field(repr=False)

    @property
    def markdown(self) -> str:
        return f"{self.question}\n\n{choice_list(self.choices)}"


def without_choice_list(markdown: str, choices: Sequence[str]) -> str:
    fit = all(len(choice) <= LABEL_CHARS for choice in choices)
    return markdown.rstrip().removesuffix(choice_list(choices)) if fit else markdown


def mark_choice(markdown: str, chosen: str, mark: str) -> str:
    """Returns an answer with a mark after the chosen item in its list of choices."""
    lines = markdown.rstrip().split("\n")
    for at in range(len(lines) - 1, max(-1, len(lines) - 1 - MAX_CHOICES), -1):
        if lines[at].partition(". ")[2] == chosen:
            lines[at] += f" {mark}"
            return "\n".join(lines)
    return markdown


def choice_list(choices: Sequence[str]) -> str:
    return "\n".join(f"{number}. {choice}" for number, choice in enumerate(choices, start=1))


def offered_choices(calls: Sequence[ToolCall]) -> Choices | str:
    if [call.name for call in calls] != [TOOL_NAME]:
        return _NOTHING_OFFERED.format(problem=_NOT_ALONE)
    arguments = convert_arguments(DEFINITION.parameters, calls[0].arguments or {})
    question, choices = arguments.get("question"), arguments.get("choices")
    asked = question.strip() if isinstance(question, str) else ""
    offered = choices if isinstance(choices, list) and all(isinstance(choice, str) for choice in choices) else []
    lines = [" ".join(visible(choice).split()) for choice in offered]
    problem = _problem(asked, lines)
    return _NOTHING_OFFERED.format(problem=problem) if problem else Choices(visible(asked), tuple(lines))


def _problem(question: str, lines: Sequence[str]) -> str:
    if not 0 < len(question) <= MAX_QUESTION_CHARS:
        return _NO_QUESTION
    if not 0 < len(lines) <= MAX_CHOICES:
        return _NO_LIST
    if not all(lines):
        return _EMPTY_CHOICE
    if any(len(line) > MAX_CHOICE_CHARS for line in lines):
        return _CHOICE_TOO_LONG
    return _DUPLICATE_CHOICE if len({line.casefold() for line in lines}) < len(lines) else ""


def question_id(job_id: int, version: int) -> str:
    """Returns the ID of the question asked by a click. All choices in one version of an answer share the ID."""
    return f"choice:{job_id}:{version}"


def button_value(version: int, index: int) -> str:
    return f"{version}.{index}"


def choice_of_button(value: str, version: int, choices: Sequence[str]) -> str | None:
    values = [button_value(version, index) for index in range(len(choices))]
    return choices[values.index(value)] if value in values else None


@dataclass(frozen=True, slots=True)
class AwaitedChoice:
    """A choice that is waiting for the first click by a person with access (core/awaited.py)."""

    answer: AnswerRecord
    choice: str = field(repr=False)
    message_ts: str

    @property
    def name(self) -> str:
        return question_id(self.answer.job_id, self.answer.version)
