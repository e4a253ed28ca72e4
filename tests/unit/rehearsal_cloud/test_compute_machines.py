# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Virtual machines, scale sets, and the machines that Site Recovery makes."""

from __future__ import annotations

import json

from rehearsal_cloud.providers import compute

GROUP = "/subscriptions/s1/resourceGroups/Web"
VM = f"{GROUP}/providers/Microsoft.Compute/virtualMachines/web01"
NETWORK = "/subscriptions/s1/resourceGroups/Far/providers/Microsoft.Network/virtualNetworks/far"
TARGET = "/subscriptions/s1/resourceGroups/Far/providers/Microsoft.Compute/virtualMachines/web01"
DAY = 86400


def machine(name="web01", region="westus", **properties):
    return {
        "id": VM.replace("web01", name),
        "location": region,
        "tags": {"app": "shop"},
        "properties": {
            "hardwareProfile": {"vmSize": "Standard_B2s"},
            "osProfile": {"computerName": name},
            "storageProfile": {"osDisk": {"osType": "Linux", "name": f"{name}-os"}, "dataDisks": [{"lun": 0, "name": f"{name}-data"}]},
            "networkProfile": {"networkInterfaces": [{"id": f"{GROUP}/providers/Microsoft.Network/networkInterfaces/{name}-nic"}]},
            **properties,
        },
    }


def power(view):
    return next(status["code"] for status in view["statuses"] if status["code"].startswith("PowerState/"))


def test_lists_by_group_subscription_and_region(inside):
    inside.cloud.seed([machine(f"vm{number:03}", "westus" if number % 2 else "eastus") for number in range(150)])
    listed = inside.body(f"{GROUP}/providers/Microsoft.Compute/virtualMachines")
    assert len(listed["value"]) == 100
    query = dict(part.split("=", 1) for part in listed["nextLink"].partition("?")[2].split("&"))
    query.pop("api-version")
    rest = inside.body(f"{GROUP}/providers/Microsoft.Compute/virtualMachines", **query)
    assert len(rest["value"]) == 50
    assert "nextLink" not in rest
    west = inside.body("/subscriptions/s1/providers/Microsoft.Compute/locations/westus/virtualMachines")["value"]
    assert {one["location"] for one in west} == {"westus"}
    assert "instanceView" not in listed["value"][0]["properties"]
    statuses = inside.body("/subscriptions/s1/providers/Microsoft.Compute/virtualMachines", statusOnly="true")["value"]
    assert statuses[0]["properties"]["instanceView"]["vmAgent"]["statuses"][0]["displayStatus"] == "Ready"


def test_power_actions_are_operations(inside):
    inside.cloud.seed([machine()])
    for action, state in (("deallocate", "deallocated"), ("start", "running"), ("powerOff", "stopped"), ("restart", "running")):
        answer = inside.send("POST", f"{VM}/{action}")
        assert answer.status == 202
        assert {"azure-asyncoperation", "location"} <= set(answer.headers)
        inside.later(DAY)
        assert inside.operation(answer)["status"] == "Succeeded"
        assert power(inside.body(f"{VM}/instanceView")) == f"PowerState/{state}"


def test_the_location_form_of_an_operation(inside):
    inside.cloud.seed([machine()])
    path, _mark, _query = inside.send("POST", f"{VM}/restart").headers["location"].removeprefix("https://localhost").partition("?")
    assert inside.send("GET", path, monitor="true").status == 202
    inside.later(DAY)
    assert inside.send("GET", path, monitor="true").status == 200


def test_a_machine_is_made_changed_and_deleted_without_keeping_its_password(inside):
    inside.cloud.seed([{"id": GROUP, "location": "westus"}])
    body = {"location": "westus", "properties": {"osProfile": {"computerName": "n", "adminPassword": "hush"}}}
    answer = inside.send("PUT", VM, body)
    assert (answer.status, answer.body["properties"]["provisioningState"]) == (201, "Creating")
    inside.later(DAY)
    assert inside.send("PATCH", VM, {"tags": {"a": "b"}}).status == 200
    inside.later(DAY)
    assert inside.body(VM)["tags"] == {"a": "b"}
    assert "hush" not in json.dumps(inside.cloud.dump())
    assert inside.send("DELETE", VM).status == 202
    inside.later(DAY)
    assert inside.send("GET", VM).status == 404
    assert inside.send("DELETE", VM).status == 204


def test_a_recovered_machine_is_a_new_one(inside):
    source = machine()
    source["resources"] = [{"id": f"{VM}/extensions/AMA", "properties": {"publisher": "P", "type": "T"}}]
    inside.cloud.seed(
        [
            source,
            {
                "id": NETWORK,
                "location": "eastus",
                "properties": {
                    "subnets": [
                        {"name": "a", "id": f"{NETWORK}/subnets/a", "properties": {"addressPrefix": "10.1.0.0/24"}},
                        {"name": "b", "id": f"{NETWORK}/subnets/b", "properties": {"addressPrefix": "10.2.0.0/24"}},
                    ]
                },
            },
        ]
    )
    compute.recover(inside.cloud, VM, TARGET, location="eastus", network_id=NETWORK, subnet_name="b")
    compute.recover(inside.cloud, VM, f"{TARGET}-test", location="eastus", network_id=NETWORK, subnet_name="b")

    made = inside.body(TARGET)
    assert made["location"] == "eastus"
    assert made["tags"] == {"app": "shop"}
    assert made["properties"]["hardwareProfile"] == {"vmSize": "Standard_B2s"}
    assert "osProfile" not in made["properties"]
    assert "resources" not in made
    disk = made["properties"]["storageProfile"]["osDisk"]
    assert (disk["osType"], disk["createOption"]) == ("Linux", "Attach")
    assert inside.body(disk["managedDisk"]["id"])["location"] == "eastus"
    addresses = set()
    for identifier in (TARGET, f"{TARGET}-test"):
        interface = inside.body(inside.body(identifier)["properties"]["networkProfile"]["networkInterfaces"][0]["id"])
        configuration = interface["properties"]["ipConfigurations"][0]["properties"]
        assert configuration["subnet"]["id"] == f"{NETWORK}/subnets/b"
        assert interface["properties"]["virtualMachine"]["id"] == identifier
        addresses.add(configuration["privateIPAddress"])
    assert len(addresses) == 2
    assert all(address.startswith("10.2.0.") for address in addresses)


def test_a_recovered_machines_agent_needs_its_time(inside):
    inside.cloud.seed([machine()])
    compute.recover(inside.cloud, VM, TARGET, location="eastus")
    view = inside.body(f"{TARGET}/instanceView")
    assert power(view) == "PowerState/running"
    assert view["vmAgent"]["statuses"][0]["code"] == "ProvisioningState/Unavailable"
    inside.later(89)
    assert not compute.agent_ready(inside.cloud, TARGET)
    inside.later(152)
    assert inside.body(f"{TARGET}/instanceView")["vmAgent"]["statuses"][0]["displayStatus"] == "Ready"


def test_a_removed_machine_leaves_nothing(inside):
    inside.cloud.seed([machine()])
    before = {body["id"] for body in inside.cloud.store.all()}
    compute.recover(inside.cloud, VM, TARGET, location="eastus")
    compute.remove(inside.cloud, TARGET)
    assert {body["id"] for body in inside.cloud.store.all()} - before == {"/subscriptions/s1/resourceGroups/Far"}
    assert compute.machine(inside.cloud, TARGET) is None


def test_power_from_within(inside):
    inside.cloud.seed([machine()])
    compute.power(inside.cloud, VM, False)
    assert power(inside.body(f"{VM}/instanceView")) == "PowerState/deallocated"
    compute.power(inside.cloud, VM, True)
    assert power(inside.body(f"{VM}/instanceView")) == "PowerState/running"


def test_all_survives_a_restart_of_the_cloud(inside):
    inside.cloud.seed([machine()])
    answer = inside.send("POST", f"{VM}/deallocate")
    inside.cloud.load(json.loads(json.dumps(inside.cloud.dump())))
    inside.later(DAY)
    assert inside.operation(answer)["status"] == "Succeeded"
    assert power(inside.body(f"{VM}/instanceView")) == "PowerState/deallocated"
