"""What is counted, as Prometheus is told it; and what probes are told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from reconciler.adapters.loop.metrics import Metrics
from reconciler.adapters.loop.pulse import STUCK_AFTER, Pulse, Readiness
from reconciler.model.batch import Address, Batch, JobType, Key, Status
from reconciler.model.events import Done, Failed, Observing, Waiting
from reconciler.model.plan import Action, ActionKind, Plan, Reason, ReasonCode
from reconciler.model.result import Applied, Finding, Outcome
from reconciler.model.rounds import (
    Began,
    Called,
    Happening,
    LoopEvent,
    Paused,
    Round,
    RoundEnded,
    RoundResult,
    Verdict,
    Why,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY = Key("https://api", "prj", "dir-a", JobType("parse_v2"), "cfg")
ADDRESS = Address("invoices", "dir-a")
BATCH = Batch("bat-1", KEY, Status.PENDING, datetime(2026, 1, 1, tzinfo=UTC), None)
CREATE = Action(
    kind=ActionKind.CREATE, address=ADDRESS, key=KEY, reason=Reason(ReasonCode.MISSING, "no such batch")
)
PLAN = Plan(actions=(CREATE,))
APPLIED = Applied(
    plan=PLAN,
    findings=(
        Finding(ADDRESS, KEY, ("bat-1", "bat-2", "bat-3"), ambiguous=False, stands="bat-1"),
        Finding(ADDRESS, KEY, ("bat-4",), ambiguous=True),
    ),
)


def round_of(
    result: RoundResult, project: str = "finance", *, lacks: str = "", applied: Applied | None = None
) -> RoundEnded:
    plan = PLAN if not lacks else None
    done = Round(
        project=project,
        folder="work/finance",
        result=result,
        why=Why.INTERVAL,
        seconds=0.3,
        lacks=lacks,
        plan=plan,
        applied=applied,
        unresolved=2 if applied else 0,
    )
    return RoundEnded(done, 1 if result is RoundResult.ERROR else 0, 60.0)


def counted(*events: LoopEvent) -> dict[str, float]:
    """Every sample that is not nothing, as Prometheus reads them; but for the histogram's and our name."""
    metrics = Metrics(lambda: 1000.0, process=False)
    for event in events:
        metrics.heard(event)
    body, kind = metrics.shown("text/plain")
    assert kind.startswith("text/plain")
    found = {}
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            if sample.value and "_bucket" not in sample.name and "build_info" not in sample.name:
                found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def test_an_applied_round_is_counted() -> None:
    assert counted(
        Began(("work/finance",), 60.0, approved=True, listening=":8080"),
        Happening("finance", Done(CREATE, Outcome.CREATED, BATCH)),
        Happening("finance", Done(CREATE, Outcome.CREATED, BATCH)),
        Happening("finance", Failed(CREATE, Outcome.REJECTED, "402")),
        round_of(RoundResult.APPLIED, applied=APPLIED),
        Called(Verdict.FORGED, 3),
        Paused(paused=True, file="pause"),
    ) == {
        "reconciler_interval_seconds{}": 60.0,
        "reconciler_auto_approve{}": 1.0,
        "reconciler_paused{}": 1.0,
        "reconciler_rounds_total{project=finance,result=applied}": 1.0,
        "reconciler_round_duration_seconds_count{project=finance}": 1.0,
        "reconciler_round_duration_seconds_sum{project=finance}": 0.3,
        "reconciler_last_success_timestamp_seconds{project=finance}": 1000.0,
        "reconciler_plan_actions{action=create,project=finance}": 1.0,
        "reconciler_actions_total{action=create,outcome=created,project=finance}": 2.0,
        "reconciler_actions_total{action=create,outcome=rejected,project=finance}": 1.0,
        "reconciler_duplicates_total{project=finance}": 2.0,
        "reconciler_ambiguous_total{project=finance}": 1.0,
        "reconciler_unresolved_creates{project=finance}": 2.0,
        "reconciler_leader{project=finance}": 1.0,
        "reconciler_webhooks_total{verdict=forged}": 3.0,
    }


@pytest.mark.parametrize("result", sorted(RoundResult))
def test_only_what_went_well_is_a_success(result: RoundResult) -> None:
    well = {"unchanged", "applied", "observed", "paused"}
    shown = counted(round_of(result))
    assert ("reconciler_last_success_timestamp_seconds{project=finance}" in shown) == (result.value in well)


def test_who_finds_the_lock_held_leads_no_more() -> None:
    leading = round_of(RoundResult.APPLIED, applied=APPLIED)
    shown = counted(leading, round_of(RoundResult.UNCHANGED))
    assert shown["reconciler_leader{project=finance}"] == 1
    assert "reconciler_leader{project=finance}" not in counted(leading, round_of(RoundResult.STANDBY))


def test_a_project_that_turns_out_to_have_a_name_is_not_shown_under_two() -> None:
    broken = round_of(RoundResult.ERROR, "work/finance", lacks="its manifests cannot be read")
    shown = counted(broken, round_of(RoundResult.UNCHANGED))
    assert [name for name in shown if "project=work/finance" in name] == [
        "reconciler_rounds_total{project=work/finance,result=error}",
        "reconciler_round_duration_seconds_count{project=work/finance}",
        "reconciler_round_duration_seconds_sum{project=work/finance}",
    ]


def test_everything_has_a_beginning_at_nothing_so_that_the_first_is_an_increase() -> None:
    metrics = Metrics(lambda: 0.0, process=False)
    metrics.heard(round_of(RoundResult.UNCHANGED))
    text = metrics.shown("")[0].decode()
    for result in RoundResult:
        assert f'reconciler_rounds_total{{project="finance",result="{result.value}"}}' in text
    for verdict in Verdict:
        assert f'reconciler_webhooks_total{{verdict="{verdict.value}"}} 0.0' in text
    for outcome in ("created", "found", "rejected", "failed", "unknown"):
        assert f'action="create",outcome="{outcome}",project="finance"}} 0.0' in text
    assert 'reconciler_duplicates_total{project="finance"} 0.0' in text
    assert "_created" not in text.replace('outcome="created"', "")


def test_text_from_outside_breaks_no_line() -> None:
    metrics = Metrics(lambda: 0.0, process=False)
    metrics.heard(round_of(RoundResult.UNCHANGED, 'a"b\nreconciler_paused 1'))
    assert "\nreconciler_paused 1" not in metrics.shown("")[0].decode()


def test_openmetrics_is_given_to_who_asks_for_it() -> None:
    body, kind = Metrics(lambda: 0.0).shown("application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
    assert b"process_resident_memory_bytes" in body


def pulse(now: list[float], ending: Sequence[bool] = (False,)) -> Pulse:
    return Pulse(("work/finance", "work/legal"), lambda: now[0], lambda: ending[0])


def test_it_is_ready_once_each_project_had_a_round_and_could_be_read() -> None:
    ending = [False]
    there = pulse([0.0], ending)
    assert there.readiness() == Readiness(
        ready=False, reasons={"work/finance": "it had no round yet", "work/legal": "it had no round yet"}
    )
    there.heard(round_of(RoundResult.STANDBY))
    assert there.readiness().reasons == {"work/legal": "it had no round yet"}
    legal = round_of(RoundResult.ERROR, "legal", lacks="its manifests cannot be read")
    there.heard(legal._replace(round=replace(legal.round, folder="work/legal")))
    assert there.readiness().reasons == {"work/legal": "its manifests cannot be read"}
    there.heard(legal._replace(round=replace(legal.round, folder="work/legal", lacks="")))
    assert there.readiness() == Readiness(ready=True, reasons={})
    ending[0] = True
    assert there.readiness() == Readiness(ready=False, reasons={"": "it is ending"})


def test_it_is_alive_for_as_long_as_it_shows_signs_of_life() -> None:
    now = [0.0]
    there = pulse(now)
    seen = []
    for seconds, event in (
        (STUCK_AFTER + 1, None),
        (0.0, Happening("finance", Observing(1, 1))),
        (STUCK_AFTER, None),
        # Who calls from outside is no sign of life, however often.
        (1.0, Called(Verdict.FORGED, 1)),
    ):
        now[0] += seconds
        if event is not None:
            there.heard(event)
        seen.append(there.alive)
    assert seen == [False, True, True, False]


def test_what_waits_on_purpose_is_not_stuck() -> None:
    now = [0.0]
    there = pulse(now)
    there.heard(Happening("finance", Waiting("as the service asks", 600.0)))
    now[0] = STUCK_AFTER + 600
    assert there.alive
