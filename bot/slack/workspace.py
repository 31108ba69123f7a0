"""The parts that serve one Slack team: the bot's identity, its budget, its edit scheduler, and its caches.

Everything that talks to Slack for a team is built here once, on one client and one budget. Services don't get the
workspace: each gets the part that it uses, through that part's port.
"""

from bot.clock import Clock
from bot.core.carriers import CarrierSetting
from bot.core.inbound.triage import Identity
from bot.core.lease import Lease
from bot.ports.queue import ReplyRecord
from bot.ports.rate_ledger import RateLedger
from bot.slack.assistant_pane import SlackPane
from bot.slack.channel_readers import ChannelReaders
from bot.slack.client import SlackClient
from bot.slack.edit_scheduler import EditScheduler
from bot.slack.ephemeral_messages import SlackEphemeralMessages
from bot.slack.files import SlackFiles
from bot.slack.history import SlackHistory
from bot.slack.message_transport import MessageTransport
from bot.slack.outbox_sender import SlackOutboxSender
from bot.slack.paced_client import PacedClient
from bot.slack.posted_replies import PostedReplies
from bot.slack.rate_budget import CALLS_PER_MINUTE, REPLIES, RateBudget
from bot.slack.search import SlackSearch
from bot.slack.surfaces import SlackSurfaces
from bot.slack.thread_poster import ThreadPoster
from bot.slack.users import SlackUsers


class Workspace:
    """The parts that serve one Slack team.

    `identity`: the bot in that team. `edit_budget`: the most edits in a minute that are tried.
    """

    def __init__(
        self,
        identity: Identity,
        client: SlackClient,
        *,
        ledger: RateLedger,
        records: ReplyRecord,
        lease: Lease,
        clock: Clock,
        edit_budget: int = CALLS_PER_MINUTE[REPLIES],
        carrier: CarrierSetting = CarrierSetting.EDIT,
    ) -> None:
        self.identity = identity
        self.budget = RateBudget(ledger, clock, edit_budget)
        paced = PacedClient(client, self.budget, clock)
        posted, threads = PostedReplies(paced, identity.user_id), ThreadPoster(paced)
        transport = MessageTransport(client, paced, posted)
        self.scheduler = EditScheduler(transport, self.budget, lease, clock, records, carrier)
        self.users = SlackUsers(paced, identity.team_id)
        self.history = SlackHistory(paced, self.users, identity.bot_id)
        self.files = SlackFiles(client)
        self.ephemeral = SlackEphemeralMessages(paced)
        self.surfaces = SlackSurfaces(client, paced, threads, self.ephemeral)
        self.pane = SlackPane(paced)
        self.search = SlackSearch(paced, ChannelReaders(paced, self.users))
        self.outbox_sender = SlackOutboxSender(transport, posted, threads, self.ephemeral, identity.user_id)
