# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Role definitions: what they grant, where and to whom."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
import yaml
from rehearsal_cloud import permissions
from rehearsal_cloud.cloud import Cloud, Request
from rehearsal_cloud.files import FileProblem
from rehearsal_cloud.providers import install

PERMISSIONS = "providers/Microsoft.Authorization/permissions"
GROUP = "/subscriptions/s/resourceGroups/g"
VM = f"{GROUP}/providers/Microsoft.Compute/virtualMachines/vm"
ITEM = (
    f"{GROUP}/providers/Microsoft.RecoveryServices/vaults/v/replicationFabrics/f/replicationProtectionContainers/c"
    "/replicationProtectedItems/i"
)


@pytest.fixture
def edge(serve, tmp_path):
    def start(content):
        (tmp_path / "permissions.yml").write_text(yaml.safe_dump(content))
        cloud = install(Cloud())
        cloud.seed([{"id": VM, "location": "westeurope"}])
        return serve(cloud, permissions=permissions.load(tmp_path / "permissions.yml"))

    return start


@pytest.mark.parametrize(
    ("method", "path", "action"),
    [
        ("GET", VM, "Microsoft.Compute/virtualMachines/read"),
        ("GET", f"{VM}/instanceView", "Microsoft.Compute/virtualMachines/instanceView/read"),
        ("GET", f"{GROUP}/providers/Microsoft.Compute/virtualMachines", "Microsoft.Compute/virtualMachines/read"),
        ("PUT", f"{VM}/extensions/e", "Microsoft.Compute/virtualMachines/extensions/write"),
        ("PATCH", VM, "Microsoft.Compute/virtualMachines/write"),
        ("DELETE", f"{VM}/extensions/e", "Microsoft.Compute/virtualMachines/extensions/delete"),
        (
            "POST",
            f"{ITEM}/testFailover",
            "Microsoft.RecoveryServices/vaults/replicationFabrics/replicationProtectionContainers/replicationProtectedItems/testFailover/action",
        ),
        (
            "PUT",
            f"{VM}/providers/Microsoft.Insights/dataCollectionRuleAssociations/a",
            "Microsoft.Insights/dataCollectionRuleAssociations/write",
        ),
        ("GET", GROUP, "Microsoft.Resources/subscriptions/resourceGroups/read"),
        ("GET", "/subscriptions/s/resourceGroups", "Microsoft.Resources/subscriptions/resourceGroups/read"),
        ("GET", "/subscriptions/s/resources", "Microsoft.Resources/subscriptions/resources/read"),
        ("GET", "/subscriptions/s", "Microsoft.Resources/subscriptions/read"),
    ],
)
def test_actions_are_named_as_azure_names_them(method, path, action):
    assert permissions.action_of(Request(method, path)) == action


def test_what_is_not_granted_is_answered_403(edge):
    served = edge({"default": {"actions": ["*/read"]}})
    assert served.arm("GET", VM).status == 200
    answer = served.arm("PUT", f"{VM}/extensions/e", {"location": "westeurope"})
    assert (answer.status, answer.body["error"]["code"]) == (403, "AuthorizationFailed")
    message = answer.body["error"]["message"]
    assert message.startswith("The client 'app' with object id '")
    assert f"perform action 'Microsoft.Compute/virtualMachines/extensions/write' over scope '{VM}/extensions/e'" in message
    assert served.arm("GET", f"{VM}/extensions/e").status == 404


def test_not_actions_take_away_what_the_same_role_gives(edge):
    served = edge({"default": {"actions": ["Microsoft.Compute/*"], "notActions": ["microsoft.compute/virtualmachines/delete"]}})
    assert served.arm("DELETE", VM).status == 403
    assert served.arm("DELETE", f"{VM}/extensions/e").status == 204


def test_each_principal_has_its_own_roles_and_scopes(edge):
    reader = {"roleName": "reader", "permissions": [{"actions": ["*/read"], "notActions": []}], "assignableScopes": ["/subscriptions/s"]}
    owner = {"Name": "owner of g", "Actions": ["*"], "NotActions": [], "AssignableScopes": ["/subscriptions/S/resourcegroups/G"]}
    served = edge({"principals": {"ann": [reader, owner], "BOB": {"properties": reader}}})
    assert served.arm("GET", VM, client="bob").status == 200
    assert served.arm("DELETE", VM, client="bob").status == 403
    assert served.arm("GET", VM.replace("/s/", "/other/"), client="bob").status == 403
    assert served.arm("DELETE", VM.replace("/g/", "/gg/"), client="ann").status == 403
    assert served.arm("DELETE", VM, client="ann").status == 202
    assert served.arm("GET", GROUP, client="someone").status == 403
    assert served.arm("GET", "/subscriptions", client="someone").status == 200


RULE = f"{GROUP}/providers/Microsoft.Insights/dataCollectionRules/dcr"
IDENTITY = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id"


@pytest.mark.parametrize(
    ("method", "path", "body", "action", "linked", "there"),
    [
        (
            "PUT",
            f"{VM}/providers/Microsoft.Insights/dataCollectionRuleAssociations/a",
            {"properties": {"dataCollectionRuleId": RULE}},
            "Microsoft.Insights/dataCollectionRuleAssociations/write",
            "Microsoft.Insights/dataCollectionRules/read",
            RULE,
        ),
        (
            "PATCH",
            VM,
            {"identity": {"type": "UserAssigned", "userAssignedIdentities": {IDENTITY: {}}}},
            "Microsoft.Compute/virtualMachines/write",
            "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
            IDENTITY,
        ),
    ],
)
def test_what_a_write_links_to_must_be_permitted_too(edge, method, path, body, action, linked, there):
    role = {"actions": [action]}
    served = edge({"principals": {"app": role, "guest": [role, {"actions": [linked], "assignableScopes": [there]}]}})
    answer = served.arm(method, path, body)
    assert (answer.status, answer.body["error"]["code"]) == (403, "LinkedAuthorizationFailed")
    assert f"'{linked}' on the linked scope(s) '{there}'" in answer.body["error"]["message"]
    assert served.arm(method, path, body, client="guest").status != 403


def test_an_operation_of_compute_is_followed_by_who_may_in_the_group(edge):
    write = {"actions": ["Microsoft.Compute/virtualMachines/extensions/write"], "assignableScopes": [VM]}
    follow = {"actions": ["Microsoft.Compute/locations/operations/read"]}
    served = edge(
        {"principals": {"app": [write, follow | {"assignableScopes": [GROUP]}], "guest": [write, follow | {"assignableScopes": [VM]}]}}
    )
    properties = {"publisher": "Microsoft.Azure.Extensions", "type": "CustomScript", "typeHandlerVersion": "2.1"}
    begun = served.arm("PUT", f"{VM}/extensions/e", {"location": "westeurope", "properties": properties})
    place = urlsplit(begun.headers["azure-asyncoperation"]).path
    assert served.arm("GET", place).status == 200
    assert served.arm("GET", place, client="guest").status == 403


def test_everybody_can_ask_what_it_may_where_it_may_ask(edge):
    reader = {"actions": ["*/read"], "notActions": ["Microsoft.Compute/*/read"], "assignableScopes": [GROUP]}
    served = edge(
        {"principals": {"app": [reader, {"actions": ["*"], "assignableScopes": [VM]}], "guest": {"actions": ["Microsoft.Compute/*"]}}}
    )

    def listed(scope):
        return [(one["actions"], one["notActions"]) for one in served.arm("GET", f"{scope}/{PERMISSIONS}").body["value"]]

    assert listed(GROUP) == [(["*/read"], ["Microsoft.Compute/*/read"])]
    assert listed(VM) == [(["*/read"], ["Microsoft.Compute/*/read"]), (["*"], [])]
    assert served.arm("GET", f"{GROUP}/{PERMISSIONS}", client="guest").status == 403


def test_without_permissions_everybody_may_do_everything(serve):
    cloud = Cloud()
    install(cloud).seed([{"id": VM, "location": "westeurope"}])
    assert serve(cloud).arm("GET", f"{VM}/{PERMISSIONS}").body["value"][0]["actions"] == ["*"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], "the permissions are an object"),
        ({"roles": []}, "the permissions are an object"),
        ({"default": "Reader"}, "default: 'Reader' is not a role definition"),
        ({"principals": {"ann": {"roleName": "Reader"}}}, "principal ann: a role definition has actions"),
    ],
)
def test_a_wrong_file_is_explained(tmp_path, content, said):
    (tmp_path / "permissions.yml").write_text(yaml.safe_dump(content))
    with pytest.raises(FileProblem) as problem:
        permissions.load(tmp_path / "permissions.yml")
    assert said in str(problem.value)
