"""Typist's metrics and spans, recorded with OpenTelemetry's API. Without a provider, nothing is recorded.

Nothing is registered globally. Providers are passed in (telemetry_sdk.py), so libraries' own instrumentation stays off.
The current span is stored in this module, because MCP's SDK would send the ID of OpenTelemetry's current span to every
server.

Labels and attributes never contain text, people or channels. Labels have few values: a Slack method, a model of
BOT_MODELS, its vendor, an MCP server, an end reason. Like log lines, spans include their job's ID.

Names with `gen_ai.` follow OpenTelemetry's conventions for models. operate.md lists all metrics in Prometheus'
form.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field

from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Histogram, Meter, NoOpMeter, Observation
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, StatusCode, Tracer, set_span_in_context

from bot.errors import EndReason, RateLimited, Refused

DELAYS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 30.0, 60.0)
"""Histogram bucket boundaries, which include the objectives in operate.md."""
DURATIONS_S = tuple(0.01 * 2**power for power in range(14))
TOKENS = tuple(float(4**power) for power in range(14))
ERROR_TYPE = "error.type"
METHOD = "slack.method"
ACCOUNT_CHANGES = ("signed_in", "signed_out", "ended")
"""Changes to a person's account at an MCP server. "ended" means that the server didn't renew it."""
_current: ContextVar[Span] = ContextVar("span", default=INVALID_SPAN)


@dataclass(frozen=True, slots=True)
class Gauges:
    live: int | None = None
    queued: int | None = None
    """Questions waiting for a worker, in all processes."""
    connections: int | None = None
    """Slack connections that are open and stable."""
    writable: int | None = None
    """1 if the database accepts questions, else 0."""
    servers: Mapping[str, bool] = field(default_factory=dict)
    """Whether each MCP server that the process has used works."""


class Telemetry:
    """Records the metrics and spans of one process. Set `gauges` before calling `scrape`. `scrape`: returns all metrics
    in Prometheus' text format, or None if scraping is off."""

    def __init__(
        self,
        meter: Meter | None = None,
        tracer: Tracer | None = None,
        scrape: Callable[[], bytes] | None = None,
        providers: Mapping[str, str] = {},
    ) -> None:
        """`providers`: OpenTelemetry's names of vendors whose name differs from ours."""
        self.is_on = meter is not None or tracer is not None
        self.scrape = scrape
        self.gauges = Gauges()
        self._tracer = tracer
        self._providers = providers
        meter = meter or NoOpMeter("typist")

        def seconds(name: str, what: str, buckets: tuple[float, ...] = DELAYS_S) -> Histogram:
            return meter.create_histogram(name, "s", what, explicit_bucket_boundaries_advisory=buckets)

        self._placeholder_delay = seconds("typist.placeholder.delay", "From a question to the reply's first message.")
        self._first_word_delay = seconds(
            "typist.first_word.delay", "From the model's first word to the first one that Slack shows."
        )
        self._staleness = seconds(
            "typist.staleness", "Mean age of the oldest word that an answer's reader can't see yet, by answer."
        )
        self._final_lag = seconds("typist.final.lag", "From an answer's end to the last call that shows it.")
        self._answers = meter.create_counter("typist.answers", description="Answers that ended, however they did.")
        self._failures = meter.create_counter("typist.failures", description="Answers that failed.")
        self._edits = meter.create_counter("typist.edits", description="Calls that showed answers.")
        self._feedback = meter.create_counter("typist.feedback", description="Presses of 👍 and 👎.")
        self._down_reasons = meter.create_counter("typist.feedback.reasons", description="Why answers got a 👎.")
        self._accounts = meter.create_counter("typist.accounts", description="Sign-ins to MCP servers, and their ends.")
        self._cost = meter.create_counter("typist.cost", "usd", "The vendors' charges for answers.")
        self._slack_calls = meter.create_counter("typist.slack.calls", description="Calls of Slack's Web API.")
        self._rate_limited = meter.create_counter("typist.slack.rate_limited", description="Calls answered with 429.")
        self.durations = seconds("gen_ai.client.operation.duration", "Requests to models.", DURATIONS_S)
        self.first_chunks = seconds(
            "gen_ai.client.operation.time_to_first_chunk", "From a request to its first event.", DURATIONS_S
        )
        self.tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            "{token}",
            "Tokens of requests as vendors report them.",
            explicit_bucket_boundaries_advisory=TOKENS,
        )

        def gauge(name: str, what: str, read: Callable[[Gauges], int | Mapping[str, bool] | None]) -> None:
            def observe(_: CallbackOptions) -> Iterable[Observation]:
                value = read(self.gauges)
                if isinstance(value, Mapping):
                    return [Observation(works, {"server": server}) for server, works in value.items()]
                return () if value is None else (Observation(value),)

            meter.create_observable_gauge(name, [observe], description=what)

        # Start at 0, because rate() doesn't see a first increase.
        self._answers.add(0)
        for change in ACCOUNT_CHANGES:
            self._accounts.add(0, {"change": change})
        for reason in EndReason:
            if reason.is_failure:
                self._failures.add(0, {"reason": reason.value})
        gauge("typist.answers.live", "Answers under way in this process.", lambda gauges: gauges.live)
        gauge("typist.jobs.waiting", "Questions of all processes that wait.", lambda gauges: gauges.queued)
        gauge("typist.slack.connections", "Connections to Slack.", lambda gauges: gauges.connections)
        gauge("typist.database.writable", "1 if the database takes questions.", lambda gauges: gauges.writable)
        gauge("typist.mcp.server.up", "1 if an MCP server works.", lambda gauges: gauges.servers)

    def record_placeholder_delay(self, delay_s: float) -> None:
        self._placeholder_delay.record(delay_s)

    def count_cost(self, model: str | None, cost_usd: float | None) -> None:
        """Counts the cost of a model's step (None if unknown). Each step's cost is counted by itself, because an answer
        can be given up between steps."""
        if model is not None and cost_usd is not None:
            self._cost.add(cost_usd, self._model_labels(model))

    def record_rating(self, job_id: int, model: str | None, vote: str) -> None:
        if model is not None:
            self._feedback.add(1, {**self._model_labels(model), "vote": vote})
            self._record_feedback(job_id, {"typist.feedback": vote})

    def record_down_reason(self, job_id: int, model: str, reason: str) -> None:
        self._down_reasons.add(1, {**self._model_labels(model), "reason": reason})
        self._record_feedback(job_id, {"typist.feedback": "down", "typist.feedback.reason": reason})

    def _model_labels(self, model: str) -> dict[str, str]:
        vendor, _, name = model.partition("/")
        provider = self._providers.get(vendor, vendor)
        return {"gen_ai.operation.name": "chat", "gen_ai.provider.name": provider, "gen_ai.request.model": name}

    def _record_feedback(self, job_id: int, attributes: Mapping[str, str]) -> None:
        """Records a span that links feedback to its answer's trace, which has already ended."""
        with self._span("feedback", SpanKind.INTERNAL, {"typist.job": job_id, **attributes}):
            pass

    def count_account_change(self, change: str) -> None:
        self._accounts.add(1, {"change": change})

    def record_answer_end(
        self,
        reason: EndReason,
        calls: int,
        *,
        first_word_delay_s: float | None,
        staleness_s: float | None,
        final_lag_s: float | None,
    ) -> None:
        """Records an answer's end. `calls`: the number of Slack calls that showed the answer. `Freshness` measures the
        delays, which are None for an empty answer."""
        self._answers.add(1)
        if reason.is_failure:
            self._failures.add(1, {"reason": reason.value})
        self._edits.add(calls)
        for histogram, delay_s in (
            (self._first_word_delay, first_word_delay_s),
            (self._staleness, staleness_s),
            (self._final_lag, final_lag_s),
        ):
            if delay_s is not None:
                histogram.record(delay_s)
        span = _current.get()
        span.set_attribute("typist.end", reason.value)
        if reason.is_failure:
            span.set_status(StatusCode.ERROR)

    def attempt(self, job_id: int, attempt: int, version: int) -> AbstractContextManager[Span]:
        ids = {"typist.job": job_id, "typist.attempt": attempt, "typist.version": version}
        return self._span("answer", SpanKind.CONSUMER, ids)

    def tool_call(self, tool: str) -> AbstractContextManager[Span]:
        attributes = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool}
        return self._span(f"execute_tool {tool}", SpanKind.CLIENT, attributes)

    @contextmanager
    def slack_call(self, method: str) -> Iterator[None]:
        labels = {METHOD: method}
        failure = ""
        with self._span(method, SpanKind.CLIENT, labels) as span:
            try:
                yield
            except RateLimited:
                failure = "rate_limited"
                raise
            except Refused as error:
                failure = error.reason.name.lower()
                raise
            finally:
                if failure:
                    _set_span_error(span, failure)
                self._slack_calls.add(1, labels | ({ERROR_TYPE: failure} if failure else {}))
                self._rate_limited.add(int(failure == "rate_limited"), labels)

    def model_request(self, model: str, now: float) -> "ModelRequest":
        labels = self._model_labels(model)
        name = f"chat {labels['gen_ai.request.model']}"
        # Not the current span, because a generator that is closed late would exit another task's context.
        return ModelRequest(self, labels, self._begin_span(name, SpanKind.CLIENT, labels), now)

    def _span(self, name: str, kind: SpanKind, attributes: Mapping[str, str | int]) -> AbstractContextManager[Span]:
        return self._current_span(name, kind, attributes) if self._tracer else nullcontext(INVALID_SPAN)

    @contextmanager
    def _current_span(self, name: str, kind: SpanKind, attributes: Mapping[str, str | int]) -> Iterator[Span]:
        span = self._begin_span(name, kind, attributes)
        token = _current.set(span)
        try:
            yield span
        finally:
            _current.reset(token)
            span.end()

    def _begin_span(self, name: str, kind: SpanKind, attributes: Mapping[str, str | int]) -> Span:
        if self._tracer is None:
            return INVALID_SPAN
        # Independent of OpenTelemetry's context, whose current span might be a library's.
        within = set_span_in_context(_current.get(), Context())
        return self._tracer.start_span(name, within, kind, attributes)


OFF = Telemetry()


@dataclass
class ModelRequest:
    telemetry: Telemetry
    labels: Mapping[str, str]
    span: Span
    began_at: float
    has_begun: bool = False

    def record_first_chunk(self, now: float) -> None:
        if not self.has_begun:
            self.has_begun = True
            self.telemetry.first_chunks.record(now - self.began_at, self.labels)

    def record_tokens(self, input_tokens: int, output_tokens: int) -> None:
        for kind, tokens in (("input", input_tokens), ("output", output_tokens)):
            self.telemetry.tokens.record(tokens, {**self.labels, "gen_ai.token.type": kind})
            self.span.set_attribute(f"gen_ai.usage.{kind}_tokens", tokens)

    def record_end(self, failure: EndReason | None, now: float) -> None:
        """Records the request's end. `failure`: None if the request succeeded or its result was no longer needed."""
        labels = self.labels
        if failure is not None:
            _set_span_error(self.span, failure.value)
            labels = {**labels, ERROR_TYPE: failure.value}
        self.telemetry.durations.record(now - self.began_at, labels)
        self.span.end()


def _set_span_error(span: Span, failure: str) -> None:
    span.set_attribute(ERROR_TYPE, failure)
    span.set_status(StatusCode.ERROR)
