#!/usr/bin/python
# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: asr_failover
version_added: "1.0.0"
short_description: Fail over a recovery plan or chosen machines with Azure Site Recovery, for a drill or for real
description:
  - Runs a test failover, cleans up after it, fails over for real, commits or cancels a failover - of a recovery plan, or of chosen
    replicated items.
  - "The way through a drill is V(test), then V(test_cleanup). The way through a disaster is V(unplanned), then V(commit)."
  - Looks first. What is done already is left alone; a job of the same action that runs already, or that another run began at the same
    moment, is followed instead of started again; a clean-up that runs is waited for before a failover; what Site Recovery does not offer
    now is refused, with the state, what it offers, and the way on.
  - Follows the job to its end and shows on the way which group of the plan is at work and what waits for a manual action. Then it reads
    the machines again, and reports only what it has seen. A machine that failed is named with the error, its causes and the recommended
    action, also where the job as a whole counts as a success.
  - Gives back the recovery time that was achieved, by the clock of Site Recovery.
options:
  action:
    description:
      - V(test) makes a copy of each machine in a test network. Production and replication go on untouched.
      - V(test_cleanup) removes these copies again.
      - V(unplanned) fails over to the recovery region. Needs O(confirm).
      - V(commit) makes the failover final, after which no other recovery point can be chosen. Needs O(confirm).
      - V(cancel) stops a test failover or failover that is running, or takes back a failover that is not committed where Site Recovery
        offers that. Machines whose real failover is stopped on its way are not replicated again by themselves. Needs O(confirm).
    type: str
    required: true
    choices: [test, test_cleanup, unplanned, commit, cancel]
  recovery_plan:
    description:
      - The recovery plan, by name or resource id.
      - With neither O(recovery_plan) nor O(replicated_items) it is the only recovery plan of the vault; where there are several, the module
        fails and names them.
    type: str
  replicated_items:
    description:
      - Single machines instead of a plan, each by its name, the name or id of its replicated item, or the id of the virtual machine. All at
        once; groups of a plan, and their order, play no part.
    type: list
    elements: str
  confirm:
    description:
      - The name of what is failed over - the name of the recovery plan; for one replicated item the name of the machine, for several the
        name of the vault. It must be exactly the same.
      - Without it O(action=unplanned), O(action=commit) and O(action=cancel) are refused before anything is sent. In check mode it may be
        left out.
    type: str
  recovery_point:
    description:
      - The state of the machines to recover to, for O(action=test) and O(action=unplanned).
      - V(latest) loses the least data. Site Recovery first processes all that has arrived, so it takes longest.
      - V(latest_processed) recovers fastest.
      - V(latest_crash_consistent) is the newest point that is like a power failure, V(latest_application_consistent) the newest for which
        the applications wrote out their data.
      - For a single replicated item also the resource id of one of its recovery points.
    type: str
    default: latest
  test_network_id:
    description:
      - The resource id of the virtual network into which O(action=test) puts the machines, or V(none) to attach them to no network.
      - When it is not given, it is the test network that is set on all the machines; where none is set, their recovery network, with a
        warning, since there a copy can meet production.
      - Where the machines are set to several networks, it must be given.
    type: str
  shutdown_source:
    description:
      - Whether O(action=unplanned) shuts down the machines in the primary region first. That keeps two copies from running side by side and
        saves the last changes; Site Recovery goes on when it does not succeed.
      - Set it to V(false) when the primary region is gone, to not wait for machines that cannot answer.
    type: bool
    default: true
  max_test_age:
    description:
      - For how many hours a successful test failover counts as done. O(action=test) then leaves machines alone whose last successful one
        is not older, so that a drill that is started twice does not run twice.
      - With V(0) a test failover is run whenever it is asked for.
    type: float
    default: 0
  comments:
    description:
      - What the drill showed; Site Recovery keeps it with the job of O(action=test_cleanup).
    type: str
    default: ""
  timeout:
    description:
      - How many minutes the module waits. What Azure has begun by then goes on there; the module run again follows it.
    type: float
    default: 240
  max_failures:
    description:
      - How many machines may fail or time out without failing the task.
    type: int
    default: 0
extends_documentation_fragment:
  - cloudops.azure_dr.azure
  - cloudops.azure_dr.vault
  - cloudops.azure_dr.journal
  - cloudops.azure_dr.attributes
notes:
  - A task that was interrupted is simply run again. It follows the job that it had started, or sees that it has ended.
  - A job that is followed counts as a change, since it ends during this task.
  - A recovery plan can wait for a person. The module then shows the instructions of the manual action and goes on when somebody resumes the
    job, in the portal or by another client.
  - After O(action=commit) the machines run in the recovery region unprotected, until they are reprotected.
author:
  - The cloudops.azure_dr authors (@cloudops)
seealso:
  - module: cloudops.azure_dr.asr_vault_info
    description: Shows whether the machines are ready for a failover, and the jobs of the vault.
  - module: cloudops.azure_dr.ama_reinstall
    description: Gives the machines that were failed over their monitoring back.
"""

EXAMPLES = r"""
- name: Drill - fail over into an isolated network
  cloudops.azure_dr.asr_failover:
    action: test
    resource_group: rg-dr-weu
    vault_name: rsv-dr-weu
    recovery_plan: shop
  register: drill

- name: Drill - show how long the recovery took
  ansible.builtin.debug:
    msg: "{{ drill.summary.changed }} machines recovered in {{ drill.rto_seconds }} seconds"

- name: Drill - clean up
  cloudops.azure_dr.asr_failover:
    action: test_cleanup
    resource_group: rg-dr-weu
    vault_name: rsv-dr-weu
    recovery_plan: shop
    comments: All services answered.

- name: See what a failover would do, and whether Site Recovery would allow it
  cloudops.azure_dr.asr_failover:
    action: unplanned
    recovery_plan: shop
  check_mode: true
  diff: true

- name: Fail over two machines only, to the recovery point that is ready
  cloudops.azure_dr.asr_failover:
    action: unplanned
    resource_group: rg-dr-weu
    vault_name: rsv-dr-weu
    replicated_items: [shop-web-01, shop-web-02]
    recovery_point: latest_processed
    confirm: rsv-dr-weu

- name: North Europe is gone - fail over, without waiting for machines that cannot answer
  cloudops.azure_dr.asr_failover:
    action: unplanned
    resource_group: rg-dr-weu
    vault_name: rsv-dr-weu
    recovery_plan: shop
    confirm: shop
    shutdown_source: false

- name: Make the failover final
  cloudops.azure_dr.asr_failover:
    action: commit
    resource_group: rg-dr-weu
    vault_name: rsv-dr-weu
    recovery_plan: shop
    confirm: shop
"""

RETURN = r"""
vault_id:
  description: The resource id of the vault.
  returned: when the vault was found
  type: str
  sample: "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-dr-weu/providers/Microsoft.RecoveryServices/vaults/\
    rsv-dr-weu"
action:
  description: The action.
  returned: when the machines were found
  type: str
  sample: unplanned
rto_seconds:
  description:
    - The recovery time - from the start of the job until the last machine was started, by the clock of Site Recovery.
    - Also that of a failover which an earlier run began, or somebody else, and which is not committed yet; and of a test failover that
      is not cleaned up yet.
    - C(null) when no machine was recovered, or not all were.
  returned: when the machines were found
  type: float
  sample: 412.6
targets:
  description: The machines, each with what became of it.
  returned: when the machines were found
  type: list
  elements: dict
  contains:
    id:
      description: The resource id of the replicated item.
      type: str
      sample: "/Subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-dr-weu/providers/Microsoft.RecoveryServices/vaults/\
        rsv-dr-weu/replicationFabrics/asr-a2a-default-northeurope/replicationProtectionContainers/asr-a2a-default-northeurope-container/\
        replicationProtectedItems/9a1b2c3d-0f0e-5d4c-8b7a-69788796a5b4"
    name:
      description: The name of the machine.
      type: str
      sample: shop-web-01
    item:
      description: The name of the replicated item.
      type: str
      sample: 9a1b2c3d-0f0e-5d4c-8b7a-69788796a5b4
    source_id:
      description: The resource id of the machine that is replicated; only of machines in Azure.
      type: str
      sample: "/subscriptions/11111111-2222-3333-4444-555555555555/resourcegroups/rg-shop-neu/providers/microsoft.compute/\
        virtualmachines/shop-web-01"
    target_id:
      description: The resource id of the machine that the failover makes; for O(action=test) and O(action=test_cleanup) of the test copy.
      type: str
      sample: "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-shop-weu/providers/Microsoft.Compute/\
        virtualMachines/shop-web-01"
    state:
      description: V(unchanged), V(changed), V(failed) or V(timed_out).
      type: str
      sample: changed
    changed:
      description: Whether this run changed the machine, or would in check mode.
      type: bool
      sample: true
    reason:
      description: Why the machine was left alone, failed or timed out.
      type: str
      sample: null
    resumed:
      description:
        - What earlier runs had begun on it or its plan and not seen the end of, by their journals, with C(action), C(time), C(run),
          C(module) and C(host). This run went on from there, and settled it where it succeeded.
      type: list
      elements: dict
      sample: []
    error:
      description: The error of Site Recovery, with C(code), C(message), C(possible_causes), C(recommended_action) and C(task_id).
      returned: when the machine failed and Site Recovery says why
      type: dict
      sample:
        code: "28040"
        message: The virtual machine could not be started.
        possible_causes: The region has no capacity for its size.
        recommended_action: Choose another size for the machine and fail over again.
        task_id: StartVmOnSecondary
    job:
      description: The name of the job that worked on it.
      type: str
      sample: 3f9d2b8e-5f0c-4d43-9a66-0a1b2c3d4e5f
    started:
      description: When the work on the machine began, by the clock of Site Recovery.
      type: str
      sample: "2026-11-02T03:12:09.4871034Z"
    ended:
      description: When it ended.
      type: str
      sample: "2026-11-02T03:17:44.0213377Z"
    rto_seconds:
      description: From the start of the job until this machine was started.
      returned: when this run recovered the machine, or RV(targets[].reason) names the job that did and that waits for its last step
      type: float
      sample: 335.1
    before:
      description: The replicated item as it was.
      type: dict
      contains: &item
        active_location:
          description: Where the machine runs, V(Primary) or V(Recovery).
          type: str
          sample: Recovery
        test_failover:
          description: Whether a test failover stands and waits for its clean-up.
          type: bool
          sample: false
        commit_pending:
          description: Whether it is failed over and not committed.
          type: bool
          sample: true
        protection_state:
          description: The state in the words of Site Recovery.
          type: str
          sample: UnplannedFailoverCommitPending
        test_failover_state:
          description: The state of the test failover in the words of Site Recovery.
          type: str
          sample: None
        allowed_operations:
          description: What Site Recovery offers.
          type: list
          elements: str
          sample: [Commit]
    after:
      description: The replicated item as it was read at the end, or as it would be in check mode. Empty where it could not be read.
      type: dict
      contains: *item
job:
  description: The job. With several replicated items each has its own, named in RV(targets[].job), and this is C(null).
  returned: when the machines were found
  type: dict
  contains:
    name:
      description: The name of the job.
      type: str
      sample: 3f9d2b8e-5f0c-4d43-9a66-0a1b2c3d4e5f
    id:
      description: The resource id of the job.
      type: str
      sample: "/Subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-dr-weu/providers/Microsoft.RecoveryServices/vaults/\
        rsv-dr-weu/replicationJobs/3f9d2b8e-5f0c-4d43-9a66-0a1b2c3d4e5f"
    scenario:
      description: What the job does, in the words of Site Recovery.
      type: str
      sample: UnplannedFailover
    state:
      description: How it ended, in the words of Site Recovery.
      type: str
      sample: Succeeded
    started:
      description: When it started.
      type: str
      sample: "2026-11-02T03:12:08.9216644Z"
    ended:
      description: When it ended.
      type: str
      sample: "2026-11-02T03:19:02Z"
    tasks:
      description: Its tasks in their order, each group before what is in it.
      type: list
      elements: dict
      contains:
        name:
          description: The name of the task.
          type: str
          sample: "Group 1: Start (2)"
        state:
          description: The state of the task in the words of Site Recovery.
          type: str
          sample: Succeeded
        group:
          description: The group task that it is in.
          type: str
          sample: null
        machine:
          description: The machine that it is about.
          type: str
          sample: null
        started:
          description: When it started.
          type: str
          sample: "2026-11-02T03:14:31.1189035Z"
        ended:
          description: When it ended.
          type: str
          sample: "2026-11-02T03:15:40.5502108Z"
        errors:
          description: Its errors, in the form of RV(targets[].error).
          type: list
          elements: dict
          sample: []
    errors:
      description: Its errors, in the form of RV(targets[].error).
      type: list
      elements: dict
      sample: []
journal:
  description: The file in O(journal_dir) that tells what was sent, on the host that ran the module. C(null) when nothing was.
  returned: when the machines were found
  type: str
  sample: /home/ops/.local/state/cloudops.azure_dr/journal/20261102T031208Z-asr_failover-3fa9c1.jsonl
summary:
  description: Machines by RV(targets[].state), and how long it took.
  returned: when the machines were found
  type: dict
  contains:
    unchanged:
      description: How many machines were left alone.
      type: int
      sample: 0
    changed:
      description: How many machines were changed, or would be in check mode.
      type: int
      sample: 12
    failed:
      description: How many machines failed.
      type: int
      sample: 0
    skipped:
      description: How many machines were skipped.
      type: int
      sample: 0
    timed_out:
      description: How many machines were not through in O(timeout).
      type: int
      sample: 0
    minimum_duration:
      description: The seconds that it takes at least by the request limits of Azure alone.
      type: float
      sample: 0.0
    duration:
      description: The seconds that it took, by the clock of the controller.
      type: float
      sample: 431.7
    throttled_requests:
      description: How many requests Azure turned down for being too many; they were sent again.
      type: int
      sample: 0
error:
  description: The error that ended the module before it looked at any machine.
  returned: when the module could not begin
  type: dict
  contains:
    asked:
      description: What was asked of Azure.
      type: str
      sample: read the recovery plan
    resource_id:
      description: Of which resource.
      type: str
      sample: null
    status:
      description: The HTTP status of the answer.
      type: raw
      sample: 403
    code:
      description: The code that Azure gives.
      type: str
      sample: AuthorizationFailed
    message:
      description: What Azure says, or what is wrong with the options.
      type: str
      sample: "The option confirm is missing; expected is 'shop', the name of what the action unplanned is done to; nothing was sent."
    possible_causes:
      description: Why that may be, where Azure tells.
      type: str
      sample: null
    recommended_action:
      description: What to do, where Azure tells.
      type: str
      sample: null
    request_id:
      description: The id by which Microsoft's support finds the request.
      type: str
      sample: null
"""

from functools import partial
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import credentials, session
from ansible_collections.cloudops.azure_dr.plugins.module_utils.journal import JOURNAL_ARGUMENTS
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery import failover, vault


async def work(module: AnsibleModule, azure: session.Azure) -> dict[str, Any]:
    found = await vault.find(azure, module.params)
    result, warnings = await failover.fail_over(azure, found, module.params, check=module.check_mode)
    for warning in warnings:
        module.warn(warning)
    return {"vault_id": found.id} | result


def main() -> None:
    module = AnsibleModule(
        argument_spec=credentials.argument_spec()
        | vault.VAULT_ARGUMENTS
        | JOURNAL_ARGUMENTS
        | {
            "action": {"type": "str", "required": True, "choices": list(failover.ACTIONS)},
            "recovery_plan": {"type": "str"},
            "replicated_items": {"type": "list", "elements": "str"},
            "confirm": {"type": "str"},
            "recovery_point": {"type": "str", "default": "latest"},
            "test_network_id": {"type": "str"},
            "shutdown_source": {"type": "bool", "default": True},
            "max_test_age": {"type": "float", "default": 0},
            "comments": {"type": "str", "default": ""},
            "timeout": {"type": "float", "default": 240},
            "max_failures": {"type": "int", "default": 0},
        },
        mutually_exclusive=[("recovery_plan", "replicated_items")],
        supports_check_mode=True,
    )
    session.main(module, partial(work, module), failover.check_input)


if __name__ == "__main__":
    main()
