"""The scripted model's answers to the scenes' questions, newcomers' first messages and everything else. Pure.

A question that is word for word in scenes.py is answered by its script. Because the script reads like a model's own
answer, the page marks it as scripted. The answer to everything else states that it is scripted.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bot.models.registry import KEY_COMPANIES
from demo.newcomers import first_answer
from demo.scenes import SCENES, Call, Scene

LIMIT_TOKENS = 380
"""The number of tokens, which are words here, after which the long answer stops as if at its length limit. They take
about 13 seconds."""
_SEAM_CHARS = 60
"""Number of characters at an answer's end that identify where it stopped. They occur only once in a script."""
_OTHER_ANSWER = """\
This is a **scripted answer**{number}: no model is connected, so nobody has thought about your question. \
It was this:

> {question}

What you see is how an answer grows here, with everything that Markdown has to offer:

1. **Text** with `code`, *emphasis* and [a link](https://example.com).
2. Lists, as this one:
   - with a level below,
   - and words of many languages: Grüße, 你好, ありがとう, 👋🏽.
3. Code, which keeps its shape:

```python
def ask(question: str) -> str:
    return f"You asked: {{question}}"
```

| What | How much |
| --- | ---: |
| Words in your question | {words} |
| Turns before it | {earlier} |

To get real answers, paste an {companies} key in the sandbox's page, below the message box.
"""


@dataclass(frozen=True, slots=True)
class Conversation:
    """The conversation in a request to the scripted model."""

    turns: tuple[str, ...] = field(repr=False)
    """The user's and the model's turns, alternating. The last turn is the question, with its files."""
    so_far: str = field(default="", repr=False)
    """The answer so far, if the script continues it."""
    result: str | None = field(default=None, repr=False)
    """The result of the answer's last tool call."""
    called: str = ""
    """The tool that was called last."""
    tools: Mapping[str, str] = field(default_factory=dict)
    """The descriptions of offered tools, by name."""
    mark: str = ""
    """Distinguishes conversations that begin with the same text."""

    @property
    def scene(self) -> tuple[Scene, str] | None:
        """The scene that the question belongs to, and the question's wording there."""
        for scene in SCENES:
            for question in scene.all_scripts:
                # The question can have a speaker's mark above it and its files below it, but never another message. A
                # choice is between marks.
                if re.search(
                    rf"(?:^|\n){re.escape(question)}(?:\n\n(?:\(|\[\w+ (?:file|attached)])|\n\[\w+ end]|$)",
                    self.turns[-1],
                ):
                    return scene, question
        return None


@dataclass(frozen=True, slots=True)
class Step:
    """The model's response to one request."""

    tokens: Sequence[str]
    is_cut: bool = False
    """Whether the response stops at the length limit."""
    call: Call | None = None
    """The tool call at the response's end."""


def next_step(asked: Conversation, count: int) -> Step:
    """Returns the next step of an answer. `count`: the number of the answer among all answers to this question."""
    is_limited = False
    if asked.scene:
        scene, question = asked.scene
        call = scene.call if question in scene.scripts else scene.reply_calls.get(question)
        text, is_limited = scene.all_scripts[question](asked.turns[-1]), scene.limited
    elif first := first_answer(asked.turns[-1], asked.tools):
        text, call = first.text, first.call
    else:
        return Step(words(_rest(_other_answer(asked, count), asked.so_far)))
    if call and asked.result is not None:
        made = call.call_to(asked.called)
        following = made.then and made.then.first_offered(asked.tools)
        return Step((), call=following) if following else Step(words(made.rest(asked.result)))
    text = (f"*Attempt {count}*\n\n" if count > 1 else "") + text
    offered = call and call.first_offered(asked.tools)
    if call and offered is None:
        return Step(words(text + call.not_offered))
    tokens = words(_rest(text, asked.so_far))
    is_cut = is_limited and not asked.so_far
    return Step(tokens[:LIMIT_TOKENS] if is_cut else tokens, is_cut, offered)


def words(text: str) -> list[str]:
    """Splits a text into words, each with the whitespace before it. Joining them restores the text."""
    return re.findall(r"\s*\S+|\s+$", text)


def _other_answer(asked: Conversation, count: int) -> str:
    question = asked.turns[-1].strip()
    return _OTHER_ANSWER.format(
        number=f" (no. {count})" if count > 1 else "",
        question=question.replace("\n", "\n> "),
        words=len(question.split()),
        earlier=len(asked.turns) - 1,
        companies=KEY_COMPANIES,
    )


def _rest(answer: str, so_far: str) -> str:
    """Returns the missing rest of an answer, or all of it if `so_far` isn't from this script."""
    seam = so_far.rstrip()[-_SEAM_CHARS:]
    at = answer.rfind(seam) if seam else -1
    return answer[at + len(seam) :] if at >= 0 else answer
