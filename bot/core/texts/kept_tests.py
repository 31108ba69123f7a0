"""Text about answers that are kept as tests, and about tests that fail."""

from bot.core.texts.words import count

KEEP = "Keep as a test"
SAVE = "Keep"
EXPLAINED = (
    "I'll ask this question again after changes, such as a new model or prompt, and tell an admin if an answer fails."
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


def at_most(number: int) -> str:
    return f"Choose at most {number}."


def too_many_tests(number: int) -> str:
    return f"There are already {number} tests in this workspace. Please stop keeping another one first."


def check(kind: str, value: str) -> str:
    return _CHECKS[kind].format(value) if kind in _CHECKS else f"has at most {count(int(value), 'word', 'words')}"
