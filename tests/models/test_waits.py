"""When a vendor may be asked again, by the headers of its refusal; what its words say is in test_provider.py."""

from collections.abc import Mapping

import pytest

from bot.models.waits import is_temporary_limit, retry_after_s

DATE = {"Date": "Fri, 27 Nov 2026 22:00:00 GMT"}
AT_22 = 1_795_816_800


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        # For the request itself.
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "2.5"}, 2.5),
        ({"Retry-After": "30s"}, 30.0),
        ({"Retry-After": " 1M30S "}, 90.0),
        ({"Retry-After": "Fri, 27 Nov 2026 22:02:00 GMT"}, 120.0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"Retry-After": "2026-11-27T22:01:30Z"}, 90.0),
        ({"Retry-After": f"{AT_22 + 90}"}, 90.0),
        ({"retry-after-ms": "900", "retry-after": "1"}, 0.9),
        ({"Retry-After": "2", "x-ratelimit-reset-requests": "6m0s", "x-ratelimit-remaining-requests": "0"}, 2.0),
        # OpenAI's form: of two limits, the one that is used up.
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "6m0s",
                "x-ratelimit-remaining-tokens": "1000",
                "x-ratelimit-reset-tokens": "1h0m0s",
            },
            360.0,
        ),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "59.9s"}, 59.9),
        ({"x-ratelimit-remaining-requests": "9", "x-ratelimit-reset-requests": "6m0s"}, None),
        # Anthropic's, Cerebras', OpenRouter's, Together's, Envoy's and the draft standard's.
        (
            {
                "anthropic-ratelimit-tokens-remaining": "0",
                "anthropic-ratelimit-tokens-reset": "2026-11-27T22:02:00Z",
                "anthropic-ratelimit-requests-remaining": "40",
                "anthropic-ratelimit-requests-reset": "2026-11-27T22:15:00Z",
            },
            120.0,
        ),
        ({"x-ratelimit-remaining-requests-day": "0", "x-ratelimit-reset-requests-day": "33011.4"}, 33_011.4),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": f"{AT_22 + 1800}000"}, 1800.0),
        ({"x-ratelimit-reset": f"{AT_22 + 300}"}, 300.0),
        ({"x-ratelimit-limit": "10, 10;w=60", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "38"}, 38.0),
        ({"RateLimit-Reset": "300", "RateLimit-Remaining": " 0 "}, 300.0),
        ({"x-ratelimit-reset": "38", "x-ratelimit-remaining": ""}, None),
        ({"x-session-reset": "38"}, None),
        # Of limits that don't say what is left, the first that begins anew.
        ({"anthropic-ratelimit-unified-5h-reset": f"{AT_22 + 60}", "anthropic-ratelimit-unified-reset": "90"}, 60.0),
        # No time.
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": ""}, None),
        ({"x-ratelimit-reset": ""}, None),
        ({"x-ratelimit-reset": "1e400"}, None),
        ({"Retry-After": "2026-11-27T22:01:30"}, None),
        ({"Retry-After": "99999-11-27T22:01:30Z"}, None),
    ],
    ids=str,
)
def test_header_says_how_long_a_limit_lasts(headers: Mapping[str, str], wait_s: float | None) -> None:
    assert retry_after_s({**DATE, **headers}, "no.", is_limit=True) == wait_s


def test_moment_is_no_time_where_the_response_has_no_date() -> None:
    assert retry_after_s({"Retry-After": f"{AT_22}"}, "no.", is_limit=True) is None
    assert retry_after_s({"x-ratelimit-reset": "2026-11-27T22:01:30Z", "date": "now"}, "no.", is_limit=True) is None


def test_reset_of_a_limit_is_no_wait_for_another_failure() -> None:
    assert retry_after_s({"x-ratelimit-reset": "300"}, "per day", is_limit=False) is None


def test_sentence_is_about_the_request_and_goes_before_a_limits_reset() -> None:
    assert retry_after_s({"x-ratelimit-reset": "300"}, "please try again in 8m37s.", is_limit=True) == 517.0
    assert retry_after_s({"x-ratelimit-reset": "300"}, "50 requests per day", is_limit=True) == 300.0


@pytest.mark.parametrize(
    ("words", "ends"),
    [
        ("your limit will reset at 2026-11-28 01:20:00", True),
        ("please try again in 2s. if you recently paid, try again after 5 minutes.", True),
        # How long a change of the account takes says nothing of who changes it.
        ("a valid payment instrument must be provided. if you recently fixed this, try again after 2 minutes.", False),
        ("if you just verified, try again in 15 minutes", False),
    ],
)
def test_time_that_follows_a_change_of_the_account_ends_nothing_by_itself(words: str, ends: bool) -> None:
    assert is_temporary_limit(words) is ends
