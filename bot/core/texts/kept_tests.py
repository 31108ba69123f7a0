"""Text about answers that are kept as tests, and about tests that fail."""

from collections.abc import Sequence

from bot.core.texts.words import count, listed

KEEP = "Keep as a test"
SAVE = "Keep"
EXPLAINED = (
    "Typist admins can have me answer this question again after a change, such as a new model. They'll see whether "
    "the new answer passes."
)
CHECKS = "A good answer"
CLEAR = "To stop keeping the test, clear every box."
CHOOSE_ONE = "Choose at least one."
ANSWER_CHANGED = "The answer has changed. Please close this and try again."
_CHECKS = {
    "tool": "calls {}",
    "unknown": "says that it doesn't know",
    "asks": "asks back",
    "link": "links to {}",
    "word": "contains “{}”",
}


def choose_at_most(number: int) -> str:
    return f"Choose at most {number}."


def too_many_tests(number: int) -> str:
    return f"There are already {number} tests in this workspace. Please remove one of the others first."


def run_report(failed: int, tests: int, lines: Sequence[str], stopped: str) -> str:
    """Returns the message to admins after a run, in mrkdwn. `lines`: some failed tests. `stopped`: why the run stopped
    early, or ""."""
    left = failed - len(lines)
    more = f"…and {count(left, 'other test', 'other tests')}. `typist replay --kept` shows all." if left else ""
    head = f"{failed} of {count(tests, 'kept test', 'kept tests')} failed." if tests else ""
    return "\n".join(filter(None, (" ".join(filter(None, (head, stopped))), *lines, more)))


def cost_limit_reached(usd: float) -> str:
    return f"I stopped running kept tests at the limit of ${usd:g}."


def failed_test_line(link: str, checks: Sequence[str], question: str, before: str, now: str) -> str:
    """Returns a failed test's line in mrkdwn. All arguments except `link` are already escaped."""
    asked = f"<{link}|{question}>" if link else question
    return f"• {asked}\nThe answer no longer {listed(checks)}.\n_Before:_ {before}\n_Now:_ {now or '(no answer)'}"


def private_failure(link: str, checks: int) -> str:
    question = f"<{link}|A question>" if link else "A question"
    return f"• {question} in a private conversation: {count(checks, 'check', 'checks')} failed."


def check_text(kind: str, value: str) -> str:
    return _CHECKS[kind].format(value) if kind in _CHECKS else f"has at most {count(int(value), 'word', 'words')}"
