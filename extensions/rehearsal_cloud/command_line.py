# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""The command line: reads the options, starts the cloud, says where it is, and ends on SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from . import certificates, estate, faults, permissions, snapshots
from .clock import Clock
from .cloud import Cloud
from .files import FileProblem
from .providers import install
from .server import Server
from .throttling import Throttle
from .traffic import Traffic

PROGRAM = "rehearsal_cloud"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, where argparse has several."""
        self.exit(2, f"{PROGRAM}: {message} (--help lists the options)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cloud until a signal ends it; the exit status: 0, or 2 for options and files that cannot be used."""
    options = _options(arguments)
    try:
        with tempfile.TemporaryDirectory(prefix="rehearsal-cloud-") as folder:
            asyncio.run(_serve(options, Path(folder)))
    except (FileProblem, OSError) as problem:
        print(f"{PROGRAM}: {problem}", file=sys.stderr)
        return 2
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _Parser(prog=PROGRAM, description="A local stand-in for Azure to rehearse a disaster-recovery runbook on.", allow_abbrev=False)
    parser.add_argument("--estate", type=Path, metavar="FILE", help="the resources to begin with, JSON or YAML")
    parser.add_argument("--port", type=_port, default=0, help="where to listen on loopback (0, the default: any free port)")
    parser.add_argument("--speed", type=_speed, default=1.0, metavar="FACTOR", help="how many times as fast as Azure's the time passes (1)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="the same seed gives the same ids and the same faults (0)")
    parser.add_argument(
        "--extension-seconds",
        type=_range,
        metavar="FROM-TO",
        help="how long each write of an extension takes (as long as Azure's were seen to)",
    )
    parser.add_argument("--throttle", choices=("azure", "off"), default="azure", help="Azure's request limits, or none (azure)")
    parser.add_argument("--faults", type=Path, metavar="FILE", help="rules that make it misbehave, JSON or YAML")
    parser.add_argument("--permissions", type=Path, metavar="FILE", help="role definitions; what they do not grant is answered 403")
    parser.add_argument("--traffic", type=Path, metavar="FILE", help="append every exchange to this file, one line of JSON each")
    parser.add_argument("--state", type=Path, metavar="FILE", help="keep the state in this file, and begin with it when it is there")
    options = parser.parse_args(arguments)
    if options.estate is None and not (options.state and options.state.exists()):
        parser.error("--estate FILE is needed (or a --state FILE that is there already)")
    return options


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, 0 to 65535")
    return int(text)


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number over 0")
    return speed


def _range(text: str) -> tuple[float, float]:
    first, _dash, last = text.partition("-")
    try:
        least, most = float(first), float(last)
    except ValueError:
        least, most = 1.0, 0.0
    if not 0 <= least <= most < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a range of seconds, such as 20-90")
    return least, most


def _build(options: argparse.Namespace) -> Server:
    """The server that the options ask for. Raises FileProblem."""
    cloud = install(Cloud(Clock(options.speed), options.seed, options.extension_seconds))
    if options.state and options.state.exists():
        snapshots.load(cloud, options.state)
    else:
        estate.seed(cloud, options.estate)
    return Server(
        cloud,
        throttle=Throttle(enforce=options.throttle == "azure"),
        rules=faults.load(options.faults, options.seed) if options.faults else [],
        permissions=permissions.load(options.permissions) if options.permissions else None,
        traffic=Traffic(options.traffic) if options.traffic else None,
        snapshots=snapshots.Snapshots(cloud, options.state) if options.state else None,
    )


async def _serve(options: argparse.Namespace, folder: Path) -> None:
    """Serve until told to end. The CA file lies in `folder`, or beside the state, so that a cloud started again is the same one."""
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    server = _build(options)
    place, prefix = (options.state.parent, f"{options.state.name}.") if options.state else (folder, "")
    ca_file, context = certificates.prepare(place, prefix)
    try:
        port, imds = await server.start(context, options.port)
    except OSError as problem:
        raise OSError(f"port {options.port}: {problem.strerror or problem}") from problem
    base = f"https://localhost:{port}"
    print(
        json.dumps(
            {
                "resource_manager": base,
                "authority": base,
                "ca_file": str(ca_file.resolve()),
                "metadata": f"{base}/metadata/endpoints?api-version=2022-09-01",
                "imds": f"http://localhost:{imds}",
            }
        ),
        flush=True,
    )
    await ended.wait()
    await server.stop()
