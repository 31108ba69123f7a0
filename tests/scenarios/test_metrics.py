"""GET /metrics of a running bot: what it counts, and that page, dashboard and rules name what is there."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
import promql_parser
import pytest
import yaml
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from bot.core.usage import DownReason
from bot.errors import EndReason
from bot.mcp.config import HttpTransport, McpSetup, ServerConfig
from bot.models.prices import parse_prices
from bot.telemetry import ACCOUNT_CHANGES
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.processes import WITHIN_S
from tests.fast import run_fast
from tests.processes import own_port
from tests.scenarios.answers import rate
from tests.scenarios.conftest import Stage, grows, manifest, running, settings_of
from tests.scenarios.test_failures import openai_error
from tests.streams import speech
from tests.streams.server import VendorServer

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "deploy/grafana/typist.json"
RULES = ROOT / "deploy/prometheus/rules.yaml"
PAGE = ROOT / "docs/admins/operate.md"
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \|", re.MULTILINE)
QUESTION, ANSWER = "Quokkas", "Wombats"
"""A word of each text, which occurs nowhere else."""
OURS = ("typist_", "gen_ai_")
OF_A_SCRAPE = {"job", "instance"}
"""Labels that Prometheus adds."""
IN_GRAFANA = {"$__rate_interval": "5m", "$__range": "6h"}


@dataclass(frozen=True)
class Scrape:
    """What /metrics said, and what must not be in it."""

    text: str
    private: tuple[str, ...]

    @property
    def families(self) -> list[Metric]:
        return list(text_string_to_metric_families(self.text))

    @property
    def ours(self) -> dict[str, str]:
        """The type of each of our metrics, by its name."""
        names = {family.name + ("_total" if family.type == "counter" else ""): family.type for family in self.families}
        return {name: kind for name, kind in names.items() if name.startswith(OURS)}

    @property
    def samples(self) -> dict[str, list[Mapping[str, str]]]:
        """The labels of each sample, by the sample's name."""
        samples: dict[str, list[Mapping[str, str]]] = {}
        for family in self.families:
            for sample in family.samples:
                samples.setdefault(sample.name, []).append(sample.labels)
        return samples

    def value(self, sample: str, **labels: str) -> float:
        """Returns the sum of the samples that have these labels."""
        return sum(
            found.value
            for family in self.families
            for found in family.samples
            if found.name == sample and labels.items() <= found.labels.items()
        )


async def answer_and_scrape() -> Scrape:
    """Has a bot answer once well, once at a rate limit, and once with a failure; returns what /metrics says then."""
    port, monotonic = own_port(), asyncio.get_running_loop().time
    async with Sandbox(manifest=manifest(), monotonic=monotonic) as sandbox, VendorServer() as vendor:
        prices = parse_prices('{"openai/test": {"input": 1, "output": 2}}')
        settings = replace(settings_of(sandbox, vendor), health_at=("127.0.0.1", port), prices=prices)
        gone = ServerConfig("gone", HttpTransport("http://127.0.0.1:9/mcp"))
        settings = replace(settings, mcp=McpSetup((gone,), direct_message_servers=("gone",)))
        async with running(settings):
            stage = Stage(sandbox, vendor)
            vendor.script(grows(f"{ANSWER} dig burrows. " * 20))
            asked = await stage.mention(f"why do {QUESTION} smile?")
            await stage.answers("general", asked)
            sandbox.faults.start("rate_limit", times=1, retry_after_s=1)
            sandbox.faults.start("unknown_error", times=1, method="chat.update", error="Quokkas_are_shy")
            await stage.answers("general", await stage.mention(f"and {QUESTION}?"))
            await rate(stage, asked)
            vendor.script(openai_error(401, "invalid_api_key"))
            await sandbox.say("ada", sandbox.dm("ada"), "once more?")
            await stage.answers(sandbox.dm("ada"), None)
            async with aiohttp.ClientSession() as session, asyncio.timeout(WITHIN_S):
                text = ""
                # Slack shows the last end before it is on record.
                last = ("typist_answers_total 3.0\n", "typist_answers_live 0.0\n", "typist_mcp_server_up{")
                while not all(line in text for line in last):
                    async with session.get(f"http://127.0.0.1:{port}/metrics") as response:
                        assert response.status == 200
                        text = await response.text()
        people = [person.id for person in sandbox.workspace.users.values()]
        private = (*people, *sandbox.workspace.channels, asked, QUESTION, ANSWER, sandbox.bot_token)
    return Scrape(text, private)


@pytest.fixture(scope="module")
def scrape() -> Scrape:
    return run_fast(answer_and_scrape())


def expressions(path: Path) -> Iterator[str]:
    if path == RULES:
        yield from (rule["expr"] for rule in rules())
        return
    for panel in json.loads(path.read_text())["panels"]:
        for target in panel["targets"]:
            expression = target["expr"]
            for variable, value in IN_GRAFANA.items():
                expression = expression.replace(variable, value)
            yield expression


def rules() -> list[Mapping[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


EXPRESSIONS = [(path, expression) for path in (DASHBOARD, RULES) for expression in expressions(path)]


@dataclass
class Named:
    selectors: list[promql_parser.VectorSelector]
    labels: set[str]


@cache
def named_in(expression: str) -> Named:
    """Returns what an expression names. Raises ValueError for one that isn't PromQL."""
    named = Named([], set())

    def visit(node: object) -> bool:
        match node:
            case promql_parser.VectorSelector():
                named.selectors.append(node)
            case promql_parser.AggregateExpr() if node.modifier is not None:
                named.labels |= set(node.modifier.labels)
        return True

    promql_parser.walk(promql_parser.parse(expression), visit)
    return named


def test_page_lists_all_metrics_and_no_others(scrape: Scrape) -> None:
    assert scrape.ours == dict(ROW.findall(PAGE.read_text()))


@pytest.mark.parametrize(("path", "expression"), EXPRESSIONS)
def test_expression_names_metrics_labels_and_values_that_are_there(scrape: Scrape, path: Path, expression: str) -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    named = named_in(expression)
    samples = scrape.samples
    assert named.selectors
    known = set(OF_A_SCRAPE)
    for selector in named.selectors:
        name = selector.name or ""
        if path == RULES and name in recorded:
            continue
        assert name in samples
        known |= {label for labels in samples[name] for label in labels}
        for matcher in selector.matchers.matchers:
            assert set(matcher.value.split("|")) <= {labels.get(matcher.name) for labels in samples[name]}
    assert named.labels <= known


@pytest.mark.parametrize("wrong", ["sum(rate(typist_answers_total[5m])", "rate(typist_answers_total)", "sum by (a"])
def test_expression_that_is_no_promql_is_found(wrong: str) -> None:
    with pytest.raises(ValueError):
        named_in(wrong)


def test_panels_and_rules_have_ids_of_their_own() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    ids = [panel["id"] for panel in dashboard["panels"]]
    names = [rule.get("alert") or rule["record"] for rule in rules()]
    assert [name for name, times in Counter([*ids, *names]).items() if times > 1] == []
    corners = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in dashboard["panels"]]
    assert len(set(corners)) == len(ids)
    assert {panel["datasource"]["uid"] for panel in dashboard["panels"]} == {"${datasource}"}
    assert [variable["name"] for variable in dashboard["templating"]["list"]] == ["datasource"]


def test_each_alert_says_what_is_wrong_and_how_bad_it_is() -> None:
    alerts = [rule for rule in rules() if "alert" in rule]
    assert alerts
    assert all(rule.keys() == {"record", "expr"} for rule in rules() if "alert" not in rule)
    assert all({"for"} | alert.keys() == {"alert", "expr", "for", "labels", "annotations"} for alert in alerts)
    assert all(alert["labels"]["severity"] in ("warning", "critical") for alert in alerts)
    assert all(alert["annotations"]["summary"] for alert in alerts)


def test_answers_failures_limits_and_costs_are_counted(scrape: Scrape) -> None:
    assert scrape.value("typist_answers_total") == 3
    assert scrape.value("typist_failures_total") == 1
    assert scrape.value("typist_failures_total", reason=EndReason.BAD_KEY.value) == 1
    assert scrape.value("typist_slack_rate_limited_total") == 1
    assert scrape.value("typist_slack_calls_total", error_type="rate_limited") == 1
    assert scrape.value("typist_cost_usd_total", gen_ai_request_model="test", gen_ai_provider_name="openai") > 0
    of_model = {"gen_ai_request_model": "test", "gen_ai_provider_name": "openai"}
    assert scrape.value("typist_feedback_total", vote="down", **of_model) == 1
    assert scrape.value("typist_feedback_total") == 1
    assert scrape.value("typist_feedback_reasons_total", reason="wrong", **of_model) == 1
    assert scrape.value("typist_answers_live") == scrape.value("typist_jobs_waiting") == 0
    assert scrape.value("typist_slack_connections") == 2
    assert scrape.value("gen_ai_client_operation_duration_seconds_count") == 3
    assert scrape.value("gen_ai_client_operation_duration_seconds_count", error_type=EndReason.BAD_KEY.value) == 1
    assert scrape.value("gen_ai_client_token_usage_sum", gen_ai_token_type="input") == 2 * speech.INPUT_TOKENS


def test_delays_are_recorded_once_for_each_answer_that_has_them(scrape: Scrape) -> None:
    assert scrape.value("typist_placeholder_delay_seconds_count") == 3
    assert scrape.value("typist_final_lag_seconds_count") == 3
    assert scrape.value("typist_first_word_delay_seconds_count") == 2
    assert scrape.value("typist_staleness_seconds_count") == 2
    assert 0 < scrape.value("typist_staleness_seconds_sum") < 10


def test_no_label_holds_text_a_person_or_a_channel(scrape: Scrape) -> None:
    assert [private for private in scrape.private if private in scrape.text] == []
    ours = [found for name, found in scrape.samples.items() if name.startswith(OURS)]
    values: dict[str, set[str]] = {}
    for label, value in (pair for found in ours for labels in found for pair in labels.items() if pair[1]):
        values.setdefault(label, set()).add(value)
    assert all(float(bound) > 0 for bound in values.pop("le"))
    assert all(re.fullmatch(r"[a-z]+(\.[a-zA-Z]+)+", method) for method in values.pop("slack_method"))
    assert values.pop("reason") <= {*EndReason, *DownReason}
    # Whatever Slack, the vendor and the model call it.
    assert values == {
        "change": set(ACCOUNT_CHANGES),
        "server": {"gone"},
        "error_type": {"bad_key", "rate_limited", "unknown"},
        "gen_ai_operation_name": {"chat"},
        "gen_ai_provider_name": {"openai"},
        "gen_ai_request_model": {"test"},
        "gen_ai_token_type": {"input", "output"},
        "vote": {"down"},
    }
