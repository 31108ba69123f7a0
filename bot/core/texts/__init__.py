"""All user-facing text in Slack, with one module per feature: `texts.memory.UNDONE`.

Text is short and friendly, and never blames anyone. The bot calls itself "I". An action, state or limit has the same
name everywhere: queued, regenerate, continue, quota, Typist admin. A sentence that refuses something says what to do
next.

This package imports nothing else from core, so any module can use it. A sentence with values is a function of plain
strings and numbers. Functions insert values unchanged: the caller escapes values that Slack would read as markup.

The lines of `typist check` are next to the checks. Other messages for operators on the command line are in
`bot/settings.py` and `bot/cli/`. Text for the model is in `core/prompt.py`.
"""

from bot.core.texts import access as access
from bot.core.texts import accounts as accounts
from bot.core.texts import actions as actions
from bot.core.texts import alerts as alerts
from bot.core.texts import answers as answers
from bot.core.texts import approvals as approvals
from bot.core.texts import canvases as canvases
from bot.core.texts import commands as commands
from bot.core.texts import files as files
from bot.core.texts import home as home
from bot.core.texts import kept_tests as kept_tests
from bot.core.texts import memory as memory
from bot.core.texts import models as models
from bot.core.texts import notify as notify
from bot.core.texts import quotas as quotas
from bot.core.texts import rules as rules
from bot.core.texts import schedules as schedules
from bot.core.texts import settings as settings
from bot.core.texts import shortcut as shortcut
from bot.core.texts import silence as silence
from bot.core.texts import statuses as statuses
from bot.core.texts import times as times
from bot.core.texts import weekly as weekly
from bot.core.texts import welcome as welcome
from bot.core.texts import words as words
