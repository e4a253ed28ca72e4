# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""A local stand-in for Azure to rehearse the runbook on.

At its heart: a store of resources (store.py), a table of resource types with their behaviour (resource_types.py and the
providers), and operations on a clock (clock.py, timeline.py, operations.py). cloud.py joins them and answers one request
at a time; server.py and its neighbours put HTTPS, sign-in, throttling, faults and permissions around it.

It imports nothing of the collection's plugins: they meet on the wire only.
"""
