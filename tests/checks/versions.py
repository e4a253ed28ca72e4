# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Says what a check runs on: Python, ansible-core and the Azure libraries of the environment."""

import platform
from importlib.metadata import distributions

found = {each.metadata["Name"]: each.version for each in distributions()}
chosen = sorted(name for name in found if name == "ansible-core" or name.startswith("azure-"))
print(f"Python {platform.python_version()}", *(f"{name} {found[name]}" for name in chosen), sep=", ")
