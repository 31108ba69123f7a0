"""Messages that need no answer, by their words."""

import json
import time
from pathlib import Path

import pytest

from bot.core.closings import MAX_CHARS, MAX_OTHER_WORDS, Closing, closing_of_text

LABELED = Path(__file__).parents[2] / "benchmarks" / "closings.jsonl"
THANKS, AGREEMENT, IN_DOUBT = Closing.THANKS, Closing.AGREEMENT, Closing.POSSIBLE


@pytest.mark.parametrize(
    ("text", "closing"),
    [
        ("thanks", THANKS),
        ("Thank you so much!", THANKS),
        ("thaaanks :)", THANKS),
        ("@typist thanks", THANKS),
        ("thanks for walking me through this", THANKS),
        ("no thanks", THANKS),
        (":pray::skin-tone-3:", THANKS),
        ("\U0001f64f\U0001f3fd", THANKS),
        ("alles klar, danke dir", THANKS),
        ("merci beaucoup !", THANKS),
        ("好的谢谢", THANKS),
        ("了解です、ありがとうございます", THANKS),
        ("спасибо большое", THANKS),
        ("mange tak", THANKS),
        ("tack så mycket!", THANKS),
        ("köszönöm szépen", THANKS),
        ("cảm ơn nhiều", THANKS),
        ("شكراً جزيلاً", THANKS),
        ("どうもありがとうございます", THANKS),
        ("ขอบคุณครับ", THANKS),
        ("appreciate your help!", THANKS),
        ("never mind, I found it. Thanks!", THANKS),
        ("cheers mate 🍻", THANKS),
        (":meow_thx:", THANKS),
        ("thanks <@U2>", AGREEMENT),
        ("ok", AGREEMENT),
        (":+1:", AGREEMENT),
        ("great, that worked", AGREEMENT),
        ("that solved my problem", AGREEMENT),
        ("Perfect, exactly what I needed", AGREEMENT),
        ("I’ll try that and let you know", AGREEMENT),
        (":party_blob: it finally works", AGREEMENT),
        (";)", AGREEMENT),
        ("nvm, figured it out", AGREEMENT),
        ("ok, that's all for now, see you tomorrow", AGREEMENT),
        ("承知いたしました", AGREEMENT),
        ("¡Muchas gracias!", THANKS),
        ("ありがとう〜", THANKS),
        ("धन्यवाद।", THANKS),
        ("تمام، شكرا", THANKS),
        ("<!EMOJI|:meow_thx:>", THANKS),
        ("<!EMOJI|:party_blob:> it works", AGREEMENT),
        ("+1", AGREEMENT),
        ("multumesc mult", THANKS),
        ("tesekkurler", THANKS),
        ("dzieki!", THANKS),
        ("cám ơn", THANKS),
        ("tres bien", AGREEMENT),
        ("swietnie, dziala", AGREEMENT),
        ("非常感谢", THANKS),
        ("ㄱㅅ ㅋㅋㅋ", THANKS),
        ("great, now in German", IN_DOUBT),
        ("thanks, and how do I undo it", IN_DOUBT),
        ("hahaha", AGREEMENT),
        ("ahahah 😂", AGREEMENT),
        ("jajajaja gracias", THANKS),
        ("sgtm", AGREEMENT),
        ("amazing work!", AGREEMENT),
        ("have a good weekend", AGREEMENT),
        ("Oops, wrong thread, sorry", AGREEMENT),
        ("please ignore my last message", AGREEMENT),
        ("brb", AGREEMENT),
        ("sgtm, go ahead", IN_DOUBT),
        ("haha no", None),
        ("hi hi", None),
        ("he", None),
        ("sorry", None),
        ("that's wrong", None),
        ("ignore that file", None),
        ("hold on, why?", None),
        ("", None),
        (" ", None),
        ("yes", None),
        ("no", None),
        ("do it", None),
        ("hello", None),
        ("thanks for nothing", None),
        ("ok do it", None),
        ("ok go", None),
        ("oui, vas-y", None),
        ("für alle", None),
        ("ok?", None),
        ("thanks？", None),
        ("ok :(", None),
        (":-1:", None),
        (":thinking_face: ok", None),
        (":broken_heart:", None),
        ("\U0001f494", None),
        ("<!EMOJI|:thinking_blob:> ok", None),
        ("hi", None),
        ("good morning", None),
        ("`ok`", None),
        ("that", None),
        ("oh", None),
        ("thanks for the link can you open it", None),
        ("it worked till today", None),
        ("thanks, " + "word " * MAX_OTHER_WORDS, IN_DOUBT),
        ("thanks, " + "word " * (MAX_OTHER_WORDS + 1), None),
        ("thanks for " + "word " * MAX_OTHER_WORDS, THANKS),
        ("thanks for " + "word " * (MAX_OTHER_WORDS + 1), None),
        ("thanks" + "!" * (MAX_CHARS - 6), THANKS),
        ("thanks" + "!" * (MAX_CHARS - 5), None),
    ],
)
def test_closing_by_its_words(text: str, closing: Closing | None) -> None:
    assert closing_of_text(text, "typist") == closing


def test_no_labeled_question_is_taken_for_a_closing_and_most_closings_are_known() -> None:
    """Whether agreement answers a question is for the answer before to say, and a mention for its thread."""
    last = [json.loads(line)["lines"][-1] for line in LABELED.read_text().splitlines()]
    known = {line["text"]: closing_of_text(line["text"], "typist") in (THANKS, AGREEMENT) for line in last}
    asked = [line["text"] for line in last if line["needs_answer"] and known[line["text"]]]
    assert asked == ["ok", "great"]
    closings = [line["text"] for line in last if not line["needs_answer"]]
    assert sum(map(known.__getitem__, closings)) / len(closings) >= 0.95


@pytest.mark.parametrize("text", ["ok " * 53, "🙏" * MAX_CHARS, "[" * MAX_CHARS, ":" * MAX_CHARS, "好" * MAX_CHARS])
def test_long_message_is_read_fast(text: str) -> None:
    took_s = []
    for _ in range(3):
        began = time.thread_time()
        closing_of_text(text, "typist")
        took_s.append(time.thread_time() - began)
    assert min(took_s) < 0.05
