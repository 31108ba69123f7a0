"""OpenTelemetry's SDK for telemetry.py: metrics for GET /metrics, and spans over OTLP/HTTP. Imported only if enabled.

The SDK also reads its own variables: OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_EXPORTER_OTLP_HEADERS,
OTEL_TRACES_SAMPLER and others. If a collector doesn't respond, spans are lost, but nothing else is affected, because a
thread sends them from a bounded queue.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from threading import Thread
from typing import TYPE_CHECKING, Any

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.trace import Tracer
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

from bot import __version__, network
from bot.telemetry import Telemetry

if TYPE_CHECKING:
    from requests import Session

NAME = "typist"

log = logging.getLogger(__name__)


@contextmanager
def open_sdk(*, with_metrics: bool, traces_url: str, providers: Mapping[str, str] = {}) -> Iterator[Telemetry]:
    own = Resource({SERVICE_NAME: NAME, SERVICE_VERSION: __version__})
    resource = own.merge(OTELResourceDetector().detect())
    registry = CollectorRegistry()
    with ExitStack() as stack:
        meter = stack.enter_context(_meter(registry, resource)) if with_metrics else None
        tracer = stack.enter_context(_tracer(traces_url, resource)) if traces_url else None
        yield Telemetry(meter, tracer, (lambda: generate_latest(registry)) if with_metrics else None, providers)


@contextmanager
def _meter(registry: CollectorRegistry, resource: Resource) -> Iterator[Meter]:
    ProcessCollector(registry=registry)
    reader = PrometheusMetricReader(registry=registry, scope_info_enabled=False)
    provider = MeterProvider([reader], resource, AlwaysOffExemplarFilter(), shutdown_on_exit=False)
    yield provider.get_meter(NAME, __version__)
    provider.shutdown()


def _session(url: str) -> "Session":
    """Returns a session that sends spans through the configured proxy, and logs when the proxy refuses them."""
    from requests import PreparedRequest, Response, Session
    from requests.exceptions import ConnectionError

    class SpansSession(Session):
        def send(self, request: PreparedRequest, **kwargs: Any) -> Response:
            try:
                response = super().send(request, **kwargs)
            except ConnectionError as error:
                if reason := network.reason_of(error, url):
                    log.error("spans not sent: %s", reason)
                raise
            if reason := network.refusal(response.status_code, url):
                log.error("spans not sent: %s", reason)
            return response

    session = SpansSession()
    session.trust_env = False
    if proxy := network.proxy_of(url):
        session.proxies = {"http": proxy, "https": proxy}
    return session


@contextmanager
def _tracer(url: str, resource: Resource) -> Iterator[Tracer]:
    # Imported late, because they take as much memory as the metrics.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    exporter = OTLPSpanExporter(url, certificate_file=network.certificates(), session=_session(url))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    yield provider.get_tracer(NAME, __version__)
    # In a thread for which the process doesn't wait long, because it would take many seconds without a collector.
    last_spans = Thread(target=provider.shutdown, daemon=True)
    last_spans.start()
    last_spans.join(0.3)
