# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""journal: what is on disk before a request is sent, and what later runs make of it."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.cloudops.azure_dr.plugins.module_utils import fleet
from ansible_collections.cloudops.azure_dr.plugins.module_utils import journal as journals
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import (
    AzureDRError,
    AzureError,
    InputError,
    OperationFailed,
    TimedOut,
)
from ansible_collections.cloudops.azure_dr.plugins.module_utils.journal import Journal

CLOUD = "https://management.azure.com"
WEB, SQL = "/subscriptions/s/resourceGroups/g/x/web", "/subscriptions/s/resourceGroups/g/x/sql"
PUT = (("PUT", f"{WEB}/extensions/a"),)
LOST = {"settings": {"a": 1}}
Work = Callable[[Journal], Awaitable[Any]]


def new(folder: Path, module: str = "ama_reinstall", cloud: str = CLOUD) -> Journal:
    return Journal.open(folder, module, cloud)


def run(folder: Path, work: Work, **more: str) -> Journal:
    """A run that ends in good order."""

    async def through() -> Journal:
        journal = new(folder, **more)
        await work(journal)
        await journal.close()
        return journal

    return asyncio.run(through())


def killed(folder: Path, work: Work, **who: Any) -> Path:
    """A run that is killed behind its work: its file is as it was, and the lock gone. who: what its first line says otherwise."""

    async def through() -> Path:
        journal = new(folder)
        journal.run = replace(journal.run, **who)
        await work(journal)
        if journal._writer:
            await journal._writer  # what a kill leaves on disk is in another test
        assert journal.file and journal._handle is not None
        os.close(journal._handle)
        return journal.file

    return asyncio.run(through())


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines() if line]


def open_on(folder: Path, target: str = WEB, **more: str) -> list[str]:
    return [entry.text for entry in new(folder, **more).unfinished(target)]


async def remove(journal: Journal) -> None:
    async with journal.sent(WEB, "remove a", PUT, LOST):
        pass


async def install(journal: Journal) -> None:
    await journal.sending(WEB, "install a", PUT)


def test_a_step_is_on_disk_before_it_is_sent(tmp_path: Path) -> None:
    async def work(journal: Journal) -> None:
        await journal.sending(WEB, "remove a", PUT, LOST)
        assert journal.file
        header, step = lines(journal.file)
        assert header == asdict(journal.run) and header["pid"] == os.getpid() and header["cloud"] == CLOUD
        assert {"sending": "remove a", "id": WEB, "requests": [list(PUT[0])], "lost": LOST}.items() <= step.items()
        assert stat.S_IMODE(journal.file.stat().st_mode) == 0o600 and stat.S_IMODE(journal.file.parent.stat().st_mode) == 0o700

    run(tmp_path / "new" / "folder", work)


def test_nothing_is_written_where_nothing_is_sent(tmp_path: Path) -> None:
    async def work(journal: Journal) -> None:
        assert journal.unfinished(WEB) == []

    assert run(tmp_path / "folder", work).name is None and not (tmp_path / "folder").exists()


@pytest.mark.parametrize(
    ("trouble", "left"),
    [
        (None, ["remove"]),
        (AzureError("do", WEB, status=403, accepted=False), ["remove"]),
        (AzureError("do", WEB, accepted=None), ["install", "remove"]),
        (OperationFailed("do", WEB, status="Failed", accepted=True), ["remove"]),
        (TimedOut("do", WEB, 1, None), ["install", "remove"]),
    ],
    ids=["succeeds", "is refused", "gets no answer", "fails", "takes too long"],
)
def test_what_stays_open_when_a_step(tmp_path: Path, trouble: Exception | None, left: list[str]) -> None:
    async def work(journal: Journal) -> None:
        for text, lost in (("install", None), ("remove", LOST)):
            try:
                async with journal.sent(WEB, text, PUT, lost):
                    if trouble:
                        raise trouble
            except AzureDRError as told:
                assert told is trouble

    run(tmp_path, work)
    assert sorted(open_on(tmp_path)) == left


def test_a_killed_run_is_recognised_with_what_it_took_away(tmp_path: Path) -> None:
    killed(tmp_path, remove, host="node-7", pid=4711)
    [entry] = new(tmp_path).unfinished(WEB.upper())
    assert (entry.text, entry.lost, entry.live, entry.requests) == ("remove a", LOST, False, PUT)
    assert (entry.run.host, entry.run.pid) == ("node-7", 4711) and "ama_reinstall, process 4711 on node-7" in str(entry.run)
    assert entry.view()["host"] == "node-7" and "settings" not in json.dumps(entry.view())
    assert open_on(tmp_path, SQL) == []


def test_runs_of_two_hosts_are_told_in_the_order_of_time(tmp_path: Path) -> None:
    for host in ("one", "two"):
        killed(tmp_path, remove, host=host)
        time.sleep(0.002)
    assert [entry.run.host for entry in new(tmp_path).unfinished(WEB)] == ["one", "two"]


def test_another_cloud_is_another_world(tmp_path: Path) -> None:
    killed(tmp_path, remove, cloud="https://management.chinacloudapi.cn")
    assert open_on(tmp_path) == [] and open_on(tmp_path, cloud="https://management.chinacloudapi.cn") == ["remove a"]


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_half_written_last_line_counts_for_nothing_and_is_no_hindrance(tmp_path: Path, cut: int) -> None:
    async def two(journal: Journal) -> None:
        await remove(journal)
        await journal.sending(WEB, "never sent", PUT)

    file = killed(tmp_path, two)
    file.write_bytes(file.read_bytes()[:-cut])
    assert open_on(tmp_path) == ["remove a"]

    async def settle(journal: Journal) -> None:
        journal.unfinished(WEB)
        journal.settle(WEB, lambda lost: lost == LOST)

    run(tmp_path, settle)
    assert open_on(tmp_path) == [] and "never sent" in file.read_text()


def test_what_a_later_run_has_settled_is_closed_in_the_file_of_the_killed_one(tmp_path: Path) -> None:
    file = killed(tmp_path, remove)

    async def settle(journal: Journal) -> None:
        journal.unfinished(WEB)
        journal.settle(WEB, lambda lost: False)
        assert open_on(tmp_path) == ["remove a"]
        journal.settle(WEB, lambda lost: True)

    later = run(tmp_path, settle)
    assert later.name is None and lines(file)[-2]["by"] == later.run.run and lines(file)[-1]["open"] == 0
    assert open_on(tmp_path) == []


def test_a_step_of_another_module_is_left_to_its_own(tmp_path: Path) -> None:
    killed(tmp_path, install)

    async def settle(journal: Journal) -> None:
        journal.unfinished(WEB)
        journal.settle(WEB, lambda lost: True)

    run(tmp_path, settle, module="asr_failover")
    assert open_on(tmp_path) == ["install a"]
    run(tmp_path, settle)
    assert open_on(tmp_path) == []


def test_a_run_settles_what_is_its_own(tmp_path: Path) -> None:
    async def work(journal: Journal) -> None:
        await remove(journal)
        journal.settle(WEB, lambda lost: True)

    assert lines(Path(run(tmp_path, work).name or ""))[-1]["open"] == 0
    assert open_on(tmp_path) == []


def test_a_live_run_is_seen_with_what_it_does_now_and_is_not_settled_by_another(tmp_path: Path) -> None:
    async def work() -> None:
        mine = new(tmp_path)
        assert mine.unfinished(WEB) == []
        other = new(tmp_path)  # begun behind the first look
        await remove(other)
        [entry] = mine.unfinished(WEB)
        assert entry.live and entry.lost == LOST
        mine.settle(WEB, lambda lost: True)
        await install(other)
        assert [entry.text for entry in mine.unfinished(WEB)] == ["remove a", "install a"]
        [told] = mine.beside([SQL, WEB])
        assert other.run.run in told and str(other.file) in told and "web" in told and "sql" not in told
        assert mine.warnings == [told] and mine.beside([SQL]) == []
        await other.close()
        assert [entry.live for entry in mine.unfinished(WEB)] == [False, False] and mine.beside([WEB]) == []

    asyncio.run(work())


SLEEPER = """
import asyncio, sys
from ansible_collections.cloudops.azure_dr.plugins.module_utils.journal import Journal
async def work():
    journal = Journal.open(sys.argv[1], "ama_reinstall", sys.argv[2])
    await journal.sending(sys.argv[3], "remove a", [("DELETE", "x")], {"settings": {"a": 1}})
    print("sent", flush=True)
    await asyncio.sleep(60)
asyncio.run(work())
"""


def test_the_lock_of_a_process_ends_with_it_and_its_lines_stay(tmp_path: Path) -> None:
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-c", SLEEPER, str(tmp_path), CLOUD, WEB]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout and process.stdout.readline() == "sent\n"
        [entry] = new(tmp_path).unfinished(WEB)
        assert entry.live and entry.run.pid == process.pid
        process.send_signal(signal.SIGKILL)
    [entry] = new(tmp_path).unfinished(WEB)
    assert not entry.live and entry.lost == LOST


@pytest.mark.parametrize("place", ["file/folder", "file"])
def test_a_folder_that_cannot_be_had_is_refused_by_the_name_of_the_option(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    journal = new(tmp_path / place)
    with pytest.raises(InputError, match="journal_dir") as told:
        journal.begin()
    assert str(tmp_path / place) in str(told.value) and "nothing was sent" in str(told.value) and journal.name is None


def test_where_not_even_the_first_line_has_room_nothing_is_sent(tmp_path: Path) -> None:
    async def work() -> None:
        journal = new(tmp_path)
        with room_for(20):
            for _target in range(2):
                with pytest.raises(InputError, match="journal_dir"):
                    await install(journal)
        assert list(tmp_path.iterdir()) == []
        await install(journal)
        await journal.close()

    asyncio.run(work())
    assert open_on(tmp_path) == ["install a"]


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file may grow beyond `size`, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_on_a_full_disk_nothing_is_sent_and_what_is_torn_is_passed_over(tmp_path: Path) -> None:
    sent = []

    async def work(journal: Journal) -> None:
        await install(journal)
        assert journal.file
        with room_for(journal.file.stat().st_size + 20):
            with pytest.raises(AzureDRError, match="journal_dir") as told:
                async with journal.sent(SQL, "remove b", PUT, LOST):
                    sent.append("b")
            assert "was not sent" in str(told.value) and str(journal.file) in str(told.value)
        await remove(journal)

    journal = run(tmp_path, work)
    assert sent == [] and len(journal.warnings) == 1 and "could not be written" in journal.warnings[0]
    assert open_on(tmp_path) == ["install a", "remove a"] and open_on(tmp_path, SQL) == []


def test_what_cannot_be_read_is_told_and_what_is_no_journal_passed_over(tmp_path: Path) -> None:
    killed(tmp_path, remove)
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "noise.jsonl").write_bytes(b"\x00\xff\n[]\n")
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "list.jsonl").write_text("[1]\n")
    journal = new(tmp_path)
    assert [entry.text for entry in journal.unfinished(WEB)] == ["remove a"]
    assert len(journal.warnings) == 1 and "cannot be read" in journal.warnings[0] and "folder.jsonl" in journal.warnings[0]


def test_old_files_go_when_nothing_is_open_in_them(tmp_path: Path) -> None:
    async def complete(journal: Journal) -> None:
        async with journal.sent(WEB, "install a", PUT, None):
            pass

    young, old = (Path(run(tmp_path, complete).name or "") for _number in range(2))
    unfinished, unborn = killed(tmp_path, remove), tmp_path / ".20260101T000000Z-ama_reinstall-abcdef"
    unborn.touch()
    for file in (old, unfinished, unborn):
        os.utime(file, (0, time.time() - journals.KEPT_FOR - 1))
    last = run(tmp_path, complete)
    assert sorted(tmp_path.iterdir()) == sorted([young, unfinished, Path(last.name or "")])


def test_many_targets_share_their_syncs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(handle), time.sleep(0.005), real(handle))[-1])

    async def work(journal: Journal) -> None:
        await asyncio.gather(*(journal.sending(f"{WEB}{number}", "install a", PUT) for number in range(1000)))
        assert journal.file and len(lines(journal.file)) == 1001

    run(tmp_path, work)
    assert len(synced) < 10


def test_finished_files_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def complete(journal: Journal) -> None:
        for number in range(50):
            async with journal.sent(f"{WEB}{number}", "install a", PUT, None):
                pass

    for _number in range(5):
        run(tmp_path, complete)
    killed(tmp_path, remove)
    read: list[Path] = []
    real = journals._Other._take
    monkeypatch.setattr(journals._Other, "_take", lambda other, line: (read.append(other.path), real(other, line))[-1])
    assert open_on(tmp_path) == ["remove a"] and len(set(read)) == 1


class Toggle(fleet.Step[bool]):
    """A step that removes and installs one thing; killed or broken where `trouble` is raised."""

    def __init__(self, trouble: Exception | None = None) -> None:
        self.there, self.done, self.trouble = True, False, trouble

    async def observe(self, target: fleet.Target) -> bool:
        return self.there

    def plan(self, target: fleet.Target, observed: bool) -> list[fleet.Action]:
        actions = [fleet.Action("remove a", PUT, lost=LOST)] if observed and not self.done else []
        return actions + ([] if self.done else [fleet.Action("install a", PUT)])

    async def apply(self, target: fleet.Target, action: fleet.Action, seconds: float) -> None:
        if action.text == "install a" and self.trouble:
            raise self.trouble
        self.there = action.text == "install a"
        self.done = self.there

    def view(self, observed: bool) -> dict[str, Any]:
        return {"there": observed}

    def wanted(self, target: fleet.Target, observed: bool) -> dict[str, Any]:
        return {"there": True}

    def made_good(self, target: fleet.Target, observed: bool, lost: dict[str, Any]) -> bool:
        return observed


class FakeAzure:
    throttled_requests = 0

    @property
    def pacer(self) -> FakeAzure:
        return self

    def minimum_duration(self, requests: Any) -> float:
        return 0.0

    async def require(self, requests: Any, needs: Any) -> None: ...

    async def pause(self, seconds: float) -> None: ...


def fleet_run(folder: Path, step: Toggle, *, check: bool = False) -> fleet.Outcome:
    journal = new(folder)
    made = fleet.run(FakeAzure(), [fleet.Target(WEB, "web")], [step], check=check, timeout=60, journal=journal)
    return asyncio.run(made).outcomes[0]


def test_a_fleet_goes_on_where_a_run_stopped_between_removal_and_installation(tmp_path: Path) -> None:
    step = Toggle(AzureError("install", WEB, status=403, accepted=False))
    stopped = fleet_run(tmp_path, step)
    assert stopped.state == "failed" and stopped.resumed == [] and open_on(tmp_path) == ["remove a"]
    step.trouble = None
    foreseen = fleet_run(tmp_path, step, check=True)
    assert [one["action"] for one in foreseen.result()["resumed"]] == ["remove a"] and len(list(tmp_path.iterdir())) == 1
    resumed = fleet_run(tmp_path, step)
    assert resumed.state == "changed" and resumed.resumed == foreseen.resumed and open_on(tmp_path) == []
    assert fleet_run(tmp_path, step).resumed == []


def test_a_fleet_sends_nothing_without_its_journal(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    step = Toggle()
    with pytest.raises(InputError, match="journal_dir"):
        fleet_run(tmp_path / "file", step)
    assert step.there and fleet_run(tmp_path / "other", step).state == "changed"
