# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Azure's request limits: what they count, whom they refuse and for how long."""

from __future__ import annotations

import pytest
from rehearsal_cloud.clock import Clock
from rehearsal_cloud.cloud import Cloud, Request
from rehearsal_cloud.refusals import Refusal
from rehearsal_cloud.sign_in import Principal
from rehearsal_cloud.throttling import Throttle, group_of

ANN, BOB = Principal("ann", "ann"), Principal("bob", "bob")
GROUP = "/subscriptions/s/resourceGroups/g/providers"
VM = f"{GROUP}/Microsoft.Compute/virtualMachines/vm"
VAULT = f"{GROUP}/Microsoft.RecoveryServices/vaults/v"


class Hand(Clock):
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        super().__init__(start=0)

    def read(self) -> float:
        return self.now


@pytest.fixture
def cloud():
    made = Cloud(Hand())
    made.seed({"id": f"{VM}{number}", "location": region} for number, region in enumerate(["westeurope", "westeurope", "northeurope"]))
    return made


def refused(throttle, cloud, method, path, who=ANN):
    """The refusal that a request meets; None when it is let through."""
    try:
        throttle.admit(cloud, Request(method, path), who)
    except Refusal as refusal:
        return refusal
    return None


def admitted(throttle, cloud, method, path, who=ANN, most=30000):
    """How many of a kind of request are let through at once."""
    return next(count for count in range(most) if refused(throttle, cloud, method, path.replace("#", str(count)), who))


@pytest.mark.parametrize(("method", "burst"), [("GET", 250), ("PUT", 200), ("POST", 200), ("DELETE", 200)])
def test_arm_counts_each_kind_of_request(cloud, method, burst):
    assert admitted(Throttle(), cloud, method, f"{GROUP}/Contoso.Test/things/#") == burst


def test_arm_counts_each_principal_and_subscription_apart(cloud):
    throttle = Throttle()
    path = f"{GROUP}/Contoso.Test/things/thing"
    admitted(throttle, cloud, "PUT", path)
    assert refused(throttle, cloud, "PUT", path)
    assert not refused(throttle, cloud, "PUT", path, BOB)
    assert not refused(throttle, cloud, "PUT", path.replace("/s/", "/other/"))
    assert not refused(throttle, cloud, "GET", path)


def test_buckets_refill_on_the_simulated_clock_and_early_requests_are_refused_again(cloud):
    throttle, path = Throttle(), f"{VM}0/extensions/e"
    assert admitted(throttle, cloud, "PUT", path) == 12
    assert refused(throttle, cloud, "PUT", path).headers["Retry-After"] == "15"
    cloud.clock.set(9)
    assert refused(throttle, cloud, "PUT", path).headers["Retry-After"] == "6"
    cloud.clock.set(15)
    assert not refused(throttle, cloud, "PUT", path)
    assert refused(throttle, cloud, "PUT", path).headers["Retry-After"] == "15"


def test_compute_limits_writes_of_a_vm_and_of_a_region(cloud):
    throttle = Throttle()
    assert admitted(throttle, cloud, "PUT", f"{VM}0/extensions/#") == 12
    assert not refused(throttle, cloud, "PUT", f"{VM}1/extensions/e")
    assert not refused(throttle, cloud, "GET", f"{VM}0")
    throttle = Throttle()
    for number in range(1500):
        cloud.store.put(f"{VM}x{number}", {"location": "westeurope"})
        cloud.clock.set(cloud.clock.now + 0.001)
        who = Principal(str(number), str(number))
        assert not refused(throttle, cloud, "PUT", f"{VM}x{number}/extensions/e", who)
    for number in range(20):  # what refilled meanwhile
        refused(throttle, cloud, "DELETE", f"{VM}x{number}/extensions/e", BOB)
    refusal = refused(throttle, cloud, "PUT", f"{VM}1/extensions/e", BOB)
    assert refusal.body["error"]["details"][0]["target"] == "UpdateVMSubscriptionMaximum"
    assert not refused(throttle, cloud, "PUT", f"{VM}2/extensions/e", BOB)


def test_computes_refusal_is_in_its_own_form(cloud):
    throttle = Throttle()
    admitted(throttle, cloud, "PUT", f"{VM}0/extensions/e")
    refusal = refused(throttle, cloud, "PUT", f"{VM}0/extensions/e")
    assert (refusal.status, refusal.body["error"]["code"]) == (429, "OperationNotAllowed")
    assert refusal.body["error"]["details"][0]["code"] == "TooManyRequests"


def test_arms_refusal_is_in_its_own_form(cloud):
    throttle = Throttle()
    admitted(throttle, cloud, "PUT", f"{GROUP}/Contoso.Test/things/thing")
    refusal = refused(throttle, cloud, "PUT", f"{GROUP}/Contoso.Test/things/thing")
    assert (refusal.status, refusal.body["error"]["code"]) == (429, "SubscriptionRequestsThrottled")
    assert refusal.headers["Retry-After"] == "1"


def test_a_vault_takes_200_changes_a_minute_from_everyone(cloud):
    throttle = Throttle()
    path = f"{VAULT}/replicationRecoveryPlans/#/testFailover"
    assert admitted(throttle, cloud, "POST", path) == 200
    assert refused(throttle, cloud, "POST", path, BOB).body["error"]["code"] == "TooManyRequests"
    assert not refused(throttle, cloud, "POST", path.replace("vaults/v", "vaults/w"), BOB)
    assert not refused(throttle, cloud, "GET", f"{VAULT}/replicationJobs", BOB)


def test_the_status_of_an_operation_is_limited_per_vm(cloud):
    first, second = (cloud.operations.start(cloud, Request("PUT", f"{VM}0"), f"{VM}{number}/extensions/e", 60).name for number in (0, 1))
    path = "/subscriptions/s/providers/Microsoft.Compute/locations/westeurope/operations"
    throttle = Throttle()
    assert admitted(throttle, cloud, "GET", f"{path}/{first}") == 45
    assert not refused(throttle, cloud, "GET", f"{path}/{second}")


@pytest.mark.parametrize(
    ("method", "path", "group"),
    [
        ("GET", VM, "get vm"),
        ("GET", f"{VM}/instanceView", "get vm"),
        ("GET", f"{VM}/extensions/e", "get vm"),
        ("GET", f"{GROUP}/Microsoft.Compute/virtualMachines", "list vms"),
        ("PUT", VM, "put vm"),
        ("PATCH", VM, "update vm"),
        ("DELETE", VM, "delete vm"),
        ("DELETE", f"{VM}/extensions/e", "update vm"),
        ("POST", f"{VM}/restart", "update vm"),
        ("POST", f"{VM}/deallocate", "delete vm"),
        ("GET", f"{GROUP}/Microsoft.Compute/virtualMachineScaleSets/s", "get scale set"),
        ("GET", f"{GROUP}/Microsoft.Compute/virtualMachineScaleSets/s/instanceView", "list scale sets"),
        ("PATCH", f"{GROUP}/Microsoft.Compute/virtualMachineScaleSets/s", "update scale set"),
        ("PUT", f"{GROUP}/Microsoft.Compute/virtualMachineScaleSets/s/virtualMachines/0/extensions/e", "update scale set vm"),
        ("GET", f"{VAULT}/replicationJobs", "get site recovery"),
        ("GET", VAULT, None),
        ("PUT", VAULT, None),
    ],
)
def test_each_request_has_its_providers_limits(method, path, group):
    assert group_of(Request(method, path)) == group


def test_off_refuses_nothing_and_still_has_the_headers(cloud):
    throttle = Throttle(enforce=False)
    for _number in range(300):
        headers = throttle.admit(cloud, Request("GET", f"{VM}0"), ANN)
    assert headers["x-ms-ratelimit-remaining-subscription-reads"] == "249"
    assert headers["x-ms-ratelimit-remaining-resource"] == (
        "Microsoft.Compute/LowCostGetSubscriptionMaximum;23999,Microsoft.Compute/LowCostGetResource;35"
    )


def test_a_refusal_reaches_the_client_with_a_wait_in_its_own_time(serve):
    cloud = Cloud(Clock(speed=5, start=0))
    cloud.seed([{"id": f"{VM}0", "location": "westeurope"}])
    edge = serve(cloud)
    answers = [edge.arm("PUT", f"{VM}0/extensions/e", {}) for _number in range(14)]
    assert answers[-1].status == 429
    assert answers[-1].headers["retry-after"] == "3"
