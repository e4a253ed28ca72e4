#!/usr/bin/python
# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bring the Azure Monitor Agent, its associations and other extensions back to virtual machines."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ama_reinstall
short_description: Bring the Azure Monitor Agent, its data collection rules and other extensions back to virtual machines
version_added: 1.0.0
description:
  - A virtual machine that Azure Site Recovery has failed over is a new resource. It comes up without extensions, and
    nothing is associated with it, so it collects nothing and raises no alert. This module gives it back the Azure
    Monitor Agent, the associations with data collection rules and with the data collection endpoint of its region, and
    any other extension.
  - It works on all machines at once, each in its own order - it waits until the VM agent is ready, brings the
    extensions to their state one after the other, then associates the rules and the endpoint, and reads each of them
    back.
  - The agent is known by its publisher and type, whatever the extension is called, and its name is kept. One that is
    missing is installed. One that failed, or that does not respond, is removed and installed. One that is healthy is
    left alone, and updated only where it differs from what is asked. One that somebody is installing is waited for, and
    judged then.
  - Windows machines get C(AzureMonitorWindowsAgent), Linux machines C(AzureMonitorLinuxAgent). The one for the other
    operating system is removed where it is found, since it can never run.
  - The older Log Analytics agents (C(MicrosoftMonitoringAgent), C(OmsAgentForLinux)) are reported and left alone.
  - What fails on one machine is told with the machine's name and Azure's words, and does not keep the other machines
    from being done.
options:
  state:
    description:
      - V(present) brings the agent, the associations and the extensions back.
      - V(absent) removes the agent, all O(extensions), and the associations with the given rules and endpoints, by
        whatever name.
    type: str
    choices: [present, absent]
    default: present
  machine_ids:
    description:
      - The resource ids of the virtual machines to work on, of any subscription that the sign-in may write to.
      - Choose machines with this option, with O(resource_group), or with O(recovery_plan). When none of them is given,
        the machines are those that the only recovery plan of the only vault has failed over.
    type: list
    elements: str
  resource_group:
    description:
      - Work on the virtual machines of this resource group that have the O(tags).
      - Together with O(vault_name) it is the resource group of the vault instead, and machines are chosen by recovery
        plan.
    type: str
  tags:
    description:
      - Only the machines of the O(resource_group) that have all of these tags, as in the modules of
        C(azure.azcollection) that end in C(_info).
      - Each is V(name), for a tag with any value, or V(name:value).
    type: list
    elements: str
  recovery_plan:
    description:
      - The name or resource id of a recovery plan. Work on the machines that it has failed over, and that its test
        failover has made until that is cleaned up.
      - Needs to be given only when the vault has more than one.
    type: str
  name:
    description:
      - The name of the agent's extension where it is installed and was not there before.
      - When it is not given, the name is the agent's type.
    type: str
  type_handler_version:
    description:
      - The version of the agent, as V(major.minor).
      - When it is not given, an agent that is there keeps the version that it was asked for in, and a new one gets
        C(1.0), which O(auto_upgrade_minor_version) turns into the newest.
    type: str
  auto_upgrade_minor_version:
    description: Whether the newest minor version is taken whenever the agent is installed or updated.
    type: bool
    default: true
  enable_automatic_upgrade:
    description:
      - Whether Azure keeps the agent up to date by itself.
      - It is always sent, so that the outcome does not depend on Azure's default, which changed from V(false) to
        V(true) with Compute API 2025-04-01.
    type: bool
    default: true
  settings:
    description:
      - The public settings of the agent, all of them.
      - When they are not given, the settings of the agent that is there, also of one that is removed and installed
        again, are kept.
    type: dict
  protected_settings:
    description:
      - The protected settings of the agent, such as the credentials of a proxy. They appear in no result, log,
        difference or journal.
      - Azure never gives them back, so they cannot be compared, and a difference in them alone changes nothing. They
        are sent whenever the agent is installed or updated; O(reinstall=always) sends them for certain.
    type: dict
  user_assigned_identity_id:
    description:
      - The resource id of the user-assigned managed identity that the agent signs in with. It is put into its settings.
      - A machine to which it is not assigned is not touched and reported as failed, unless O(assign_identity) has it assigned.
      - When it is not given, the agent takes the identity of the machine. The agent needs one; machines that have none
        are named in a warning.
    type: str
  assign_identity:
    description:
      - Whether O(user_assigned_identity_id) is assigned to machines that do not have it; where that is not given, machines
        without any identity get a system-assigned one. Other identities of a machine stay.
      - A failover does not take the identities of a machine along, and without one its agent sends nothing.
      - Needs the role Managed Identity Operator on the identity.
    type: bool
    default: false
  reinstall:
    description:
      - V(when_unhealthy) removes and installs only an agent that failed or does not respond.
      - V(always) does so with a healthy one too, in every run.
    type: str
    choices: [when_unhealthy, always]
    default: when_unhealthy
  extensions:
    description:
      - Other extensions to bring back, such as the Dependency agent, an antimalware agent or a custom script. They are
        treated as the agent is.
    type: list
    elements: dict
    default: []
    suboptions:
      publisher:
        description: The publisher of the extension.
        type: str
        required: true
      type:
        description:
          - The type of the extension. With the publisher it says which extension is meant, whatever it is called on a
            machine.
        type: str
        required: true
      name:
        description: The name to install it under. The type by default.
        type: str
      type_handler_version:
        description:
          - The version, as V('major.minor'). Needed unless the extension is to be absent.
          - Put it in quotes; without them YAML reads V(9.10) as the number 9.1.
        type: str
      os_type:
        description: The operating system of the machines that it is for.
        type: str
        choices: [windows, linux, any]
        default: any
      state:
        description: Whether it is to be there. O(state=absent) makes all of them absent.
        type: str
        choices: [present, absent]
        default: present
      auto_upgrade_minor_version:
        description:
          - As for the agent. When it is not given, an extension that is there keeps what it has, and a new one gets
            V(true).
        type: bool
      enable_automatic_upgrade:
        description:
          - As for the agent. Publishers have to support it.
          - When it is not given, an extension that is there keeps what it has, and a new one gets V(false).
        type: bool
      settings:
        description: The public settings, all of them. When they are not given, those that are there are kept.
        type: dict
      protected_settings:
        description: As for the agent. They are sent whenever the extension is installed or updated, and never compared.
        type: dict
      reinstall:
        description: As for the agent. V(always) runs a custom script again in every run.
        type: str
        choices: [when_unhealthy, always]
        default: when_unhealthy
  data_collection_rules:
    description:
      - The data collection rules to associate the machines with. All of them have to exist, otherwise nothing is
        changed anywhere.
      - A machine that is associated with a rule already is left as it is, whatever the association is called.
    type: list
    elements: dict
    default: []
    suboptions:
      id:
        description: The resource id of the rule.
        type: str
        required: true
      os_type:
        description:
          - The operating system of the machines that it is for.
          - When it is not given, a rule of kind Windows or Linux is for machines of that system, and one without a kind
            for all.
        type: str
        choices: [windows, linux, any]
      association_name:
        description:
          - The name of this rule's associations, with the placeholders of O(association_name), which is the default.
        type: str
  association_name:
    description:
      - The name of new associations with rules. C({rule}), C({rule_resource_group}), C({machine}) and C({os_type})
        stand for the rule's name and resource group, and the machine's name and operating system.
      - An association of this name with another rule is pointed at the new one; its description is kept.
    type: str
    default: dcra-{rule}
  data_collection_endpoint_ids:
    description:
      - The resource ids of data collection endpoints, at most one a region. Each machine is associated with the one of
        its own region, since an agent can take its configuration only from there. So the same list serves both sides of
        a failover.
      - A machine in a region for which there is none is not touched and reported as failed.
      - Endpoints are needed only with private links, and for some kinds of data.
    type: list
    elements: str
    default: []
  agent_timeout:
    description:
      - How many minutes the VM agent of a machine may take to become ready. After a failover it usually takes a few.
    type: int
    default: 20
  timeout:
    description:
      - How many minutes the whole run may take. A machine that is not done by then is reported as timed out; what Azure
        has begun goes on there.
    type: int
    default: 120
  max_failures:
    description: How many machines may fail or time out without the task failing.
    type: int
    default: 0
attributes:
  idempotent:
    support: partial
    description:
      - When run again with the same options, changes nothing; with O(reinstall=always) it reinstalls in every run.
notes:
  - A machine that is not running is reported as failed, since its extensions can be neither judged nor changed.
  - Another writer on the same machine, such as Azure Policy, is waited out. The wait counts towards O(timeout).
  - Azure lets one extension be written at a time on a machine, and a subscription change 10 resources a second after a
    start of 200. The result's RV(summary.minimum_duration) tells what that means for the machines chosen.
  - The sign-in needs the roles Virtual Machine Contributor on the machines and Monitoring Contributor on machines,
    rules and endpoints; in addition Site Recovery Reader on the vault for O(recovery_plan).
seealso:
  - module: cloudops.azure_dr.asr_failover
  - name: Azure Monitor Agent requirements
    description: What the agent needs of a machine.
    link: https://learn.microsoft.com/en-us/azure/azure-monitor/agents/azure-monitor-agent-requirements
extends_documentation_fragment:
  - cloudops.azure_dr.azure
  - cloudops.azure_dr.vault
  - cloudops.azure_dr.journal
  - cloudops.azure_dr.attributes
author:
  - The cloudops.azure_dr authors (@cloudops)
"""

EXAMPLES = r"""
- name: Monitor what the recovery plan has failed over, in a drill and in earnest
  cloudops.azure_dr.ama_reinstall:
    vault_name: rsv-dr-weu
    resource_group: rg-dr-weu
    recovery_plan: shop
    data_collection_rules:
      - id: "{{ insights }}/dataCollectionRules/dcr-shop-windows"
      - id: "{{ insights }}/dataCollectionRules/dcr-shop-linux"
    data_collection_endpoint_ids:
      - "{{ insights }}/dataCollectionEndpoints/dce-weu"
  vars:
    insights: /subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-monitor-weu/providers/Microsoft.Insights

- name: See what that would change, the vault and the plan being the only ones
  cloudops.azure_dr.ama_reinstall:
  check_mode: true
  diff: true

- name: Give the web servers of a resource group the agent, signing in with a user-assigned identity
  cloudops.azure_dr.ama_reinstall:
    resource_group: rg-shop-neu
    tags:
      - application:shop
      - tier:web
    user_assigned_identity_id: "{{ monitoring }}/Microsoft.ManagedIdentity/userAssignedIdentities/id-shop-monitoring"
  vars:
    monitoring: /subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-monitor-weu/providers

- name: Bring back the Dependency agent and run a script as well
  cloudops.azure_dr.ama_reinstall:
    machine_ids:
      - "{{ compute }}/virtualMachines/shop-web-01"
    extensions:
      - publisher: Microsoft.Azure.Monitoring.DependencyAgent
        type: DependencyAgentLinux
        type_handler_version: "9.10"
        os_type: linux
        enable_automatic_upgrade: true
        settings:
          enableAMA: "true"
      - name: shop-settings
        publisher: Microsoft.Azure.Extensions
        type: CustomScript
        type_handler_version: "2.1"
        os_type: linux
        protected_settings:
          commandToExecute: "/opt/shop/bin/configure --key {{ lookup('ansible.builtin.env', 'SHOP_KEY') }}"
  vars:
    compute: /subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-shop-neu/providers/Microsoft.Compute

- name: Install the agent anew even where it is healthy, and keep the journal, with what was removed, beside the evidence
  cloudops.azure_dr.ama_reinstall:
    resource_group: rg-shop-weu
    reinstall: always
    journal_dir: evidence/journal

- name: Take the agent and its rule off again
  cloudops.azure_dr.ama_reinstall:
    state: absent
    resource_group: rg-shop-weu
    data_collection_rules:
      - id: "{{ insights }}/dataCollectionRules/dcr-shop-windows"
  vars:
    insights: /subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-monitor-weu/providers/Microsoft.Insights
"""

RETURN = r"""
targets:
  description: The machines, and what became of each.
  returned: when the machines could be chosen
  type: list
  elements: dict
  contains:
    id:
      description: The machine's resource id.
      type: str
      returned: always
      sample: "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-shop-weu/providers/Microsoft.Compute/\
        virtualMachines/shop-web-01"
    name:
      description: The machine's name.
      type: str
      returned: always
      sample: shop-web-01
    changed:
      description: Whether anything was changed on it, or would be in check mode. True as well where a change was begun and then failed.
      type: bool
      returned: always
    state:
      description: V(unchanged), V(changed), V(failed), V(skipped) or V(timed_out).
      type: str
      returned: always
      sample: changed
    reason:
      description: Why it failed or took too long.
      type: str
      returned: always
      sample: null
    actions:
      description: What was done, or would be done in check mode, in order.
      type: list
      elements: str
      returned: always
      sample:
        - wait for the VM agent
        - install extension AzureMonitorLinuxAgent
        - associate dcr-shop-linux
        - associate dce-weu
    resumed:
      description:
        - What earlier runs had begun on it and not seen the end of, by their journals, with C(action), C(time), C(run), C(module) and
          C(host). This run went on from there, and settled it where it succeeded.
      type: list
      elements: dict
      returned: always
      sample: []
    before:
      description: The machine as it was found.
      type: dict
      returned: always
      contains: &view
        power_state:
          description: The power state, such as V(running) or V(deallocated).
          type: str
          returned: when the machine could be read
          sample: running
        vm_agent:
          description: What the VM agent reports, such as V(Ready); V(none) before its first report.
          type: str
          returned: when the machine could be read
          sample: Ready
        identity:
          description: The machine's managed identities, with the keys C(type) and C(user_assigned).
          type: dict
          returned: when the machine could be read and O(state=present)
          sample:
            type: SystemAssigned
            user_assigned: []
        agent:
          description: The monitoring agent for the machine's operating system, V(none) where there is none.
          type: dict
          returned: when the machine could be read
          sample:
            name: AzureMonitorLinuxAgent
            publisher: Microsoft.Azure.Monitor
            type: AzureMonitorLinuxAgent
            type_handler_version: "1.0"
            installed_version: 1.0.0.0
            auto_upgrade_minor_version: true
            enable_automatic_upgrade: true
            settings: {}
            provisioning_state: Succeeded
            status: Ready
            message: null
        extensions:
          description: The other extensions asked for, each in the same form.
          type: list
          elements: dict
          returned: when the machine could be read
          sample: []
        legacy_agents:
          description: The names of Log Analytics agents on the machine.
          type: list
          elements: str
          returned: when the machine could be read
          sample: []
        associations:
          description: The machine's associations; empty where neither rules nor endpoints were given.
          type: list
          elements: dict
          returned: when the machine could be read
          sample:
            - name: dcra-dcr-shop-linux
              data_collection_rule_id: "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-monitor-weu/\
                providers/Microsoft.Insights/dataCollectionRules/dcr-shop-linux"
              data_collection_endpoint_id: null
    after:
      description: The machine as it was read back, or as it would be in check mode.
      type: dict
      returned: always
      contains: *view
    started:
      description: When the work on it began, V(none) where there was nothing to do.
      type: str
      returned: always
      sample: "2026-11-02T05:12:44Z"
    ended:
      description: When the work on it ended.
      type: str
      returned: always
      sample: "2026-11-02T05:16:02Z"
    error:
      description:
        - Azure's error - what was asked, of which resource, HTTP status, code, message, possible causes, recommended action and
          request id.
      type: dict
      returned: when it failed
summary:
  description: The machines counted by state, and how long it took, in seconds.
  returned: when the machines could be chosen
  type: dict
  contains:
    unchanged:
      description: How many were right already.
      type: int
      returned: always
    changed:
      description: How many were changed.
      type: int
      returned: always
      sample: 13
    failed:
      description: How many failed.
      type: int
      returned: always
    skipped:
      description: How many were left alone.
      type: int
      returned: always
    timed_out:
      description: How many were not done in time.
      type: int
      returned: always
    minimum_duration:
      description: The shortest time that the changes can take by Azure's request limits alone.
      type: float
      returned: always
      sample: 0.0
    duration:
      description: How long it took.
      type: float
      returned: always
      sample: 198.4
    throttled_requests:
      description: How many requests Azure has throttled.
      type: int
      returned: always
      sample: 0
journal:
  description: The file in O(journal_dir) that tells what was sent and what was removed, on the host that ran the module.
  returned: when the machines could be chosen; C(null) when there was nothing to send
  type: str
  sample: /home/ops/.local/state/cloudops.azure_dr/journal/20261102T051244Z-ama_reinstall-3fa9c1.jsonl
error:
  description: The error, where no machine could be worked on. Its keys are those of RV(targets[].error).
  returned: when the machines could not be chosen, or a rule or endpoint is not there
  type: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cloudops.azure_dr.plugins.module_utils import fleet
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import credentials, ids, session
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError, InputError
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute import extensions, machines
from ansible_collections.cloudops.azure_dr.plugins.module_utils.journal import JOURNAL_ARGUMENTS, Journal
from ansible_collections.cloudops.azure_dr.plugins.module_utils.monitor import associations
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery import recovery_plans, vault

IDENTITY = "Microsoft.ManagedIdentity/userAssignedIdentities"
AGENT_OPTIONS = (
    "name",
    "type_handler_version",
    "auto_upgrade_minor_version",
    "enable_automatic_upgrade",
    "settings",
    "protected_settings",
    "reinstall",
)


def argument_spec() -> dict[str, Any]:
    reinstall = {"type": "str", "choices": ["when_unhealthy", "always"], "default": "when_unhealthy"}
    state = {"type": "str", "choices": ["present", "absent"], "default": "present"}
    systems = {"type": "str", "choices": ["windows", "linux", "any"]}
    extension = {
        "publisher": {"type": "str", "required": True},
        "type": {"type": "str", "required": True},
        "name": {"type": "str"},
        "type_handler_version": {"type": "str"},
        "os_type": systems | {"default": "any"},
        "state": state,
        "auto_upgrade_minor_version": {"type": "bool"},
        "enable_automatic_upgrade": {"type": "bool"},
        "settings": {"type": "dict"},
        "protected_settings": {"type": "dict", "no_log": True},
        "reinstall": reinstall,
    }
    rule = {"id": {"type": "str", "required": True}, "os_type": systems, "association_name": {"type": "str"}}
    return (
        credentials.argument_spec()
        | vault.VAULT_ARGUMENTS
        | JOURNAL_ARGUMENTS
        | {
            "state": state,
            "machine_ids": {"type": "list", "elements": "str"},
            "tags": {"type": "list", "elements": "str"},
            "recovery_plan": {"type": "str"},
            "name": {"type": "str"},
            "type_handler_version": {"type": "str"},
            "auto_upgrade_minor_version": {"type": "bool", "default": True},
            "enable_automatic_upgrade": {"type": "bool", "default": True},
            "settings": {"type": "dict"},
            "protected_settings": {"type": "dict", "no_log": True},
            "user_assigned_identity_id": {"type": "str"},
            "assign_identity": {"type": "bool", "default": False},
            "reinstall": reinstall,
            "extensions": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": extension,
                "required_if": [("state", "present", ["type_handler_version"])],
            },
            "data_collection_rules": {"type": "list", "elements": "dict", "default": [], "options": rule},
            "association_name": {"type": "str", "default": associations.PATTERN},
            "data_collection_endpoint_ids": {"type": "list", "elements": "str", "default": []},
            "agent_timeout": {"type": "int", "default": 20},
            "timeout": {"type": "int", "default": 120},
            "max_failures": {"type": "int", "default": 0},
        }
    )


def check(params: dict[str, Any]) -> None:
    """Refuse what is wrong before any request."""
    if params["machine_ids"]:
        machines.of_ids(params["machine_ids"])
    if params["user_assigned_identity_id"]:
        ids.require("user_assigned_identity_id", params["user_assigned_identity_id"], IDENTITY)
    if params["tags"] and not by_group(params):
        raise InputError("tags", params["tags"], "to be given with resource_group, whose machines they choose from")
    vault.check_input(params)
    extensions.others(params["extensions"], params["state"])
    associations.rules(params["data_collection_rules"], params["association_name"])
    associations.endpoints(params["data_collection_endpoint_ids"])


def by_group(params: dict[str, Any]) -> bool:
    """Whether machines are chosen by resource group; with a vault or a plan that is the vault's group."""
    return bool(params["resource_group"]) and not any(params[name] for name in ("machine_ids", "recovery_plan", "vault_id", "vault_name"))


async def choose(azure: session.Azure, params: dict[str, Any]) -> list[fleet.Target]:
    """The machines to work on, in the one of three ways that the options name. Raises AzureDRError when there are none."""
    if params["machine_ids"] is not None:
        found, place = machines.of_ids(params["machine_ids"]), "machine_ids"
    elif by_group(params):
        found = await machines.of_group(azure, params["resource_group"], params["tags"] or [])
        place = f"resource group {params['resource_group']}" + (f" with the tags {', '.join(params['tags'])}" if params["tags"] else "")
    else:
        chosen = await vault.find(azure, params)
        plan = await recovery_plans.plan(azure, chosen, params["recovery_plan"])
        failed_over = await recovery_plans.failed_over_machines(azure, chosen, plan)
        found = machines.of_ids(machine.id for machine in failed_over)
        place = f"recovery plan {plan.name}: none of its machines is failed over"
    if not found:
        raise AzureDRError(f"There is no virtual machine to work on in {place}.")
    return found


async def restore(azure: session.Azure, module: AnsibleModule) -> dict[str, Any]:
    """The module's work: choose the machines, then bring each to the state asked for."""
    params, state = module.params, module.params["state"]
    targets = await choose(azure, params)
    rules = associations.rules(params["data_collection_rules"], params["association_name"])
    endpoints = associations.endpoints(params["data_collection_endpoint_ids"])
    if state == "present":
        rules, endpoints = await associations.existing(azure, rules, endpoints)
    known = machines.Machines(azure)
    journal = Journal.open(params["journal_dir"], "ama_reinstall", azure.cloud.resource_manager)
    wanted = extensions.agents(state, identity=params["user_assigned_identity_id"], **{name: params[name] for name in AGENT_OPTIONS})
    wanted += extensions.others(params["extensions"], state)
    step = extensions.Extensions(azure, known, extensions.by_system(wanted), journal)

    def place(target: fleet.Target) -> associations.Place:
        machine = known.known[ids.key(target.id)]
        return associations.Place(machine.location, machine.os_type)

    identities = [params["user_assigned_identity_id"]] if params["user_assigned_identity_id"] else []
    steps: list[fleet.Step[Any]] = [
        machines.ReadyForExtensions(azure, known, step.chosen, params["agent_timeout"] * 60),
        step,
        associations.Associations(azure, state, rules, endpoints, place),
    ]
    if state == "present":
        steps.insert(1, machines.Identified(azure, known, lambda machine: identities, params["assign_identity"]))
    report = await fleet.run(
        azure, targets, steps, check=module.check_mode, timeout=params["timeout"] * 60, noun="machines", journal=journal
    )
    for warning in [*journal.warnings, *given_back(step)]:
        module.warn(warning)
    if state == "present":
        warn(module, list(known.known.values()))
    return report.result(params["max_failures"]) | {"journal": journal.name}


def given_back(step: extensions.Extensions) -> list[str]:
    """The warning about what may be missing on machines that an interrupted run had left without an extension."""
    named = "; ".join(f"{machine}: {', '.join(names)}" for machine, names in sorted(step.given_back.items()))
    told = (
        "These extensions were installed as they were before an interrupted run removed them, but without protected settings, which Azure "
        f"never gives back. If they had some, give them and install them again with reinstall set to always: {named}."
    )
    return [told] if named else []


def warn(module: AnsibleModule, found: list[machines.Machine]) -> None:
    """Name the machines that monitoring has a problem with that is not for this module to solve."""
    lonely = [machine.name for machine in found if not machine.has_identity]
    if lonely:
        module.warn(
            "These machines have no managed identity, and without one the agent sends nothing (a failover does not take a "
            f"machine's identity along; assign_identity gives them one): {', '.join(sorted(lonely))}."
        )
    legacy = [machine.name for machine in found if extensions.legacy_agents(machine)]
    if legacy:
        module.warn(f"These machines have a Log Analytics agent, which was retired: {', '.join(sorted(legacy))}.")


def main() -> None:
    module = AnsibleModule(
        argument_spec(),
        supports_check_mode=True,
        mutually_exclusive=[("machine_ids", name) for name in ("resource_group", "recovery_plan", "vault_id", "vault_name")],
    )
    session.main(module, lambda azure: restore(azure, module), check)


if __name__ == "__main__":
    main()
