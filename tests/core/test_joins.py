"""A model's continuation joins an answer that was stopped, cut or interrupted anywhere: nothing is glued or split."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.reply.resuming import Seam

TABLE = "| a | b |\n| --- | --- |\n| 1 | 2 |"
CODE = "Look:\n\n```python\nprint(1)"
CASES = {
    # Prose.
    "two sentences": ("The Earth.", "The moon.", " "),
    "two sentences, the second without a capital": ("It is round.", "it turns.", " "),
    "two sentences in Cyrillic": ("Это Земля.", "Это Луна.", " "),
    "two sentences in Arabic": ("ما هذا؟", "هذا قمر.", " "),
    "two sentences in Korean": ("지구입니다.", "달입니다.", " "),
    "two sentences in Chinese": ("这是地球。", "这是月亮。", ""),
    "two sentences in Japanese, in quotes": ("「地球です。」", "月です。", ""),
    "two sentences in Thai": ("โลก", "ดวงจันทร์", ""),
    "Chinese, then Latin": ("这是地球。", "The moon.", " "),
    "Chinese, then a number": ("这是地球。", "2024年", ""),
    "Latin, then Chinese": ("The Earth.", "月亮", ""),
    "a question": ("Is it round?", "It is.", " "),
    "three dots": ("It is…", "Round.", " "),
    "a sentence in quotes": ("He said “It is.”", "Then he left.", " "),
    "a sentence in straight quotes": ('He said "It is."', "Then he left.", " "),
    "a sentence in brackets": ("(It is.)", "Then he left.", " "),
    "a sentence in bold": ("**It is.**", "Then he left.", " "),
    "a sentence before bold": ("It is.", "**Then** he left.", " "),
    "a sentence before a quote": ("It is.", '"Then," he said.', " "),
    "a sentence before a code span": ("It is.", "`print` writes.", " "),
    "a sentence before a link": ("It is.", "[Here](https://a.example) it is.", " "),
    "a sentence before a number": ("There are planets.", "8 of them.", " "),
    "a clause": ("It is round,", "and it turns.", " "),
    "a colon": ("Note:", "it turns.", " "),
    "in mid-word": ("One, two, thr", "ee, four.", ""),
    "in mid-word, and white space": ("One, two, three", " and four.", ""),
    "in mid-word, the word again": ("One, two, thr", "three, four.", None),
    "after a word, the word again": ("It is late", "late, he said.", None),
    "in mid-word, two letters alike": ("It went so", "so.", ""),
    "two words, the second with a capital": ("It is called the", "Earth by us.", " "),
    "two words, the second in bold": ("It is called the", "**Earth** by us.", " "),
    "bold that is closed": ("It is **round**", "and turns.", " "),
    "bold that is opened": ("It is **", "round** and turns.", ""),
    "bold that closes": ("It is **round.", "** It turns.", ""),
    "a quote that is opened": ('He said:"', "It is.", ""),
    "a quote that closes": ('He said "It is.', '" Then he left.', ""),
    "a bracket that is closed": ("It is round (nearly)", "and turns.", " "),
    "an apostrophe": ("It'", "s round.", ""),
    "a comma in a number": ("It has 1,", "000 craters.", ""),
    "a point in a number": ("It is 3.", "14 of them.", ""),
    "a time": ("At 12:", "30 it rose.", ""),
    "an acronym": ("In the U.", "S. it rose.", ""),
    "an abbreviation's second half": ("See e.", "g. the moon.", ""),
    "after an abbreviation": ("See e.g.", "the moon.", " "),
    "an address": ("See https://www.example.", "com for it.", ""),
    "after an address": ("See https://www.example.com.", "Then go on.", " "),
    "a path": ("Open src/main.", "py for it.", ""),
    "a link's address": ("See [this.]", "(https://a.example)", ""),
    "an image": ("!", "[The moon](https://a.example)", ""),
    "a dash": ("well-", "known", ""),
    "punctuation": ("It is round", ", and it turns.", ""),
    "an emoji": ("It is round.", "🌍", ""),
    "a name with a point in front": ("Use .", "NET for it.", ""),
    # Blocks.
    "a list behind a sentence": ("These are known:", "- Earth\n- Mars", "\n\n"),
    "numbers behind a sentence": ("These are known:", "1. Earth\n2. Mars", "\n\n"),
    "a heading behind a sentence": ("It is round.", "# Mars", "\n\n"),
    "a heading behind a word": ("- the Earth", "## Mars", "\n\n"),
    "a fence behind a word": ("Write this", "```python\nprint(1)\n```", "\n\n"),
    "a name that looks like a heading": ("C", "# is a language.", ""),
    "an item behind an item": ("- Earth", "- Mars", "\n"),
    "an item behind a sentence in an item": ("- It is round.", "- It turns.", "\n"),
    "a number behind a numbered item": ("1. Earth", "2. Mars", "\n"),
    "a word behind a whole item": ("- Earth\n- Mars is red.", "Both turn.", "\n\n"),
    "a word behind an item that is not whole": ("- Earth\n- Mars is r", "ed.", ""),
    "bold in an item": ("- **Earth:**", "it is round.", " "),
    "the second half of bold": ("- **Earth*", "* is round.", ""),
    "a line of a quote": ("> Earth", "> Mars", "\n"),
    "a word behind a heading": ("# The Earth", "It is round.", "\n\n"),
    "a word behind a question as a heading": ("# Is it round?", "it is.", "\n\n"),
    "in mid-word of a heading": ("# The Ear", "th\n\nIt is round.", ""),
    "a word behind an underline": ("The Earth\n---", "it is round.", "\n\n"),
    "a word behind a break": ("It is round.\n\n---", "it turns.", "\n\n"),
    "a break that is not whole": ("It is round.\n\n--", "-\n\nIt turns.", ""),
    "a row behind a row": (TABLE, "| 3 | 4 |", "\n"),
    "a word behind a row": (TABLE, "Both are small.", "\n\n"),
    "a cell": (f"{TABLE}\n| 3 |", "4 |", ""),
    "a cell's end": (f"{TABLE}\n| 3 | It is.", "| and more", ""),
    "a delimiter row": ("| a | b |", "| --- | --- |\n| 1 | 2 |", "\n"),
    "a delimiter row that is not whole": ("| a | b |\n| --", "- | --- |\n", ""),
    # Code.
    "code": (CODE, "print(2)", ""),
    "a sentence in code": ("```\n# It is.", "The rest.", ""),
    "a word again in code": ("```\nfoo bar", "bar", ""),
    "a fence that closes": (CODE, "```\n\nThen.", "\n"),
    "nothing but a fence that closes": (CODE, "```", "\n"),
    "a fence opened again": (CODE, "```python\nprint(2)", None),
    "a fence that closes, without a language": ("```\nfoo\n", "```\n\nThen.", ""),
    "a line's end in code": (CODE, "\nprint(2)", ""),
    "closed code": (f"{CODE}\n```", "Then.", "\n\n"),
    "closed code, and the same kind of code again": (f"{CODE}\n```", "\n\n```python\nprint(2)", ""),
    "a code span": ("Call `print.", "now` for it.", ""),
    "a closed code span": ("Call `print`", "for it.", " "),
    "a fence of a tilde": ("~~~\nprint(1)", "~~~\nThen.", "\n"),
}
"""By name: how the text ends, what the model says, and what is put between; None where something else happens."""
REPLACED = {
    "in mid-word, the word again": "One, two, three, four.",
    "after a word, the word again": "It is late, he said.",
    "a fence opened again": f"{CODE}\nprint(2)",
}


def joined(so_far: str, continuation: str, cuts: list[int]) -> str:
    seam, parts, start = Seam(so_far), [so_far], 0
    for end in [*sorted(cuts), len(continuation)]:
        parts.append(seam.join(continuation[start:end]))
        start = max(start, end)
    return "".join(parts) + seam.rest()


@pytest.mark.parametrize("name", CASES)
def test_between_a_text_and_its_continuation_stands_what_is_missing(name: str) -> None:
    so_far, continuation, between = CASES[name]
    whole = REPLACED[name] if between is None else so_far + between + continuation
    for step in (1, 2, 5, 1_000):
        assert joined(so_far, continuation, list(range(0, len(continuation), step))) == whole, step


@pytest.mark.parametrize("space", [" ", "\n", "\n\n"])
@pytest.mark.parametrize("name", ["two sentences", "in mid-word", "an item behind an item", "two sentences in Chinese"])
def test_white_space_that_the_model_writes_is_all_that_stands_between(name: str, space: str) -> None:
    so_far, continuation, _ = CASES[name]
    assert joined(so_far, space + continuation, []) == so_far + space + continuation


TEXTS = st.one_of(
    st.text("aB1 .\n`*|-#>:,\"'~[(月。", max_size=50),
    st.lists(
        st.sampled_from(
            [
                "It is. ",
                "The ",
                "moon",
                "\n\n",
                "- ",
                "1. ",
                "```",
                "```py\n",
                "| a | b |\n",
                "| --- | --- |\n",
                "**",
                "|",
            ]
        ),
        max_size=12,
    ).map("".join),
)


@given(TEXTS, TEXTS, st.integers(0, 12), st.lists(st.integers(0, 80), max_size=12))
def test_how_a_continuation_joins_does_not_depend_on_its_deltas(
    so_far: str, continuation: str, repeated: int, cuts: list[int]
) -> None:
    continuation = so_far[len(so_far) - repeated :] + continuation if repeated else continuation
    whole = joined(so_far, continuation, [])
    assert joined(so_far, continuation, [min(cut, len(continuation)) for cut in cuts]) == whole
    assert joined(so_far, continuation, list(range(len(continuation)))) == whole
    assert whole.startswith(so_far)
