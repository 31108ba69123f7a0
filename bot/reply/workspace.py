"""Builds the components that serve one Slack team. They share one client and one budget."""

from collections.abc import Callable, Collection

from bot.clock import Clock
from bot.core.actions import ReplyAction
from bot.core.conversation import Question
from bot.core.lease import Lease
from bot.core.sign_in_urls import SignInUrls
from bot.core.triage import Identity
from bot.reply.delivery import MessageTransport
from bot.reply.outbox_sender import OutboxSender
from bot.reply.posted import PostedReplies
from bot.reply.scheduler import EditScheduler
from bot.reply.style import DEFAULT_STYLE, ReplyStyle
from bot.slack.canvases import Canvases, OpenNow
from bot.slack.canvases_and_pins import ChannelPages
from bot.slack.client import PacedClient, SlackClient
from bot.slack.files import Files
from bot.slack.history import ChannelReader, History
from bot.slack.manifest import REACT_SCOPE, REACTIONS_SCOPE
from bot.slack.search import SlackSearch
from bot.slack.surfaces import EphemeralMessages, Pane, Surfaces
from bot.slack.users import ChannelReaders, Users
from bot.store.account_kinds import AccountKinds
from bot.store.worker_queue import WorkerQueue
from slack_pacing.budget import RateBudget
from slack_pacing.carriers import CarrierName
from slack_pacing.ledger import Ledger


class Workspace:
    """The components that serve one Slack team. `me`: the bot's identity. `scopes`: None if Slack doesn't report
    them."""

    def __init__(
        self,
        me: Identity,
        client: SlackClient,
        *,
        ledger: Ledger,
        worker_queue: WorkerQueue,
        account_kinds: AccountKinds,
        open_now: OpenNow,
        clock: Clock,
        carrier: CarrierName | None = "edit",
        scopes: Collection[str] | None = None,
        token_refused: Callable[[], bool] = lambda: False,
        sign_in_urls: SignInUrls | None = None,
        style: ReplyStyle = DEFAULT_STYLE,
        enabled_actions: frozenset[ReplyAction] = frozenset(),
        reads_tabs: bool = False,
    ) -> None:
        self.me = me
        self.lease = Lease()
        self.telemetry = client.telemetry
        self.is_token_refused = token_refused
        self.sign_in_urls = sign_in_urls = sign_in_urls or SignInUrls()
        self.budget = RateBudget(ledger, clock)
        self.paced = paced = PacedClient(client, self.budget, clock)
        posted = PostedReplies(paced, me.user_id)
        self.users = Users(paced, me.team_id, account_kinds)
        transport = MessageTransport(client, paced, posted, self.users)
        self.reply_files = transport.files
        self.scheduler = EditScheduler(
            transport, self.budget, self.lease, clock, worker_queue, carrier, self.telemetry, style
        )
        self.history = History(paced, me.bot_id, sign_in_urls)
        self.files = Files(client)
        self.canvases = Canvases(paced, scopes, me.user_id, open_now)
        self.optional_actions = enabled_actions | ({ReplyAction.CANVAS} if self.canvases.can_write else set())
        self.can_read_reactions = scopes is None or REACTIONS_SCOPE in scopes
        self.can_react = scopes is None or REACT_SCOPE in scopes
        self.ephemeral = EphemeralMessages(paced)
        self.surfaces = Surfaces(client, paced, self.ephemeral, me.user_id)
        self.pane = Pane(paced)
        self.readers = ChannelReaders(paced, self.users)
        self.search = SlackSearch(paced, self.readers, sign_in_urls)
        pages = ChannelPages(paced, self.canvases, self.files, reads_tabs=reads_tabs)
        self.channel_reader = ChannelReader(paced, self.users, self.history, self.readers, pages)
        self.outbox_sender = OutboxSender(paced, posted, transport.files)

    async def asker_name_in_channel(self, question: Question) -> str:
        """Returns the asker's name, for other readers of a channel, or "" in a direct message."""
        if question.thread.in_direct_message:
            return ""
        return (await self.users.names((question.user_id,))).get(question.user_id, "")
