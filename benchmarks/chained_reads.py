"""Counts approvals in 60 ordinary chains of reads with the asker's account: `python -m benchmarks.chained_reads`.

The asker has allowed reading in the thread, so a first read needs no approval. Prints the number of approval cards for
three rules: results of the account never count as other people's text, every later read needs approval, and Typist's
own rule (bot/core/asked_values.py).
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bot.core.calls import CallState, Decision, RecordedCall, Step, result_for_model
from bot.models.events import ToolCall
from bot.models.prompt import ASKERS, FOUND, OURS, READ_ONLY_RULE, ToolDefinition
from bot.services.tool_calls import Offer, ToolCalls

Chain = Sequence[tuple[str, Mapping[str, Any], str]]
"""The tools of a chain, their arguments, and what they return."""
_NO_PORTS: Any = None
_SUBJECTS = (
    ("What did Acme say about the renewal?", "Acme renewal", "renewal"),
    ("Find the invoice from March and sum it up", "invoices March", "invoice"),
    ("Is there anything new on the onboarding project?", "onboarding project", "onboarding"),
    ("Which bug reports mention the export?", "bug report export", "export"),
    ("Summarize what we decided about pricing last week", "pricing decision", "pricing"),
)


def _json(*records: Mapping[str, Any]) -> str:
    return json.dumps({"results": records})


def _chains(query: str, word: str) -> Mapping[str, Chain]:
    """Returns a subject's chains by kind. Each begins with a search for the subject."""
    found = _json(
        {
            "id": "18f2c-1",
            "title": f"Re: {word}",
            "url": "https://w.example/18f2c-1",
            "text": "As agreed, see below",
        },
        {"id": "18f2c-2", "title": f"{word} draft", "url": "https://w.example/18f2c-2", "text": "See the other one"},
    )
    issues = _json({"key": "OPS-17", "number": 17, "owner": "acme", "repo": word, "summary": f"{word} fails"})
    search: Chain = [("search", {"query": query}, found)]
    return {
        "search, open a result": [*search, ("fetch", {"id": "18f2c-1"}, "Dear all, …")],
        "search, open by URL": [*search, ("fetch", {"url": "https://w.example/18f2c-2"}, "Dear all, …")],
        "search, open two results": [
            *search,
            ("fetch", {"id": "18f2c-1"}, "Dear all, …"),
            ("fetch", {"id": "18f2c-2"}, "Dear all, …"),
        ],
        "search, open a list of results": [*search, ("fetch_all", {"ids": ["18f2c-1", "18f2c-2"]}, "Dear all, …")],
        "search for an issue, open it": [
            ("search", {"jql": f"text ~ {word}"}, issues),
            ("get_issue", {"issueIdOrKey": "OPS-17"}, "It fails."),
        ],
        "search for an issue, open its comments": [
            ("search", {"q": f"{word} in acme/{word}"}, issues),
            ("list_comments", {"owner": "acme", "repo": word, "issue_number": 17}, "It fails."),
        ],
        "search, next page": [
            ("search", {"query": query}, json.dumps({"results": [], "nextPageToken": "CAUQ1a"})),
            ("search", {"query": query, "page_token": "CAUQ1a"}, found),
        ],
        "search, narrower search": [*search, ("search", {"query": word}, found)],
        "list, details of one": [
            ("list_recent", {}, found),
            ("fetch", {"id": "18f2c-2", "format": "full", "with_history": True}, "Dear all, …"),
        ],
        "search, search with other words": [*search, ("search", {"query": "agreement summary"}, found)],
        "search as plain text, open a result": [
            ("search", {"query": query}, f"1. Re: {word} (18f2c-1)"),
            ("fetch", {"id": "18f2c-1"}, "Dear all, …"),
        ],
        "search, open a result, open what it links": [
            *search,
            ("fetch", {"id": "18f2c-1"}, "Dear all, see 77a-3."),
            ("fetch", {"id": "77a-3"}, "Minutes"),
        ],
    }


def chains() -> Iterator[tuple[str, str, Chain]]:
    """Yields 60 chains: each one's kind, the question, and its calls."""
    for question, query, word in _SUBJECTS:
        for kind, chain in _chains(query, word).items():
            yield kind, question, chain


def asked_calls(question: str, chain: Chain) -> list[bool]:
    """Returns which calls of a chain ask the asker, who approves each of them."""
    names = dict.fromkeys(tool for tool, _, _ in chain)
    options = {
        "type": "object",
        "properties": {"format": {"enum": ["full", "short"]}, "jql": {"description": "text ~"}},
    }
    tools = {
        f"docs__{name}": ToolDefinition(
            f"docs__{name}", "", options, "a hash", OURS, READ_ONLY_RULE, uses_own_account=True
        )
        for name in names
    }
    offer, steps, asked = Offer(tools, agreed_servers=frozenset({"docs"})), list[Step](), list[bool]()
    for number, (name, arguments, result) in enumerate(chain):
        origins = ASKERS | FOUND if steps else ASKERS
        call = ToolCall(0, f"call_{number}", f"docs__{name}", arguments)
        [planned] = ToolCalls(_NO_PORTS).plan([call], number, offer, origins, question, steps)
        asked.append(planned.state is CallState.ASKED)
        decision = Decision.APPROVED if asked[-1] else None
        text = result_for_model(result, name, "0f" * 8)
        made: RecordedCall = replace(planned, state=CallState.DONE, decision=decision, result=text)
        steps.append(Step(number, 0, (), "m", (made,), origins))
    return asked


def main() -> None:
    cards, later = Counter[str](), 0
    for kind, question, chain in chains():
        cards[kind] += sum(asked_calls(question, chain))
        later += len(chain) - 1
    print(f"{sum(1 for _ in chains())} chains, {later} later reads")
    print(f"cards if nothing found counts: 0; if each later read asks: {later}; by the rule: {cards.total()}")
    for kind, count in cards.items():
        print(f"{count:3} {kind}")


if __name__ == "__main__":
    main()
