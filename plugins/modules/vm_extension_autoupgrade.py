#!/usr/bin/python
# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: vm_extension_autoupgrade
version_added: "1.0.0"
short_description: Automatic upgrade of extensions, on or off, on many virtual machines and scale sets
description:
  - Switches automatic upgrade on or off for chosen extensions of virtual machines and scale sets, all at once. Each extension is enrolled
    by itself; all others, and everything else about an extension, stay as they are.
  - With automatic upgrade Azure brings new versions of an extension to machines that run, region by region and in batches of at most
    20 percent, and takes a version back where a machine is not healthy after five minutes. It never moves an extension to another major
    version; O(extensions[].type_handler_version) does, on purpose.
  - Azure does not have it for all extensions. Each is reported as V(enabled), V(disabled) or V(not_supported), as in Azure's portal. What
    is not on Microsoft's list is left alone, unless O(force) says otherwise.
  - In a scale set the model is changed. With the upgrade modes Automatic and Rolling the platform brings the change to the instances. With
    Manual nobody does, unless O(propagate) is set; the result names the instances that lag behind the model.
  - What fails with one extension is told with its name and Azure's words, and keeps neither the other extensions nor the other machines
    from being done. An extension whose provisioning has failed is changed like the others, which makes Azure run it again.
  - All settings are read back. The module only reports what it has seen.
options:
  state:
    description:
      - V(enabled) lets Azure upgrade the extensions on machines that run (C(enableAutomaticUpgrade)).
      - V(disabled) keeps them at the version that they have.
    type: str
    choices: [enabled, disabled]
    default: enabled
  extensions:
    description:
      - The extensions to work on. Each element needs at least one of C(name), C(publisher) and C(type); those that are given have to fit
        together. V(*) stands for any text and V(?) for one letter; letter case does not matter.
      - Where an extension fits several elements, the first one counts.
      - An element that fits no extension of any machine or scale set gives a warning.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The name that the extension has on its machine or scale set.
        type: str
      publisher:
        description: The publisher, for example V(Microsoft.Azure.Monitor).
        type: str
      type:
        description: The type, for example V(AzureMonitor*Agent).
        type: str
      type_handler_version:
        description:
          - Move the extension to this version, for example V(2.0). This is how an extension comes to another major version, which
            neither O(state) nor O(auto_upgrade_minor_version) ever does; major versions can break things.
          - An extension that has a newer minor version of the same major version is left at that.
        type: str
  all_supported:
    description:
      - Work on every extension that is known to support automatic upgrade, beside O(extensions). The others are shown as
        V(not_supported) and left alone.
    type: bool
    default: false
  auto_upgrade_minor_version:
    description:
      - Whether an extension that is installed or changed gets the newest minor version that there is then, in the place of the one that was
        asked for (C(autoUpgradeMinorVersion)). It does nothing to machines that nobody touches; that is what O(state) is for. Neither moves
        an extension to another major version.
      - When it is not given, the setting stays as it is.
    type: bool
  force:
    description:
      - Enable automatic upgrade as well for O(extensions) that are not on Microsoft's list, which names the popular ones only. Azure
        refuses it for those that really do not support it, and they fail with its words.
    type: bool
    default: false
  propagate:
    description:
      - Bring instances of scale sets with the upgrade mode Manual to the latest model, in batches of at most 20 percent of the instances,
        and at least one.
      - Between two batches the module waits until the instances are healthy, for up to O(health_timeout). It stops when more than
        20 percent of the instances of the scale set are unhealthy.
      - Instances get all of the latest model, also what others have changed in it before. RV(targets[].before.instances.lagging)
        names those that lag already.
      - Instances that are protected from actions of the scale set are left alone.
    type: bool
    default: false
  health_timeout:
    description:
      - How many minutes the instances of a batch have to be healthy again.
    type: float
    default: 5
  machine_ids:
    description:
      - The resource ids of the virtual machines to work on, of any subscription that the sign-in may write to.
      - Choose by O(machine_ids) and O(scale_set_ids), by O(resource_group), by O(recovery_plan), or by vault. When nothing is given, the
        machines are those that the only vault of the subscription replicates.
    type: list
    elements: str
  scale_set_ids:
    description:
      - The resource ids of the scale sets to work on.
    type: list
    elements: str
  resource_group:
    description:
      - Work on the virtual machines and the scale sets of this resource group that have the O(tags). The virtual machines of a Flexible
        scale set are reached by their scale set.
      - Together with O(vault_name) it is the resource group of the vault instead.
    type: str
  tags:
    description:
      - Only the machines and scale sets of the O(resource_group) that have all of these tags, as in the modules of C(azure.azcollection)
        that end in C(_info).
      - Each is V(name), for a tag with any value, or V(name:value).
    type: list
    elements: str
  recovery_plan:
    description:
      - Work on the machines of this recovery plan, by its name or resource id. Of each replicated item it is the machine that serves now -
        the one that it was failed over to, else its source.
      - When it is not given, and a vault is, the machines are all that the vault replicates.
    type: str
  agent_timeout:
    description:
      - How many minutes the VM agent of a machine has to become ready, where something is to be changed.
    type: float
    default: 5
  timeout:
    description:
      - How many minutes the module waits for all changes together. What Azure has begun by then goes on there.
    type: float
    default: 160
  max_failures:
    description:
      - How many machines and scale sets may fail or time out without failing the task.
    type: int
    default: 0
extends_documentation_fragment:
  - cloudops.azure_dr.azure
  - cloudops.azure_dr.vault
  - cloudops.azure_dr.journal
  - cloudops.azure_dr.attributes
author:
  - The cloudops.azure_dr authors (@cloudops)
seealso:
  - module: cloudops.azure_dr.ama_reinstall
    description: Installs extensions, and brings back those that are missing or broken.
  - name: Automatic extension upgrade
    description: What Azure does with extensions that are enrolled, and which can be.
    link: https://learn.microsoft.com/en-us/azure/virtual-machines/automatic-extension-upgrade
"""

EXAMPLES = r"""
- name: See who has automatic upgrade, who has not, and what does not support it
  cloudops.azure_dr.vm_extension_autoupgrade:
    resource_group: rg-shop-neu
    all_supported: true
  check_mode: true
  diff: true

- name: Let Azure keep the monitoring agent current, on all machines and scale sets of a group
  cloudops.azure_dr.vm_extension_autoupgrade:
    resource_group: rg-shop-neu
    tags: ["application:shop"]
    extensions:
      - publisher: Microsoft.Azure.Monitor
        type: AzureMonitor*Agent
    auto_upgrade_minor_version: true

- name: The same for one scale set, down to its instances
  cloudops.azure_dr.vm_extension_autoupgrade:
    scale_set_ids:
      - "{{ compute }}/virtualMachineScaleSets/vmss-win"
    extensions:
      - name: AzureMonitorWindowsAgent
    propagate: true
  vars:
    compute: /subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-shop-neu/providers/Microsoft.Compute

- name: Take a machine to the next major version of an extension, and let Azure go on from there
  cloudops.azure_dr.vm_extension_autoupgrade:
    machine_ids:
      - "{{ compute }}/virtualMachines/fleet-web-01"
    extensions:
      - publisher: Microsoft.ManagedServices
        type: ApplicationHealthLinux
        type_handler_version: "2.0"
  vars:
    compute: /subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-shop-neu/providers/Microsoft.Compute

- name: No upgrades of extensions on replicated machines for a while
  cloudops.azure_dr.vm_extension_autoupgrade:
    vault_name: rsv-dr-weu
    resource_group: rg-dr-weu
    all_supported: true
    state: disabled
"""

RETURN = r"""
targets:
  description: The machines and scale sets, and what became of each.
  returned: when they could be chosen
  type: list
  elements: dict
  contains:
    id:
      description: The resource id.
      type: str
      returned: always
      sample: "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-shop-neu/providers/Microsoft.Compute/\
        virtualMachineScaleSets/vmss-web"
    name:
      description: The name.
      type: str
      returned: always
      sample: vmss-web
    changed:
      description: Whether anything was changed, or would be in check mode. True as well where a change was begun and then failed.
      type: bool
      returned: always
      sample: true
    state:
      description: V(unchanged), V(changed), V(failed), V(skipped) or V(timed_out).
      type: str
      returned: always
      sample: changed
    reason:
      description: Why it failed or took too long; of each extension that failed.
      type: str
      returned: always
      sample: null
    actions:
      description: What was done, or would be done in check mode, in order.
      type: list
      elements: str
      returned: always
      sample:
        - enable automatic upgrade of extension AzureMonitorLinuxAgent
        - bring 6 of 6 instances to the latest model
    resumed:
      description:
        - What earlier runs had begun and not seen the end of, by their journals, with C(action), C(time), C(run), C(module) and C(host).
          This run went on from there, and settled it where it succeeded.
      type: list
      elements: dict
      returned: always
      sample: []
    before:
      description: How it was.
      type: dict
      returned: always
      contains: &holder
        kind:
          description: V(virtual_machine) or V(scale_set).
          type: str
          sample: scale_set
        power_state:
          description: The power state of a virtual machine.
          type: str
          returned: for virtual machines
          sample: running
        vm_agent:
          description: What the VM agent of a virtual machine displays.
          type: str
          returned: for virtual machines
          sample: Ready
        orchestration_mode:
          description: V(Uniform) or V(Flexible).
          type: str
          returned: for scale sets
          sample: Uniform
        upgrade_mode:
          description: V(Manual), V(Automatic) or V(Rolling).
          type: str
          returned: for scale sets
          sample: Manual
        extensions:
          description: The chosen extensions, of a scale set those of its model.
          type: list
          elements: dict
          contains:
            name:
              description: The name of the extension.
              type: str
              sample: AzureMonitorLinuxAgent
            publisher:
              description: Its publisher.
              type: str
              sample: Microsoft.Azure.Monitor
            type:
              description: Its type.
              type: str
              sample: AzureMonitorLinuxAgent
            status:
              description: V(enabled), V(disabled) or V(not_supported).
              type: str
              sample: enabled
            auto_upgrade_minor_version:
              description: Whether the newest minor version is taken where it is installed or changed.
              type: bool
              sample: true
            type_handler_version:
              description: The version that was asked for.
              type: str
              sample: "1.0"
            installed_version:
              description: The version that runs; of a scale set those that run on its instances.
              type: str
              sample: 1.33.1
            provision_after:
              description: The extensions behind which it is installed on a new machine.
              type: list
              elements: str
              sample: []
            provisioning_state:
              description: V(Succeeded), V(Failed) or a state under way; of a scale set V(Failed) when it failed on an instance.
              type: str
              sample: Succeeded
            message:
              description: What is wrong with it, in Azure's words; of a scale set with the instance's name.
              type: str
              sample: null
        instances:
          description: The instances of a scale set.
          type: dict
          returned: for scale sets
          contains:
            total:
              description: How many there are.
              type: int
              sample: 6
            lagging:
              description: The names of those that do not have the latest model.
              type: list
              elements: str
              sample: []
            protected:
              description: The names of those that are protected from actions of the scale set.
              type: list
              elements: str
              sample: []
            unhealthy:
              description: Those that are unhealthy, each with the reason.
              type: dict
              sample: {}
    after:
      description: How it was read at the end, or how it would be in check mode.
      type: dict
      returned: always
      contains: *holder
    started:
      description: When the module began to change it, in UTC.
      type: str
      returned: always
      sample: "2026-11-02T06:00:01Z"
    ended:
      description: When the module had seen the end of it, in UTC.
      type: str
      returned: always
      sample: "2026-11-02T06:01:09Z"
    error:
      description:
        - Azure's error - what was asked, of which resource, HTTP status, code, message, possible causes, recommended action and
          request id.
      type: dict
      returned: when it failed
statuses:
  description: How many of the chosen extensions are in which status at the end, or would be in check mode.
  returned: when the machines and scale sets could be chosen
  type: dict
  contains:
    enabled:
      description: Azure upgrades them.
      type: int
      sample: 14
    disabled:
      description: Azure could, and does not.
      type: int
      sample: 0
    not_supported:
      description: Azure is not known to have it for them.
      type: int
      sample: 3
journal:
  description: The file in O(journal_dir) that tells what was sent, on the host that ran the module.
  returned: when the machines and scale sets could be chosen; C(null) when there was nothing to send
  type: str
  sample: /home/ops/.local/state/cloudops.azure_dr/journal/20261102T051244Z-vm_extension_autoupgrade-3fa9c1.jsonl
summary:
  description: The machines and scale sets counted by state, and how long it took, in seconds.
  returned: when they could be chosen
  type: dict
  contains:
    unchanged:
      description: How many were right already.
      type: int
      sample: 4
    changed:
      description: How many were changed.
      type: int
      sample: 10
    failed:
      description: How many failed.
      type: int
      sample: 0
    skipped:
      description: How many were left alone.
      type: int
      sample: 0
    timed_out:
      description: How many were not done in time.
      type: int
      sample: 0
    minimum_duration:
      description: The shortest time that the changes can take by Azure's request limits alone.
      type: float
      sample: 0.0
    duration:
      description: How long it took.
      type: float
      sample: 71.3
    throttled_requests:
      description: How many requests Azure has throttled.
      type: int
      sample: 0
error:
  description: The error, where nothing could be worked on. Its keys are those of RV(targets[].error).
  returned: when the machines and scale sets could not be chosen
  type: dict
"""

from collections import Counter
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cloudops.azure_dr.plugins.module_utils import choice, fleet
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import credentials, session
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute import extension_upgrades, machines, rollout, scale_sets
from ansible_collections.cloudops.azure_dr.plugins.module_utils.journal import JOURNAL_ARGUMENTS, Journal


def argument_spec() -> dict[str, Any]:
    selection = {name: {"type": "str"} for name in ("name", "publisher", "type", "type_handler_version")}
    return (
        credentials.argument_spec()
        | choice.BOTH_ARGUMENTS
        | JOURNAL_ARGUMENTS
        | {
            "state": {"type": "str", "choices": ["enabled", "disabled"], "default": "enabled"},
            "extensions": {"type": "list", "elements": "dict", "default": [], "options": selection},
            "all_supported": {"type": "bool", "default": False},
            "auto_upgrade_minor_version": {"type": "bool"},
            "force": {"type": "bool", "default": False},
            "propagate": {"type": "bool", "default": False},
            "health_timeout": {"type": "float", "default": 5},
            "agent_timeout": {"type": "float", "default": 5},
            "timeout": {"type": "float", "default": 160},
            "max_failures": {"type": "int", "default": 0},
        }
    )


def check(params: dict[str, Any]) -> None:
    """Refuse what is wrong before any request."""
    choice.check(params)
    extension_upgrades.wishes(params)


async def work(module: AnsibleModule, azure: session.Azure) -> dict[str, Any]:
    params = module.params
    chosen = await choice.standing(azure, params)
    wished = extension_upgrades.wishes(params)
    known, sets = machines.Machines(azure), scale_sets.ScaleSets(azure)
    step = extension_upgrades.AutoUpgrade(azure, known, sets, wished)
    ready = machines.ReadyForExtensions(azure, known, step.busy, params["agent_timeout"] * 60)
    steps: list[fleet.Step[Any]] = [fleet.Part(ready, lambda target: not scale_sets.is_scale_set(target)), step]
    if params["propagate"]:
        patience = params["health_timeout"] * 60
        brought = rollout.Rollout(azure, sets, patience, lambda scale_set: bool(step.pending(scale_set)), step.shown)
        steps.append(fleet.Part(brought, scale_sets.is_scale_set))
    journal = Journal.open(params["journal_dir"], "vm_extension_autoupgrade", azure.cloud.resource_manager)
    report = await fleet.run(
        azure,
        chosen.targets,
        steps,
        check=module.check_mode,
        timeout=params["timeout"] * 60,
        noun="machines and scale sets",
        journal=journal,
    )
    result = report.result(params["max_failures"]) | {"journal": journal.name}
    statuses = Counter(one["status"] for row in result["targets"] for one in row["after"].get("extensions", []))
    result["statuses"] = {status: statuses[status] for status in extension_upgrades.STATUSES}
    for warning in [*journal.warnings, *extension_upgrades.warnings(result["targets"], wished, params["propagate"])]:
        module.warn(warning)
    return result


def main() -> None:
    module = AnsibleModule(argument_spec(), supports_check_mode=True, mutually_exclusive=choice.BOTH_MUTUALLY_EXCLUSIVE)
    session.main(module, lambda azure: work(module, azure), check)


if __name__ == "__main__":
    main()
