# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Every fault that the rehearsal cloud knows, on every module that changes something and on the failover playbook, alone and in pairs.

Whatever happens, what a run says is held against what the cloud holds: it ends, tells of each machine, fails over once, calls nothing done
that is not, and tells of each failure its reason and the way on. The pairs are drawn at random, of a seed that is printed;
AZURE_DR_FAULT_PAIRS says how many (9), AZURE_DR_FAULT_SEED repeats them.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import documented
import estates
import pytest
import runbook
import situations
from conftest import ROOT, RunningCloud

Body = dict[str, Any]

PAIRS = int(os.environ.get("AZURE_DR_FAULT_PAIRS", "9"))
SEED = int(os.environ.get("AZURE_DR_FAULT_SEED") or random.randrange(10**6))
AT_ONCE = 6
DRIFTED = estates.machine_id("drifted", estates.RECOVERY)
MACHINES = {one.rpartition("/")[2]: one for one in (situations.HEALTHY, situations.ABSENT, situations.BROKEN, DRIFTED)}
STATES = {"unchanged", "changed", "failed", "timed_out", "skipped"}
WAY_ON = re.compile(r"[Rr]un this again|[Rr]ecommended action|run the action|[Gg]o on|Start it|Look at its health")
ERROR = {"code": "539", "message": "The requested action couldn't be performed.", "possibleCauses": "A test.", "recommendedAction": "None."}


@dataclass(frozen=True)
class Subject:
    """A module with its arguments in an estate: what it changes, what it lists and reads meanwhile (as matches of rules), the group that
    it works in, and `true`: whether what it says of a target holds, by the resources of the cloud. record: what it finds in its file."""

    args: Body
    estate: list[Body]
    targets: frozenset[str]
    writes: tuple[Body, ...]
    lists: Body
    reads: Body
    group: str
    true: Callable[[Body, Mapping[str, Body]], bool]
    record: Body | None = None


def monitored(row: Body, bodies: Mapping[str, Body]) -> bool:
    machine = row["id"].lower()
    agent = bodies.get(f"{machine}/extensions/{situations.AGENT}".lower(), {}).get("properties", {})
    links = [body["properties"] for name, body in bodies.items() if name.startswith(f"{machine}/providers/microsoft.insights/")]
    linked = {str(link.get("dataCollectionRuleId") or link.get("dataCollectionEndpointId")).lower() for link in links}
    wanted = {runbook.RULES["Linux"].lower(), runbook.ENDPOINT.lower()}
    return agent.get("provisioningState") == "Succeeded" and agent.get("enableAutomaticUpgrade") is True and wanted <= linked


def updated(row: Body, bodies: Mapping[str, Body]) -> bool:
    details = bodies[row["id"].lower()]["properties"]["providerSpecificDetails"]
    return details["agentAutoUpdateStatus"] == "Enabled" and details["automationAccountArmId"] == estates.ACCOUNT_ID


def current(row: Body, bodies: Mapping[str, Body]) -> bool:
    details = bodies[row["id"].lower()]["properties"]["providerSpecificDetails"]
    return not details["isReplicationAgentUpdateRequired"] and not details.get("isAgentReinstallRequired")


def failed_over(row: Body, bodies: Mapping[str, Body]) -> bool:
    return bodies[row["id"].lower()]["properties"]["activeLocation"] == "Recovery"


def enrolled(row: Body, bodies: Mapping[str, Body]) -> bool:
    """Azure upgrades the agent, of a scale set that of its model and that of each instance."""
    holder = row["id"].lower()
    agents = [body["properties"] for name, body in bodies.items() if name.startswith(f"{holder}/") and name.endswith(f"/{AGENT}")]
    model = bodies[holder]["properties"].get("virtualMachineProfile")
    agents += [one["properties"] for one in model["extensionProfile"]["extensions"]] if model else []
    return len(agents) == (INSTANCES + 1 if model else 1) and all(one.get("enableAutomaticUpgrade") is True for one in agents)


def image_enrolled(row: Body, bodies: Mapping[str, Body]) -> bool:
    policy = bodies[row["id"].lower()]["properties"]["upgradePolicy"].get("automaticOSUpgradePolicy") or {}
    return policy.get("enableAutomaticOSUpgrade") is True


def image_current(row: Body, bodies: Mapping[str, Body]) -> bool:
    instances = [body for name, body in bodies.items() if re.fullmatch(f"{re.escape(row['id'].lower())}/virtualmachines/[0-9]+", name)]
    versions = [one["properties"]["storageProfile"]["imageReference"]["exactVersion"] for one in instances]
    return versions == [estates.IMAGES[1]] * INSTANCES


def setting(identifier: str, name: str, bodies: Mapping[str, Body]) -> Any:
    """A setting of SETTINGS as the cloud holds it."""
    properties = bodies[identifier]["properties"]
    if name == "mobility":
        return {key: properties["providerSpecificDetails"].get(key) for key in situations.ON}
    if name == "images":
        return properties["upgradePolicy"]["automaticOSUpgradePolicy"]
    return bodies[f"{identifier}/extensions/{AGENT}"]["properties"]["enableAutomaticUpgrade"]


def frozen(row: Body, bodies: Mapping[str, Body]) -> bool:
    present = [setting(row["id"].lower(), name, bodies) for name in SETTINGS.get(row["id"].lower(), ())]
    values = [value for one in present for value in (one.values() if isinstance(one, dict) else [one])]
    return not any(value in (True, "Enabled") for value in values)


def thawed(row: Body, bodies: Mapping[str, Body]) -> bool:
    return all(setting(row["id"].lower(), name, bodies) == value for name, value in SETTINGS[row["id"].lower()].items())


AGENT, INSTANCES = situations.AGENT.lower(), 2
NEAR = estates.scale_set_id("vmss-near")
SETS = {name: estates.scale_set_id(name, region) for name, region in (("vmss-near", estates.PRIMARY), ("vmss-shop", estates.RECOVERY))}
# What is on before a freeze, by ids in lower case.
SETTINGS: Mapping[str, Body] = {
    estates.mapping_id(estates.PRIMARY).lower(): {"mobility": situations.ON},
    estates.machine_id(runbook.WEB).lower(): {f"extension {situations.AGENT}": True},
    NEAR.lower(): {"images": {"enableAutomaticOSUpgrade": True}},
}


def enrolling() -> list[Body]:
    """A machine in each group, and a scale set, whose agents have no automatic upgrade."""
    machines = [estates.machine_id(runbook.WEB), DRIFTED]
    agents = [situations.extension(one, enableAutomaticUpgrade=False) for one in machines]
    shop = situations.scale_set()
    shop["sku"]["capacity"] = INSTANCES
    profile = shop["properties"]["virtualMachineProfile"]["extensionProfile"]
    profile["extensions"] = profile["extensions"][:1]
    agents[0]["location"] = estates.PRIMARY
    return estates.estate([runbook.WEB], None, *estates.machine("drifted", region=estates.RECOVERY), *agents, shop)


def images() -> list[Body]:
    """A scale set in each group, whose image is behind."""
    regions = (estates.PRIMARY, estates.RECOVERY)
    found = [body for region in regions for body in estates.published_images(region)]
    for name, region in zip(SETS, regions, strict=True):
        found += estates.imaged_scale_set(name, INSTANCES, estates.IMAGES[0], region=region)
    return estates.estate([], None, *found)


def freezing(is_on: bool) -> list[Body]:
    """The estate of SETTINGS, before a freeze or during it."""
    agent = situations.extension(estates.machine_id(runbook.WEB), enableAutomaticUpgrade=is_on) | {"location": estates.PRIMARY}
    mapping = [estates.mapping(estates.PRIMARY, details=situations.ON)] if is_on else []
    policy = {"automaticOSUpgradePolicy": {"enableAutomaticOSUpgrade": is_on}}
    sets = estates.imaged_scale_set("vmss-near", INSTANCES, estates.IMAGES[1], policy)
    return runbook.shop(agent, *mapping, *sets, *estates.published_images())


FREEZE_WRITES = tuple(
    {"method": "PATCH", "path": path}
    for path in ("*/replicationProtectionContainerMappings/*", "*/extensions/*", "*/virtualMachineScaleSets/vmss-near")
)
SHOP = frozenset({runbook.WEB, runbook.SQL})
MAPPINGS = frozenset(estates.mapping_id(region).rpartition("/")[2] for region in (estates.PRIMARY, estates.RECOVERY))
# By the module's name, and a value of its state behind it where one value is not enough.
SUBJECTS = {
    "ama_reinstall": Subject(
        situations.MONITORING | {"machine_ids": list(MACHINES.values()), "enable_automatic_upgrade": True},
        runbook.shop(
            *situations.standing_machines(),
            *estates.machine("drifted", region=estates.RECOVERY),
            situations.extension(DRIFTED, enableAutomaticUpgrade=False),
        ),
        frozenset(MACHINES),
        ({"method": ["PUT", "PATCH", "DELETE"], "path": "*/virtualMachines/*"},),
        {"method": "GET", "path": "*/dataCollectionRuleAssociations"},
        {"method": "GET", "path": "*/virtualMachines/*"},
        "rg-shop-weu",
        monitored,
    ),
    "asr_autoupdate": Subject(
        situations.ACCOUNT,
        runbook.shop(),
        MAPPINGS,
        ({"method": "PATCH", "path": "*/replicationProtectionContainerMappings/*"},),
        {"method": "GET", "path": "*/replicationProtectionContainerMappings"},
        {"method": "GET", "path": "*/replicationProtectionContainerMappings/*"},
        "rg-dr-weu",
        updated,
    ),
    "asr_mobility_update": Subject(
        {},
        runbook.shop(*situations.AGED),
        SHOP,
        ({"method": "POST", "path": "*MobilityService"},),
        {"method": "GET", "path": "*/replicationProtectedItems"},
        {"method": "GET", "path": "*/replicationProtectedItems/*"},
        "rg-dr-weu",
        current,
    ),
    "asr_failover": Subject(
        {"action": "unplanned", "recovery_plan": "shop", "confirm": "shop"},
        runbook.shop(),
        SHOP,
        ({"method": "POST", "path": "*/unplannedFailover"},),
        {"method": "GET", "path": "*/replicationProtectedItems"},
        {"method": "GET", "path": "*/replicationJobs/*"},
        "rg-dr-weu",
        failed_over,
    ),
    "vm_extension_autoupgrade": Subject(
        {
            "all_supported": True,
            "propagate": True,
            "health_timeout": 0.02,
            "machine_ids": [estates.machine_id(runbook.WEB), DRIFTED],
            "scale_set_ids": [situations.SCALE_SET],
        },
        enrolling(),
        frozenset({runbook.WEB, "drifted", "vmss-shop"}),
        ({"method": "PATCH", "path": "*/extensions/*"}, {"method": "POST", "path": "*/manualupgrade"}),
        {"method": "GET", "path": "*/virtualMachineScaleSets/*/virtualMachines"},
        {"method": "GET", "path": "*/virtualMachines/*"},
        "rg-shop-weu",
        enrolled,
    ),
    "vmss_os_upgrade": Subject(
        {"scale_set_ids": list(SETS.values()), "health_timeout": 0.02},
        images(),
        frozenset(SETS),
        ({"method": "PATCH", "path": "*/virtualMachineScaleSets/*"}, {"method": "POST", "path": "*/manualupgrade"}),
        {"method": "GET", "path": "*/virtualMachineScaleSets/*/virtualMachines"},
        {"method": "GET", "path": "*/virtualMachineScaleSets/*"},
        "rg-shop-weu",
        image_enrolled,
    ),
    "vmss_os_upgrade started": Subject(
        {"state": "started", "scale_set_ids": list(SETS.values())},
        images(),
        frozenset(SETS),
        ({"method": "POST", "path": "*/osRollingUpgrade"},),
        {"method": "GET", "path": "*/osUpgradeHistory"},
        {"method": "GET", "path": "*/rollingUpgrades/latest"},
        "rg-shop-weu",
        image_current,
    ),
    "change_freeze": Subject(
        {"vault_id": estates.VAULT_ID, "scale_set_ids": [NEAR]},
        freezing(True),
        frozenset({*SHOP, *MAPPINGS, "vmss-near"}),
        FREEZE_WRITES,
        {"method": "GET", "path": "*/replicationProtectionContainerMappings"},
        {"method": "GET", "path": "*/virtualMachineScaleSets/*"},
        "rg-shop-neu",
        frozen,
    ),
    "change_freeze thawed": Subject(
        {"state": "thawed"},
        freezing(False),
        frozenset(identifier.rpartition("/")[2] for identifier in SETTINGS),
        FREEZE_WRITES,
        {"method": "GET", "path": "*/virtualMachineScaleSets/*/virtualMachines"},
        {"method": "GET", "path": "*/replicationProtectionContainerMappings/*"},
        "rg-shop-neu",
        thawed,
        {
            "version": 1,
            "begun": "2026-11-02T05:12:44Z",
            "thawed": None,
            "targets": [
                {"id": one, "name": one.rpartition("/")[2], "settings": settings, "frozen": "2026-11-02T05:14:01Z", "thawed": None}
                for one, settings in SETTINGS.items()
            ],
        },
    ),
}

Rules = Callable[[Subject], list[Body]]
AZURE = {"path": "/subscriptions/*"}


def rule(match: Body, do: Body, **when: Any) -> Body:
    return {"match": match, "do": do, **when}


def disturbed(do: Body, count: int = 1) -> Rules:
    """The first change of each kind, and the first reading, meet this."""
    return lambda subject: [rule(match, do, count=count) for match in (*subject.writes, subject.reads)]


def ended(**operation: Any) -> Rules:
    """The operations that the first change of each kind begins end like this."""
    return lambda subject: [rule(match, {"operation": operation}, count=1) for match in subject.writes]


FAULTS: dict[str, Rules] = {
    "429 with Retry-After": disturbed({"status": 429, "headers": {"Retry-After": 60}}, 2),
    "429 without Retry-After": disturbed({"status": 429}),
    "500": disturbed({"status": 500}),
    "502": disturbed({"status": 502}),
    "503": disturbed({"status": 503}),
    "504": disturbed({"status": 504}),
    "connection dropped before the request took effect": disturbed({"drop": "before"}),
    "connection dropped after the request took effect": disturbed({"drop": "after"}),
    "slow answers": lambda subject: [rule(AZURE, {"delay": 600}, probability=0.2)],
    "expired token (401)": lambda subject: [
        rule(AZURE, {"status": 401}, after=2, count=1),
        *(rule(match, {"status": 401}, count=1) for match in subject.writes),
    ],
    "token that lives a second": lambda subject: [rule({"path": "*/oauth2/v2.0/token"}, {"lifetime": 1})],
    "403 on one group": lambda subject: [rule({"path": f"*/resourceGroups/{subject.group}/*"}, {"status": 403})],
    "403 on the changes": lambda subject: [rule(match, {"status": 403}) for match in subject.writes],
    "operation or job ends Failed": ended(status="Failed", **ERROR),
    "operation or job ends Cancelled": ended(status="Cancelled"),
    "operation or job ends PartiallySucceeded": ended(status="PartiallySucceeded"),
    "operation or job ends CompletedWithInformation": ended(status="CompletedWithInformation"),
    "operation that never ends": ended(status="InProgress"),
    "a page of a list fails": lambda subject: [rule(subject.lists, {"status": 400, "body": {"error": ERROR}})],
}
NEVER = "operation that never ends"
# What every request meets alike, whatever it asks for: a module's second state is spared these.
OF_ANY_REQUEST = {
    "429 with Retry-After",
    "429 without Retry-After",
    "502",
    "504",
    "slow answers",
    "expired token (401)",
    "token that lives a second",
}
# On a failover alone; the others are of what comes after it.
OF_A_FAILOVER: dict[str, Rules] = {
    "one machine fails in the job": ended(item=runbook.WEB, **ERROR),
    "VM name taken in the target group": ended(
        item=runbook.WEB, code="28061", message=f"The virtual machine name '{runbook.WEB}' is taken."
    ),
}
OF_THE_PLAYBOOK: dict[str, Rules] = {
    "VM agent that never gets ready": ended(machine="silent", item=runbook.WEB),
    "target VM that is missing": ended(machine="missing", item=runbook.WEB),
    "extension that ends Failed": lambda subject: [
        rule({"method": "PUT", "path": "*/extensions/*"}, {"operation": {"status": "Failed", **ERROR}}, count=1)
    ],
}


@dataclass(frozen=True)
class Case:
    """Faults on a module, or on the playbook failover.yml."""

    subject: str
    faults: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.subject}: {' + '.join(self.faults)}"

    @property
    def module(self) -> str:
        return self.subject.partition(" ")[0]

    @property
    def rules(self) -> list[Body]:
        known = FAULTS | OF_A_FAILOVER | OF_THE_PLAYBOOK
        subject = SUBJECTS["asr_failover" if self.subject == "failover.yml" else self.subject]
        return [one for name in self.faults for one in known[name](subject)]


def alone() -> Iterator[Case]:
    for subject in SUBJECTS:
        for fault in FAULTS | (OF_A_FAILOVER if subject == "asr_failover" else {}):
            if " " not in subject or fault not in OF_ANY_REQUEST:
                yield Case(subject, (fault,))
    for fault in ("connection dropped after the request took effect", "expired token (401)", *OF_THE_PLAYBOOK):
        yield Case("failover.yml", (fault,))


def pairs() -> Iterator[Case]:
    """A fault can meet itself."""
    dice = random.Random(SEED)
    for number in range(PAIRS):
        subject = [*SUBJECTS, "failover.yml"][number % (len(SUBJECTS) + (PAIRS > 20))]
        known = {**FAULTS, **(OF_A_FAILOVER if "failover" in subject else {}), **(OF_THE_PLAYBOOK if subject == "failover.yml" else {})}
        yield Case(subject, tuple(dice.choices(list(known), k=2)))


CASES = {str(case): case for case in [*alone(), *pairs()]}


@dataclass(frozen=True)
class Ended:
    """What a run said, and what the cloud holds after it. record: that of change_freeze; thaw: what became of it without faults, where it
    was not thawed."""

    result: Body
    bodies: Mapping[str, Body]
    record: Body | None = None
    thaw: Ended | None = None

    def jobs(self, scenario: str) -> int:
        """How many jobs of the plan the cloud has taken on; a request whose answer was lost counts, too."""
        jobs = [body["properties"] for name, body in self.bodies.items() if "/replicationjobs/" in name]
        return sum(job["scenarioName"] == scenario and job["targetInstanceType"] == "RecoveryPlan" for job in jobs)


def run(case: Case, folder: Path) -> Ended:
    folder.mkdir()
    subject = SUBJECTS["asr_failover" if case.subject == "failover.yml" else case.subject]
    record = folder / "record.json"
    if subject.record:
        record.write_text(json.dumps(subject.record))

    def work(cloud: RunningCloud) -> Body:
        if case.subject == "failover.yml":
            played = runbook.play(
                cloud,
                folder / "home",
                "failover",
                {"restore_monitoring_agent_timeout": 0.1, "restore_monitoring_timeout": 0.6, "failover_timeout": 0.6},
            )
            assert played.records, played.output
            return {"failed": played.status != 0, "steps": played.record["steps"], "msg": played.output}
        path = {"path": str(record)} if case.module == "change_freeze" else {}
        return cloud.run_module(case.module, subject.args | path | {"timeout": 0.1 if NEVER in case.faults else 0.8})

    ended = run_on(folder, "cloud", subject.estate, case.rules, work)
    if case.module != "change_freeze" or not record.exists():
        return ended
    kept = json.loads(record.read_text())
    if kept["thawed"] or NEVER in case.faults:
        return replace(ended, record=kept)
    thaw = run_on(folder, "thaw", [], [], lambda cloud: cloud.run_module("change_freeze", {"path": str(record), "state": "thawed"}))
    return replace(ended, record=kept, thaw=thaw)


def run_on(folder: Path, name: str, estate: list[Body], faults: list[Body], work: Callable[[RunningCloud], Body]) -> Ended:
    """Work on a cloud that has the folder's state, or begins with the estate where there is none yet."""
    state = folder / "state.json"
    cloud = RunningCloud(folder / name, estate, speed=3000, seed=SEED, faults=faults, state=state, throttle="off")
    cloud.environment |= {"AZURE_DR_PACING_FILE": str(folder / "pacing"), "AZURE_DR_JOURNAL_DIR": str(folder / "journal")}
    try:
        result = work(cloud)
    finally:
        cloud.stop()
    return Ended(result, json.loads(state.read_text())["store"]["bodies"])


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Future[Ended]]]:
    """The runs of all cases that are asked for, some at once: they mostly wait."""
    asked = {item.callspec.params["name"] for item in request.session.items if item.path == request.path and hasattr(item, "callspec")}
    folder = tmp_path_factory.mktemp("faults")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {name: pool.submit(run, case, folder / str(number)) for number, (name, case) in enumerate(CASES.items()) if name in asked}


def check(result: Body, subject: Subject, bodies: Mapping[str, Body]) -> None:
    """What a module said, against what is there."""
    rows = result.get("targets")
    if rows is None:  # it stopped before it knew its targets
        assert result["failed"] and WAY_ON.search(result["msg"]), result
        return
    assert subject.targets <= {row["name"] for row in rows} or {row["name"] for row in rows} == {"shop"}, result
    for row in rows:
        assert row["state"] in STATES, row
        if row["state"] in ("changed", "unchanged"):
            assert subject.true(row, bodies), f"{row['name']} is called {row['state']}, and the cloud says otherwise: {row}"
        else:
            assert row["name"] and row["reason"], row
            assert result["failed"], result
    if result.get("failed"):
        assert WAY_ON.search(result["msg"]), result["msg"]
        bad = [row for row in rows if row["state"] in ("failed", "timed_out")]
        assert bad and all(row["name"] in result["msg"] or str(row["reason"]).rstrip(".") in result["msg"] for row in bad), result
    else:
        assert all(row["state"] in ("changed", "unchanged") for row in rows), result


def check_record(ended: Ended) -> None:
    """What is not as it was before the freeze is in the record, and a thaw puts it back."""
    kept = {one["id"].lower(): one["settings"] for one in (ended.record or {"targets": []})["targets"] if not one["thawed"]}
    for identifier, settings in SETTINGS.items():
        for name, value in settings.items():
            if setting(identifier, name, ended.bodies) != value:
                assert kept[identifier][name] == value, ended.result
    if ended.thaw:
        assert not ended.thaw.result.get("failed"), ended.thaw.result
        assert all(thawed({"id": identifier}, ended.thaw.bodies) for identifier in SETTINGS), ended.thaw.result


def done(step: Body) -> set[str]:
    return {machine["name"] for machine in step["machines"] if machine["state"] in ("changed", "unchanged")}


@pytest.mark.parametrize("name", CASES)
def test_whatever_happens_the_truth_is_told(runs: Mapping[str, Future[Ended]], name: str) -> None:
    case, ended = CASES[name], runs[name].result(timeout=300)
    print(f"seed {SEED}")
    assert ended.jobs("UnplannedFailover") <= 1
    if case.subject != "failover.yml":
        check(ended.result, SUBJECTS[case.subject], ended.bodies)
        if case.module == "change_freeze":
            check_record(ended)
        return
    steps = {step["name"]: step for step in ended.result["steps"]}
    over = done(steps["Failover"])
    assert all(failed_over({"id": estates.item_id(name)}, ended.bodies) for name in over)
    committed = ended.jobs("CommitFailover") > 0
    if ended.result["failed"]:
        assert WAY_ON.search(ended.result["msg"]), ended.result["msg"]
    else:
        assert over == SHOP and committed, steps
        for body in ended.bodies.values():
            assert body["type"] != "Microsoft.Compute/virtualMachines/extensions" or body["properties"]["provisioningState"] == "Succeeded"
    if committed:
        assert done(steps["Restore monitoring"]) == SHOP


def fragments(module: str) -> list[str]:
    return documented.read(module, "DOCUMENTATION").get("extends_documentation_fragment") or []


def test_every_module_that_changes_something_meets_faults() -> None:
    changing = {module for module in documented.MODULES if any("journal" in one for one in fragments(module))}
    assert changing == {subject.partition(" ")[0] for subject in SUBJECTS}


def test_the_table_of_faults_has_a_row_for_each() -> None:
    page = (ROOT / "docs" / "faults.md").read_text()
    rows = {line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")} - {"fault", "---"}
    assert rows == set(FAULTS | OF_A_FAILOVER | OF_THE_PLAYBOOK)
