"""Every sentence that a person can read in Slack, a module a feature: `texts.memory.UNDONE`.

The rules: short, friendly, never blaming. The bot calls itself "I". An action, a state or a limit has the same name
everywhere: queued, regenerate, continue, quota, Typist admin. A sentence that refuses something says what to do next.
Spread over 20 modules, sentences couldn't be read or changed together, and one action had three names.

This package imports nothing from the rest of core, so that any module can use it. A sentence with values is a function
whose arguments are plain strings and numbers. Functions put values in as they are: where Slack would read a value as
markup, the caller escapes it.

The lines of `typist check` are beside the checks. Other messages for operators on the command line are in
`bot/settings.py` and `bot/cli/`. Texts for the model are in `core/prompt.py`.
"""

from bot.core.texts import access as access
from bot.core.texts import accounts as accounts
from bot.core.texts import actions as actions
from bot.core.texts import answers as answers
from bot.core.texts import approvals as approvals
from bot.core.texts import commands as commands
from bot.core.texts import files as files
from bot.core.texts import home as home
from bot.core.texts import memory as memory
from bot.core.texts import models as models
from bot.core.texts import quotas as quotas
from bot.core.texts import rules as rules
from bot.core.texts import schedules as schedules
from bot.core.texts import settings as settings
from bot.core.texts import shortcut as shortcut
from bot.core.texts import statuses as statuses
from bot.core.texts import weekly as weekly
from bot.core.texts import welcome as welcome
from bot.core.texts import words as words
