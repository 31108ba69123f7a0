"""The parts that serve one Slack team: the bot's identity, its budget, its edit scheduler, and its caches.

Everything that talks to Slack for a team is built here once, on one client and one budget. Services don't get the
workspace: each gets the parts that it uses.
"""

from collections.abc import Collection

from bot.clock import Clock
from bot.core.carriers import CarrierSetting
from bot.core.inbound.triage import Identity
from bot.core.lease import Lease
from bot.slack.assistant_pane import Pane
from bot.slack.canvases import Canvases
from bot.slack.channel_readers import ChannelReaders
from bot.slack.client import SlackClient
from bot.slack.ephemeral_messages import EphemeralMessages
from bot.slack.files import Files
from bot.slack.history import History
from bot.slack.manifest import REACTIONS_SCOPE
from bot.slack.outbox_sender import OutboxSender
from bot.slack.paced_client import PacedClient
from bot.slack.rate_budget import CALLS_PER_MINUTE, REPLIES, RateBudget
from bot.slack.replies.posted import PostedReplies
from bot.slack.replies.recovery import MessageTransport
from bot.slack.replies.scheduler import EditScheduler
from bot.slack.search import SlackSearch
from bot.slack.surfaces import Surfaces
from bot.slack.thread_poster import ThreadPoster
from bot.slack.users import Users
from bot.store.queue.worker import WorkerQueue
from bot.store.rate_ledger import RateLedger
from bot.telemetry import OFF, Telemetry


class Workspace:
    """The parts that serve one Slack team.

    `identity`: the bot in that team. `edit_budget`: the most edits in a minute that are tried. `scopes`: what the bot
    token is granted; None if Slack doesn't say.
    """

    def __init__(
        self,
        identity: Identity,
        client: SlackClient,
        *,
        ledger: RateLedger,
        records: WorkerQueue,
        lease: Lease,
        clock: Clock,
        edit_budget: int = CALLS_PER_MINUTE[REPLIES],
        carrier: CarrierSetting = CarrierSetting.EDIT,
        telemetry: Telemetry = OFF,
        scopes: Collection[str] | None = None,
    ) -> None:
        self.budget = RateBudget(ledger, clock, edit_budget)
        paced = PacedClient(client, self.budget, clock)
        posted = PostedReplies(paced, identity.user_id)
        threads = ThreadPoster(paced)
        self.users = Users(paced, identity.team_id)
        transport = MessageTransport(client, paced, posted, self.users)
        self.scheduler = EditScheduler(transport, self.budget, lease, clock, records, carrier, telemetry)
        self.history = History(paced, identity.bot_id)
        self.files = Files(client)
        self.canvases = Canvases(paced, scopes, identity.user_id)
        self.has_reactions = scopes is None or REACTIONS_SCOPE in scopes
        self.ephemeral = EphemeralMessages(paced)
        self.surfaces = Surfaces(client, paced, threads, self.ephemeral, identity.user_id)
        self.pane = Pane(paced)
        self.search = SlackSearch(paced, ChannelReaders(paced, self.users))
        self.outbox_sender = OutboxSender(transport, posted, threads, self.ephemeral, identity.user_id)
