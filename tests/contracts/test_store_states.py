"""Calls by several workers in any order, compared with a model of the store and the table of a job's states."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.contracts.store_machine import Machine


@pytest.mark.hypothesis
@pytest.mark.parametrize("database", ["memory", "postgresql"])
def test_calls_in_any_order_agree_with_the_model(request: pytest.FixtureRequest, database: str) -> None:
    url = "sqlite://" if database == "memory" else request.getfixturevalue("postgresql_url")
    machine = type("DatabaseMachine", (Machine,), {"database_url": url})
    run_state_machine_as_test(
        machine,
        settings=settings(
            # An example is 30 calls, and takes as long as a hundred examples of most other tests.
            max_examples=max(3, settings().max_examples // 10),
            stateful_step_count=30,
            suppress_health_check=list(HealthCheck),
        ),
    )
