"""Checks an asker's access before a model is asked, and explains denials.

The worker looks up the asker's user type in Slack. The event handler doesn't, because Slack waits for its
acknowledgment: enqueueing a question takes 5 ms, but users.info takes 0.1 s.
"""

import logging
from dataclasses import dataclass

from bot.core import access, texts
from bot.core.access import AccessRules, UserKind
from bot.core.conversation import Question, ThreadKey, is_direct_message, mentioned_user_ids, with_names
from bot.core.texts.access import Denial
from bot.reply.workspace import Workspace
from bot.services.notifications import Notifier
from bot.slack.user_groups import AccessGroups
from bot.slack.users import KIND_WITHIN_S, Users

SHORT_LOOKUP_TIMEOUT_S = 2.0
"""Time limit for looking up a user type for a click or a queued question. A modal must open within 3 seconds."""
LONG_LOOKUP_TIMEOUT_S = 300.0
"""Time limit for looking up a user type before an answer. It allows for about 500 users.info calls."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AccessControl:
    rules: AccessRules
    users: Users
    notifier: Notifier
    admins: frozenset[str] = frozenset()
    """The Typist admins that people without access can contact."""
    people: AccessGroups | None = None
    """Checks the user groups and email domains in `rules`."""

    @property
    def named_admins(self) -> list[str]:
        return self.users.admins_to_name(self.admins)

    @property
    def can_allow_bots(self) -> bool:
        """Whether triage can treat bots' mentions as questions."""
        return UserKind.BOT in self.rules.extra_kinds or bool(self.rules.allow_users)

    def known_denial(self, question: Question) -> Denial | None:
        """Returns why the asker is denied access, or None if the asker has access or Slack would have to be asked."""
        kind = UserKind.BOT if question.is_from_bot else self.users.known_kind(question.user_id)
        if kind is None and self.rules.needs_user_type(question):
            return None
        people = self.people if self.rules.needs_groups_or_email(question) else None
        is_listed = people.known_access(question.user_id) if people else False
        return None if is_listed is None else self.rules.denial(question, kind, is_listed)

    async def denial(
        self,
        question: Question,
        *,
        now_within_s: float | None = None,
        within_s: float = KIND_WITHIN_S,
        members_only: bool = False,
        is_press: bool = False,
    ) -> Denial | None:
        """Returns why the asker is denied access, or None if the asker has access. Askers of unknown user type are
        denied, so that guests don't get access during a Slack outage. `now_within_s`, `within_s` and `is_press` work as
        in Users.kind."""
        kind = UserKind.BOT if question.is_from_bot else None
        if kind is None and (members_only or self.rules.needs_user_type(question)):
            kind = await self.users.kind(
                question.user_id, now_within_s=now_within_s, within_s=within_s, is_press=is_press
            )
        is_listed: bool | None = False
        if self.people and self.rules.needs_groups_or_email(question):
            within_s = within_s if now_within_s is None else now_within_s
            is_listed = await self.people.is_listed(question.user_id, within_s=within_s, is_press=is_press)
        if denial := self.rules.denial(question, kind, is_listed):
            return denial
        return Denial.NOT_A_MEMBER if members_only and kind is not UserKind.MEMBER else None

    async def denial_when_claimed(self, question: Question) -> Denial | None:
        """Returns why the asker of a claimed question is denied access, or None if the asker has access. While Slack
        doesn't respond, uses the user type that Slack reported within the last hour."""
        denial = await self.denial(question, now_within_s=SHORT_LOOKUP_TIMEOUT_S)
        if (
            denial is Denial.UNKNOWN
            and not self.rules.needs_groups_or_email(question)
            and (kind := await self.users.last_known_kind(question.user_id))
        ):
            return self.rules.denial(question, kind)
        return await self.denial(question, within_s=LONG_LOOKUP_TIMEOUT_S) if denial is Denial.UNKNOWN else denial

    async def can_be_queued(self, question: Question) -> bool:
        """Returns whether to show a question as queued, and explains any denial to the asker. Askers of unknown user
        type are allowed, because access is checked again before the answer."""
        denial = await self.denial(question, within_s=SHORT_LOOKUP_TIMEOUT_S)
        if denial is None or denial is Denial.UNKNOWN:
            return True
        self.explain_denial(question, denial)
        return False

    def with_admin_mentions(self, refusal: str) -> str:
        """Adds mentions of the admins to a refusal, for messages in which mentions notify nobody."""
        return texts.access.with_admins(refusal, [f"<@{admin}>" for admin in self.named_admins])

    async def with_admin_names(self, refusal: str) -> str:
        """Adds the admins' names to a refusal, for places where mentions aren't rendered."""
        names = await self.users.names([*mentioned_user_ids(refusal), *sorted(self.admins)])
        admins = [names[admin] for admin in self.named_admins if admin in names]
        return texts.access.with_admins(with_names(refusal, names), admins)

    def explain_denial(self, question: Question, denial: Denial) -> None:
        """Explains a denial in the background, unless the asker got an explanation recently."""
        log.info("user %s is denied: %s", question.user_id, denial.name.lower())
        if not question.is_from_bot:
            notice = access.denial_notice(question, denial)
            self.notifier.show_in_background(question, self.with_admin_mentions(denial), notice.name, notice.every_s)


def access_question(workspace: Workspace, user_id: str, channel_id: str) -> Question:
    """Returns a question without text, for checking whether a person can ask in a channel."""
    return Question(ThreadKey(workspace.me.team_id, channel_id, None), "", user_id, "")


async def refusal_to_change(access_control: AccessControl, workspace: Workspace, user_id: str, channel_id: str) -> str:
    """Returns why a person can't change the settings of a channel or direct message, or "" if they can."""
    if denial := await access_control.denial(access_question(workspace, user_id, channel_id), is_press=True):
        return denial
    if not is_direct_message(channel_id):
        return await channel_refusal(access_control, workspace, user_id, channel_id)
    person = await workspace.surfaces.user_in_direct_message(channel_id)
    return "" if person in ("", user_id) else texts.commands.NOT_YOUR_CHANNEL


async def channel_refusal(access_control: AccessControl, workspace: Workspace, user_id: str, channel_id: str) -> str:
    """Returns why a person can't change a channel's settings. Returns "" for the channel's creator, for admins, and in
    direct messages."""
    if user_id in access_control.admins or is_direct_message(channel_id):
        return ""
    creator = await workspace.surfaces.creator(channel_id)
    if creator == user_id:
        return ""
    not_theirs = texts.commands.NOT_YOUR_CHANNEL
    return f"{not_theirs} {texts.commands.INVITE_ME_FIRST}" if creator is None else not_theirs
