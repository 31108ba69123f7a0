"""How telemetry names models and their vendors, and that its spans stay its own."""

import re
from typing import Any

import pytest
from opentelemetry.metrics import Counter, Histogram, NoOpMeter, ObservableGauge
from opentelemetry.propagate import inject
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes.gen_ai_attributes import GenAiProviderNameValues

from bot.models.registry import VENDORS, provider_names
from bot.telemetry import Telemetry
from tests.processes import REPOSITORY


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("openai/gpt-6-luna", "openai"),
        ("openai/meta/llama-3", "openai"),
        ("bedrock/arn:aws:bedrock:eu-west-1:1:inference-profile/a", "aws.bedrock"),
        ("anthropic/claude-haiku-5-5", "anthropic"),
        ("bedrock/us.anthropic.claude-haiku-5-5", "aws.bedrock"),
        ("vertex/claude-haiku-5-5", "gcp.vertex_ai"),
        ("azure/ours", "azure.ai.openai"),
        ("foundry/ours", "azure.ai.inference"),
    ],
)
def test_providers_are_called_as_the_conventions_call_them(model: str, provider: str) -> None:
    ended = InMemorySpanExporter()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(ended))
    telemetry = Telemetry(tracer=tracers.get_tracer("typist"), providers=provider_names())
    telemetry.model_request(model, 0.0).record_end(None, 1.0)
    [span] = ended.get_finished_spans()
    told = span.attributes or {}
    assert (told["gen_ai.provider.name"], told["gen_ai.request.model"]) == (provider, model.split("/", 1)[1])


@pytest.mark.parametrize("vendor", VENDORS)
def test_each_vendor_has_a_name_of_the_conventions(vendor: str) -> None:
    assert provider_names().get(vendor, vendor) in {name.value for name in GenAiProviderNameValues}


def test_libraries_find_no_span_to_pass_on() -> None:
    carried: dict[str, str] = {}
    telemetry = Telemetry(tracer=TracerProvider(shutdown_on_exit=False).get_tracer("tests"))
    with telemetry.attempt(job_id=7, attempt=1, version=0):
        # As MCP's SDK does with each request.
        inject(carried)
    assert carried == {}


class NotingMeter(NoOpMeter):
    def __init__(self) -> None:
        super().__init__("typist")
        self.names: list[str] = []

    def create_counter(self, name: str, *arguments: Any, **options: Any) -> Counter:
        self.names.append(name)
        return super().create_counter(name, *arguments, **options)

    def create_histogram(self, name: str, *arguments: Any, **options: Any) -> Histogram:
        self.names.append(name)
        return super().create_histogram(name, *arguments, **options)

    def create_observable_gauge(self, name: str, *arguments: Any, **options: Any) -> ObservableGauge:
        self.names.append(name)
        return super().create_observable_gauge(name, *arguments, **options)


def test_page_has_a_row_for_each_metric() -> None:
    meter = NotingMeter()
    Telemetry(meter)
    page = (REPOSITORY / "docs/admins/operate.md").read_text("utf-8")
    documented = {
        re.sub(r"(_seconds|_usd)?(_total)?$", "", row) for row in re.findall(r"^\| `(typist_\w+)`", page, re.M)
    }
    assert documented == {name.replace(".", "_") for name in meter.names if name.startswith("typist.")}
