"""Action tokens in all processes: the one that gets a question's event tells the others, which may answer it."""

import json

from bot.core.conversation import Question
from bot.slack.search import SlackSearch
from bot.store.process_messages import ProcessMessages

_KIND = "action_token"


class SharedTokens:
    """Keeps the tokens of this process's events, and of those that other processes tell of."""

    def __init__(self, tokens: SlackSearch, others: ProcessMessages) -> None:
        self._tokens = tokens
        self._others = others
        others.on_message(self._heard)

    async def keep(self, question: Question, action_token: str) -> None:
        """Keeps a question's token here and in the other processes."""
        named = (question.thread.channel_id, question.ts, action_token)
        self._tokens.keep(*named)
        await self._others.send(json.dumps([_KIND, *named]))

    def _heard(self, text: str) -> None:
        kind, *named = json.loads(text)
        # A process of a later version may say what this one doesn't know.
        if kind == _KIND:
            self._tokens.keep(*named)
