"""Slack IDs in a model's text: people read names, and the same ones however the text is divided into deltas."""

import pytest

from bot.core.written_ids import PARTIAL_ID, with_names, written_ids

NAMES = {"U0ADA": "Ada", "W0123ABCD": "Grace *Hopper*", "C0GENERAL": "general"}
TEXTS = [
    ("Ask <@U0ADA> in <#C0GENERAL>, or @W0123ABCD.", "Ask @Ada in #general, or @Grace \\*Hopper\\*."),
    ("<@U0NOBODY> <#C0OTHER> <!subteam^S0OPS> @U0NOBODY", "someone a channel a group someone"),
    ("<@U0NOBODY|Alan> <@U0ADA|Alan> <#C0OTHER|#ops> <!subteam^S0OPS|@ops>", "@Alan @Ada #ops @ops"),
    ('`<@U0ADA>`, "<@U0ADA>", user=<@U0ADA>, `@U0ADA`', '`<@U0ADA>`, "<@U0ADA>", user=<@U0ADA>, `@U0ADA`'),
    ("<!channel> <@here> <@USER_ID> @W3C @U2 ada@U0ADA.example <@ <U0ADA>", None),
]


@pytest.mark.parametrize(("written", "shown"), TEXTS)
def test_reader_sees_names_or_words_for_ids(written: str, shown: str | None) -> None:
    assert with_names(written, NAMES) == (shown or written)
    assert written_ids(with_names(written, NAMES)) == []
    for end in range(len(written)):
        half = PARTIAL_ID.search(written[:end])
        assert half is not None
        decided = written[: half.start()]
        assert with_names(written, NAMES).startswith(with_names(decided, NAMES)), decided
