#!/usr/bin/python
# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: asr_permissions_info
version_added: "1.0.0"
short_description: What the sign-in may not do, of all that a failover needs
description:
  - Tells, before anything is done, which actions the sign-in lacks and where - on the vault, in the resource groups that a failover brings
    machines up in, and on the resources that the machines are given back. All that is missing is told at once.
  - Reads what Azure Resource Manager says of the permissions of the sign-in itself. Whether others may do something cannot be asked.
  - What Azure does not tell, such as without the permission C(Microsoft.Authorization/permissions/read), is not missing but unknown.
    Conditions and deny assignments are known to Azure alone.
options:
  actions:
    description:
      - The actions, as role definitions name them, without wildcards. The role P(cloudops.azure_dr.permissions#role) brings those of each
        playbook.
      - Actions of C(Microsoft.RecoveryServices/vaults) are looked for on the vault; those of C(Microsoft.Compute) and of
        C(Microsoft.Insights/dataCollectionRuleAssociations) in the resource groups of the machines; all others on the O(resource_ids)
        of their type, so that what is not used is not missed.
    type: list
    elements: str
    required: true
  recovery_plan:
    description:
      - The recovery plan whose machines are meant, by name or resource id. Left out with O(replicated_items) and O(machine_groups), it is
        the only plan of the vault.
    type: str
  replicated_items:
    description:
      - Replicated items in the place of a plan, each by its name, its resource id, or the name or id of its machine.
    type: list
    elements: str
  sides:
    description:
      - Which machines of the plan or of the items are meant - V(recovery), those that a failover brings up, V(source), those that are
        replicated, or both. In the groups of the source machines only the actions that look at a machine are looked for.
    type: list
    elements: str
    choices: [source, recovery]
    default: [recovery]
  machine_groups:
    description:
      - The resource groups of the machines, by resource id. Left out, they are those of the machines of the plan or of the items.
    type: list
    elements: str
  resource_ids:
    description:
      - Other resources that are needed, by resource id - data collection rules and endpoints, identities, workspaces, automation accounts.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - cloudops.azure_dr.azure
  - cloudops.azure_dr.vault
  - cloudops.azure_dr.attributes.info
author:
  - The cloudops.azure_dr authors (@cloudops)
seealso:
  - module: cloudops.azure_dr.asr_failover
    description: Fails over, and looks itself whether it may before it begins.
  - module: cloudops.azure_dr.ama_reinstall
    description: Restores monitoring, and looks itself whether it may before it begins.
"""

EXAMPLES = r"""
- name: May this sign-in fail over the plan, and restore the agent afterwards
  cloudops.azure_dr.asr_permissions_info:
    vault_name: rsv-dr-weu
    resource_group: rg-dr-weu
    recovery_plan: shop
    actions:
      - Microsoft.RecoveryServices/vaults/replicationRecoveryPlans/unplannedFailover/action
      - Microsoft.Compute/virtualMachines/extensions/write
      - Microsoft.Insights/dataCollectionRules/read
    resource_ids:
      - "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-dr-weu/providers/Microsoft.Insights/dataCollectionRules/\
        dcr-shop-linux"
  register: shop

- name: Say what is missing
  ansible.builtin.assert:
    that: shop.permitted
    fail_msg: "{{ shop.missing }}"
    quiet: true
"""

RETURN = r"""
vault_id:
  description: The resource id of the vault; C(null) when nothing was to be looked for there.
  returned: success
  type: str
  sample: "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-dr-weu/providers/Microsoft.RecoveryServices/vaults/\
    rsv-dr-weu"
machine_groups:
  description: The resource groups of the machines. Empty where they could not be read, since a permission for that is missing.
  returned: success
  type: list
  elements: str
  sample: [/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-shop-weu]
permitted:
  description: Whether nothing is known to be missing.
  returned: success
  type: bool
  sample: false
missing:
  description: What the sign-in lacks.
  returned: success
  type: list
  elements: dict
  contains: &need
    action:
      description: The action, as role definitions name it.
      type: str
      sample: Microsoft.Compute/virtualMachines/extensions/write
    scope:
      description: The resource id of the resource or resource group.
      type: str
      sample: /subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-shop-weu
unknown:
  description: Of what Azure does not tell whether the sign-in may do it.
  returned: success
  type: list
  elements: dict
  contains: *need
error:
  description: The error that ended the module.
  returned: when the vault or the machines could not be found
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
      sample: There is no recovery plan shop in the vault rsv-dr-weu.
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

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import credentials, session
from ansible_collections.cloudops.azure_dr.plugins.module_utils.site_recovery import permissions, vault


def main() -> None:
    module = AnsibleModule(
        argument_spec=credentials.argument_spec()
        | vault.VAULT_ARGUMENTS
        | {
            "actions": {"type": "list", "elements": "str", "required": True},
            "recovery_plan": {"type": "str"},
            "replicated_items": {"type": "list", "elements": "str"},
            "sides": {"type": "list", "elements": "str", "choices": list(permissions.SIDES), "default": ["recovery"]},
            "machine_groups": {"type": "list", "elements": "str"},
            "resource_ids": {"type": "list", "elements": "str", "default": []},
        },
        mutually_exclusive=[("recovery_plan", "replicated_items", "machine_groups")],
        supports_check_mode=True,
    )

    async def work(azure: session.Azure) -> dict[str, Any]:
        return {"changed": False} | await permissions.look(azure, module.params)

    session.main(module, work, permissions.check_input)


if __name__ == "__main__":
    main()
