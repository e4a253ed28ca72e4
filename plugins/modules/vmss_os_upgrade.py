#!/usr/bin/python
# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: vmss_os_upgrade
version_added: "1.0.0"
short_description: Automatic OS image upgrades of scale sets, with their prerequisites checked
description:
  - Switches automatic upgrades of the OS image on or off for many scale sets at once, changes the policy by which Azure does them, and
    starts, follows or cancels an upgrade.
  - What the upgrades need is checked before anything is sent, and all that is missing is told at once, each with what to do. In check mode,
    or with O(model_file), that is a linter.
  - Of the policies only what is asked for is sent; all else keeps its value. The policy is read back.
  - The result tells for each scale set the newest version of the image in its region, the instances that are behind, the upgrade that runs,
    the last five upgrades within two months, and why the last one failed, with the way back where it was expired credentials.
options:
  state:
    description:
      - V(enabled) has Azure upgrade the OS image whenever a new version is published, batch by batch; an instance that is unhealthy
        afterwards gets back what it had.
      - V(disabled) leaves the image as it is. Instances are not touched.
      - V(started) upgrades instances that are behind now. It does nothing where all have the newest image, and an upgrade that runs already
        is followed to its end. An upgrade that is started has no automatic rollback.
      - V(cancelled) cancels the rolling upgrade that runs, of whatever kind. Instances that are upgraded by then stay so.
    type: str
    choices: [enabled, disabled, started, cancelled]
    default: enabled
  scale_set_ids:
    description:
      - The resource ids of the scale sets to work on, of any subscription that the sign-in may write to.
      - One of O(scale_set_ids), O(resource_group) and O(model_file) is needed.
    type: list
    elements: str
  resource_group:
    description:
      - Work on the scale sets of this resource group, those that have the O(tags).
    type: str
  tags:
    description:
      - Only the scale sets of the O(resource_group) that have all of these tags, as in the modules of C(azure.azcollection) that end in
        C(_info).
      - Each is V(name), for a tag with any value, or V(name:value).
    type: list
    elements: str
  model_file:
    description:
      - Check the scale sets in this file on the host that runs the module, and ask nothing of Azure; no sign-in is needed, and nothing is
        changed. A scale set with errors is failed.
      - A JSON file with one scale set as C(az resource show --ids ID) shows it, a list of resources, or an object with the list in
        C(resources). Load balancers, gallery image versions and Service Fabric clusters in the file are looked at as well.
    type: path
  disable_automatic_rollback:
    description:
      - Whether an instance that is unhealthy after an automatic upgrade keeps the new image.
    type: bool
  use_rolling_upgrade_policy:
    description:
      - Whether automatic upgrades go by the rolling upgrade policy of the scale set. Else Azure takes its default, batches of 20 percent
        and at most 20 percent unhealthy.
    type: bool
  os_rolling_upgrade_deferral:
    description:
      - Whether an upgrade is announced inside each machine, and waits until it is approved there.
    type: bool
  rolling_upgrade_policy:
    description:
      - The rolling upgrade policy of the scale set. What is not given keeps its value.
      - With the upgrade mode Rolling, changes of the model go by it, too.
    type: dict
    suboptions:
      max_batch_instance_percent:
        description: The most instances in a batch, in percent, from 5 to 100.
        type: int
      max_unhealthy_instance_percent:
        description: How many instances may be unhealthy before a batch, in percent, from 5 to 100.
        type: int
      max_unhealthy_upgraded_instance_percent:
        description: How many of the upgraded instances may be unhealthy, in percent, from 0 to 100.
        type: int
      pause_time_between_batches:
        description: The pause between two batches, as an ISO 8601 duration such as V(PT5M).
        type: str
      enable_cross_zone_upgrade:
        description: Whether a batch may have instances of several zones.
        type: bool
      prioritize_unhealthy_instances:
        description: Whether unhealthy instances are upgraded first.
        type: bool
      rollback_failed_instances_on_policy_breach:
        description: Whether the instances that failed get back what they had when too many did.
        type: bool
      max_surge:
        description: Whether new instances are made in the place of old ones, rather than old ones upgraded.
        type: bool
  fix:
    description:
      - Switch Windows Update off in the model (C(enableAutomaticUpdates)) where it is in the way, and with it the patch mode from
        C(AutomaticByOS) to C(Manual). With V(false) such a scale set is refused.
      - This is the only prerequisite that the module brings about by itself.
    type: bool
    default: false
  credentials_valid_for:
    description:
      - A shared access signature in the settings of an extension has to be valid for this many days more. An extension whose credentials
        have expired fails on a new image, and the first batch is left failed.
      - Protected settings cannot be seen, so what is in them is not checked.
    type: float
    default: 30
  propagate:
    description:
      - With V(enabled), bring the instances of scale sets with the upgrade mode Manual to the latest model, without which Azure does not
        upgrade them. It goes in batches of at most 20 percent of the instances, and at least one, waits up to O(health_timeout) for the
        health of each batch, and stops when more than 20 percent of the instances are unhealthy.
      - Instances get all of the latest model, also what others have changed in it before.
    type: bool
    default: true
  health_timeout:
    description:
      - How many minutes the instances of a batch have to be healthy again, with O(propagate).
    type: float
    default: 5
  timeout:
    description:
      - How many minutes the module waits for all scale sets together. What Azure has begun by then goes on there, and is followed when the
        module is run again.
    type: float
    default: 240
  max_failures:
    description:
      - How many scale sets may fail or time out without failing the task.
    type: int
    default: 0
extends_documentation_fragment:
  - cloudops.azure_dr.azure
  - cloudops.azure_dr.journal
  - cloudops.azure_dr.attributes
author:
  - The cloudops.azure_dr authors (@cloudops)
seealso:
  - module: cloudops.azure_dr.vm_extension_autoupgrade
    description: The same for extensions.
  - name: Automatic OS image upgrades
    description: What Azure does, and the rules that are checked here.
    link: https://learn.microsoft.com/en-us/azure/virtual-machine-scale-sets/virtual-machine-scale-sets-automatic-upgrade
"""

EXAMPLES = r"""
- name: See what is in the way of automatic upgrades, in the whole resource group
  cloudops.azure_dr.vmss_os_upgrade:
    resource_group: rg-shop-neu
    max_failures: 100
  check_mode: true
  diff: true

- name: Switch them on, and have batches of a quarter with a pause between them
  cloudops.azure_dr.vmss_os_upgrade:
    scale_set_ids:
      - "{{ compute }}/virtualMachineScaleSets/vmss-batch"
    use_rolling_upgrade_policy: true
    rolling_upgrade_policy:
      max_batch_instance_percent: 25
      pause_time_between_batches: PT5M
  vars:
    compute: /subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-shop-neu/providers/Microsoft.Compute

- name: Switch them on for Windows, where Windows Update may be in the way
  cloudops.azure_dr.vmss_os_upgrade:
    scale_set_ids:
      - "{{ compute }}/virtualMachineScaleSets/vmss-win"
    fix: true
  vars:
    compute: /subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-shop-neu/providers/Microsoft.Compute

- name: Upgrade now what is behind, and follow it
  cloudops.azure_dr.vmss_os_upgrade:
    scale_set_ids:
      - "{{ compute }}/virtualMachineScaleSets/vmss-web"
    state: started
  vars:
    compute: /subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-shop-neu/providers/Microsoft.Compute

- name: Stop whatever is being rolled out
  cloudops.azure_dr.vmss_os_upgrade:
    resource_group: rg-shop-neu
    tags: ["application:shop"]
    state: cancelled

- name: No new images for a while
  cloudops.azure_dr.vmss_os_upgrade:
    resource_group: rg-shop-neu
    state: disabled
"""

RETURN = r"""
targets:
  description: The scale sets, and what became of each.
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
      description: Why it failed or took too long; all prerequisites that are missing, each with what to do.
      type: str
      returned: always
      sample: null
    actions:
      description: What was done, or would be done in check mode, in order.
      type: list
      elements: str
      returned: always
      sample: [enable automatic OS upgrade, bring 6 of 6 instances to the latest model]
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
      contains: &scale_set
        upgrade_mode:
          description: V(Manual), V(Automatic) or V(Rolling).
          type: str
          sample: Manual
        automatic_os_upgrade_policy:
          description: The policy of automatic upgrades, by the names of the options; a switch that Azure does not show is V(false).
          type: dict
          sample:
            enable_automatic_os_upgrade: true
            disable_automatic_rollback: false
            use_rolling_upgrade_policy: false
            os_rolling_upgrade_deferral: false
        rolling_upgrade_policy:
          description: What the scale set has of O(rolling_upgrade_policy); V(null) for nothing.
          type: dict
          sample: null
        windows_automatic_updates:
          description: Whether Windows Update installs patches; V(null) where it is no Windows.
          type: bool
          sample: null
        rolling_upgrade:
          description: The upgrade that runs, as in RV(targets[].history); V(null) when none does.
          type: dict
          sample: null
        latest_image_version:
          description: The newest version of the image in the region; V(null) where that cannot be seen.
          type: str
          sample: "22.04.202610080"
        behind:
          description: The instances that run an older image, each with the version.
          type: dict
          sample: {}
        instances:
          description: How many instances there are, and the names of those that lag behind the model, are protected, or are unhealthy.
          type: dict
          returned: with O(propagate)
          sample: {total: 6, lagging: [], protected: [], unhealthy: {}}
    after:
      description: How it was read at the end, or how it would be in check mode.
      type: dict
      returned: always
      contains: *scale_set
    prerequisites:
      description: What is in the way of upgrades, or may be.
      type: list
      elements: dict
      returned: when it was read
      contains: &prerequisites
        rule:
          description: The prerequisite.
          type: str
          sample: health
        level:
          description: V(error) for what forbids upgrades, V(warning) for what may.
          type: str
          sample: error
        message:
          description: What was found.
          type: str
          sample: Nothing tells the health of its instances.
        remedy:
          description: What to do.
          type: str
          sample: Add the Application Health extension to the model, or refer to a load balancer's probe in the network profile.
        fixable:
          description: Whether O(fix) does that.
          type: bool
          sample: false
    history:
      description: The last five upgrades of the image within two months, the newest first, one that runs included.
      type: list
      elements: dict
      returned: when it was read
      contains:
        code:
          description: V(RollingForward) while it runs, V(Completed), V(Cancelled) or V(Faulted).
          type: str
          sample: Completed
        started:
          description: When it began, in UTC.
          type: str
          sample: "2026-11-02T05:12:44.1873320+00:00"
        ended:
          description: When it ended.
          type: str
          sample: "2026-11-02T05:31:10.2237512+00:00"
        started_by:
          description: V(User) or V(Platform).
          type: str
          sample: Platform
        image_version:
          description: The version of the image that it leads to.
          type: str
          sample: "22.04.202610080"
        successful:
          description: How many instances were upgraded, or were as they should be.
          type: int
          sample: 6
        failed:
          description: How many failed.
          type: int
          sample: 0
        in_progress:
          description: How many are being upgraded.
          type: int
          sample: 0
        pending:
          description: How many are still to come.
          type: int
          sample: 0
        rolled_back:
          description: How many got back what they had.
          type: int
          sample: 0
        not_rolled_back:
          description: How many could not get it back.
          type: int
          sample: 0
        error:
          description: Why it failed, with C(code) and C(message).
          type: dict
          sample: null
    latest_rolling_upgrade:
      description: The latest rolling upgrade of any kind, of the image, of extensions or of the model, as in RV(targets[].history).
      type: dict
      returned: when it was read
      sample: null
    last_failure:
      description: Why the last upgrade of the image failed; V(null) when it did not.
      type: dict
      returned: when it was read
      sample: null
      contains:
        code:
          description: The code that Azure gives.
          type: str
          sample: MaxUnhealthyUpgradedInstancePercentExceededInRollingUpgrade
        message:
          description: What Azure says.
          type: str
          sample: 100% of instances are in an unhealthy state after being upgraded.
        started:
          description: When the upgrade began.
          type: str
          sample: "2026-11-02T05:12:44.1873320+00:00"
        image_version:
          description: The version of the image that it led to.
          type: str
          sample: "22.04.202610080"
        instances:
          description: The instances that are not well now, each with the reason, such as what a failed extension says.
          type: dict
          sample: {}
        recovery:
          description: The steps to take where it failed of credentials, in their order.
          type: list
          elements: str
          sample: []
    instances:
      description: Each instance, with what the upgrade has made of it.
      type: list
      elements: dict
      returned: with O(state=started)
      contains:
        name:
          description: The name of the instance.
          type: str
          sample: vmss-web_0
        image_version_before:
          description: The version of the image that it had.
          type: str
          sample: "22.04.202609100"
        image_version:
          description: The version that it has.
          type: str
          sample: "22.04.202610080"
        upgraded:
          description: Whether that differs.
          type: bool
          sample: true
        behind:
          description: Whether there is a newer one.
          type: bool
          sample: false
        provisioning_state:
          description: Its provisioning state.
          type: str
          sample: Succeeded
        health:
          description: V(healthy), V(unhealthy) or V(unknown), V(null) where nothing tells it.
          type: str
          sample: healthy
        message:
          description: Why it is not well.
          type: str
          sample: null
    started:
      description: When the module began to change it, in UTC.
      type: str
      returned: always
      sample: "2026-11-02T06:00:01Z"
    ended:
      description: When the module had seen the end of it, in UTC.
      type: str
      returned: always
      sample: "2026-11-02T06:18:09Z"
    error:
      description:
        - Azure's error - what was asked, of which resource, HTTP status, code, message, possible causes, recommended action and
          request id.
      type: dict
      returned: when it failed
journal:
  description: The file in O(journal_dir) that tells what was sent, on the host that ran the module.
  returned: when the scale sets could be chosen; C(null) when there was nothing to send
  type: str
  sample: /home/ops/.local/state/cloudops.azure_dr/journal/20261102T051244Z-vmss_os_upgrade-3fa9c1.jsonl
summary:
  description: The scale sets counted by state, and how long it took, in seconds.
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
      sample: 2
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
      sample: 1071.3
    throttled_requests:
      description: How many requests Azure has throttled.
      type: int
      sample: 0
error:
  description: The error, where nothing could be worked on. Its keys are those of RV(targets[].error).
  returned: when the scale sets could not be chosen
  type: dict
"""

from datetime import UTC, datetime
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cloudops.azure_dr.plugins.module_utils import fleet
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import credentials, ids, session
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError
from ansible_collections.cloudops.azure_dr.plugins.module_utils.compute import os_upgrades, rollout, scale_sets
from ansible_collections.cloudops.azure_dr.plugins.module_utils.journal import JOURNAL_ARGUMENTS, Journal


def argument_spec() -> dict[str, Any]:
    rolling: dict[str, Any] = {name: {"type": "int"} for name in os_upgrades.LEAST}
    rolling |= {name: {"type": "str" if name == os_upgrades.PAUSE else "bool"} for name in os_upgrades.ROLLING if name not in rolling}
    return (
        credentials.argument_spec()
        | JOURNAL_ARGUMENTS
        | {name: {"type": "bool"} for name in os_upgrades.AUTOMATIC}
        | {
            "state": {"type": "str", "choices": ["enabled", "disabled", "started", "cancelled"], "default": "enabled"},
            "scale_set_ids": {"type": "list", "elements": "str"},
            "resource_group": {"type": "str"},
            "tags": {"type": "list", "elements": "str"},
            "model_file": {"type": "path"},
            "rolling_upgrade_policy": {"type": "dict", "options": rolling},
            "fix": {"type": "bool", "default": False},
            "credentials_valid_for": {"type": "float", "default": 30},
            "propagate": {"type": "bool", "default": True},
            "health_timeout": {"type": "float", "default": 5},
            "timeout": {"type": "float", "default": 240},
            "max_failures": {"type": "int", "default": 0},
        }
    )


async def work(module: AnsibleModule, azure: session.Azure) -> dict[str, Any]:
    params = module.params
    targets = await os_upgrades.chosen(azure, params)
    sets = scale_sets.ScaleSets(azure)
    reader = os_upgrades.Reader(azure, sets, params["credentials_valid_for"])
    journal = Journal.open(params["journal_dir"], "vmss_os_upgrade", azure.cloud.resource_manager)
    report = await fleet.run(
        azure,
        targets,
        steps(azure, sets, reader, params),
        check=module.check_mode,
        timeout=params["timeout"] * 60,
        noun="scale sets",
        journal=journal,
    )
    result = report.result(params["max_failures"]) | {"journal": journal.name}
    for row in result["targets"]:
        first, last = reader.known.get(ids.key(row["id"]), (None, None))
        if first and last:
            row |= last.told()
            row |= {"instances": os_upgrades.instances_of(first, last)} if params["state"] == "started" else {}
    if params["state"] == "started" and result["changed"]:
        module.warn(os_upgrades.NO_ROLLBACK)
    unseen = [last.scale_set.name for _first, last in reader.known.values() if not last.newest]
    if unseen:
        module.warn(f"Which version of their image is the newest could not be seen, nor which instances are behind: {', '.join(unseen)}.")
    for warning in journal.warnings:
        module.warn(warning)
    return result


def steps(azure: session.Azure, sets: scale_sets.ScaleSets, reader: os_upgrades.Reader, params: dict[str, Any]) -> list[fleet.Step[Any]]:
    """What is done in which state."""
    if params["state"] == "started":
        return [os_upgrades.Start(azure, reader)]
    if params["state"] == "cancelled":
        return [os_upgrades.Cancel(azure, reader)]
    policy = os_upgrades.Policy.asked(params)
    found: list[fleet.Step[Any]] = [os_upgrades.SetPolicy(azure, reader, policy)]
    if policy.enabled and params["propagate"]:
        found.append(rollout.Rollout(azure, sets, params["health_timeout"] * 60, policy.pending))
    return found


def lint(params: dict[str, Any]) -> dict[str, Any]:
    """What is in the way of upgrades of the scale sets in model_file. Raises InputError."""
    os_upgrades.check_input(params)
    report, findings = os_upgrades.lint(params, datetime.now(UTC))
    result = report.result(params["max_failures"])
    del result["diff"]
    for row in result["targets"]:
        row["prerequisites"] = [one.view() for one in findings[row["id"]]]
    return result


def main() -> None:
    places = ["scale_set_ids", "resource_group", "model_file"]
    module = AnsibleModule(argument_spec(), supports_check_mode=True, required_one_of=[places], mutually_exclusive=[places])
    if not module.params["model_file"]:
        session.main(module, lambda azure: work(module, azure), os_upgrades.check_input)
        return
    try:
        result = lint(module.params)
    except AzureDRError as error:
        module.fail_json(msg=str(error), error=error.as_dict())
    module.exit_json(**result)


if __name__ == "__main__":
    main()
