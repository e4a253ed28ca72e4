# Copyright: (c) 2026, the cloudops.azure_dr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""What a run is about to do, on disk before it is sent: whoever runs again after a kill finds there what was begun and what was taken away.

Each run that changes something has one file in a folder that all runs share. Its lines are JSON, one object each:

    {"run", "module", "host", "pid", "user", "cloud", "started"}        the first line: who writes
    {"sending": text, "id": target, "requests": [[method, path]],       a step of a target, before its first request is sent;
     "lost": {...}, "at"}                                               lost: what the requests take away, where somebody may want it back
    {"ended": text, "id": target, "state": ..., "by", "at"}             how that ended; by: the run that settled it, when it is a later one
    {"end": time, "open": number}                                       the last line, with the number of steps that are not settled

A step is open until it ended, for better or worse; where nobody knows how it ended (its time was up, a connection broke, the run was
killed), until a run has its target in the wanted state; and where something was lost, until that is there again or nobody wants it.

The writer holds a lock on its file as long as it lives, which is how others know that it does. The system lets go of it whatever kills
the process, and it holds across containers, and hosts where their shared folder takes part in locking; where it does not, a run on another
host looks as if it had ended, and what it took away is given back twice in the same way.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import json
import os
import pwd
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from ansible.module_utils.basic import env_fallback
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm import ids
from ansible_collections.cloudops.azure_dr.plugins.module_utils.arm.errors import AzureDRError, AzureError, InputError, OperationFailed
from ansible_collections.cloudops.azure_dr.plugins.module_utils.paths import resolved

View = dict[str, Any]

KEPT_FOR = 90 * 86400  # seconds that the file of a run that left nothing open is kept
TAIL = 200  # bytes at the end of a file that hold its last line when that is the end
SAME_TICK = 50_000_000  # nanoseconds within which a folder's time need not tell of a second file

DONE, FAILED, REFUSED, UNKNOWN, SETTLED = "done", "failed", "refused", "unknown", "settled"

# The option of the documentation fragment `journal`.
JOURNAL_ARGUMENTS: dict[str, Any] = {
    "journal_dir": {
        "type": "path",
        "default": "~/.local/state/cloudops.azure_dr/journal",
        "fallback": (env_fallback, ["AZURE_DR_JOURNAL_DIR"]),
    }
}


@dataclass(frozen=True)
class Run:
    """Who writes, or wrote, a journal. cloud: the address of its resource manager."""

    run: str
    module: str
    host: str
    pid: int
    user: str
    cloud: str
    started: str

    def __str__(self) -> str:
        return f"run {self.run} ({self.module}, process {self.pid} on {self.host})"


@dataclass(frozen=True)
class Entry:
    """A step that a run was about to take, and that is open. live: that run is still at work."""

    run: Run
    id: str
    text: str
    time: str
    requests: tuple[tuple[str, str], ...] = ()
    lost: View | None = field(default=None, repr=False)
    live: bool = False

    def view(self) -> View:
        """What a result tells of it."""
        return {"action": self.text, "time": self.time, "run": self.run.run, "module": self.run.module, "host": self.run.host}


class _Waiting(NamedTuple):
    """A line that is to be written, and what tells when it is and what hindered it."""

    text: bytes
    written: asyncio.Future[OSError | None]


class Journal:
    """The journal of this run, and what those of the others in the folder tell.

    `file` is where it is, None as long as nothing was about to be sent; `name` is the same for a result. `warnings` are sentences for the
    user, of files that could not be read or written.
    """

    def __init__(self, directory: str | Path, run: Run) -> None:
        self.run = run
        self.file: Path | None = None
        self._warnings: list[str] = []
        self._unread: list[str] = []
        self._directory = resolved(directory)
        self._handle: int | None = None
        self._open: dict[str, dict[str, View | None]] = {}
        self._others: dict[str, _Other | None] = {}  # None for a file that is of no interest, or of none any more
        self._listed = 0
        self._waiting: list[_Waiting] = []
        self._writer: asyncio.Task[None] | None = None
        self._torn = False

    @classmethod
    def open(cls, directory: str | Path, module: str, cloud: str) -> Journal:
        """The journal of a run of `module` against the cloud at that address. Nothing is written yet."""
        now = datetime.now(UTC)
        name = f"{now:%Y%m%dT%H%M%SZ}-{module}-{os.urandom(3).hex()}"
        return cls(directory, Run(name, module, socket.gethostname(), os.getpid(), _user(), cloud, _clock()))

    @property
    def warnings(self) -> list[str]:
        unread = f"{self._directory}: {', '.join(self._unread[:5])}{f' and {len(self._unread) - 5} more' if len(self._unread) > 5 else ''}"
        told = [f"Journals that cannot be read, so that what their runs left half-way is not known, in {unread}."] if self._unread else []
        return self._warnings + told

    @property
    def name(self) -> str | None:
        return str(self.file) if self.file else None

    def begin(self) -> None:
        """Make the file, before anything is sent. Raises InputError where that cannot be done."""
        hidden = self._directory / f".{self.run.run}"
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._handle = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
            with suppress(OSError):  # a file system without locks
                fcntl.flock(self._handle, fcntl.LOCK_EX)
            self._store(_line(asdict(self.run)))
            # With its name it has its first line and its lock: nobody ever sees it without.
            self.file = hidden.rename(self._directory / f"{self.run.run}.jsonl")
            _sync(self._directory)
        except OSError as exc:
            if self._handle is not None:
                os.close(self._handle)
                self._handle, self.file, self._torn = None, None, False
                hidden.unlink(missing_ok=True)
            raise InputError(
                "journal_dir", str(self._directory), f"a folder in which this user can write ({exc.strerror}); nothing was sent"
            ) from exc
        self._tidy()

    @asynccontextmanager
    async def sent(self, target_id: str, text: str, requests: Iterable[tuple[str, str]], lost: View | None) -> AsyncIterator[None]:
        """Around the sending of a step: it is on disk before, and how it ended is noted behind. Raises AzureDRError, and sends nothing,
        where it cannot be."""
        await self.sending(target_id, text, requests, lost)
        state = UNKNOWN
        try:
            yield
            state = DONE
        except AzureError as error:
            state = FAILED if isinstance(error, OperationFailed) else REFUSED if error.accepted is False else UNKNOWN
            raise
        finally:
            self.ended(target_id, text, state)

    async def sending(self, target_id: str, text: str, requests: Iterable[tuple[str, str]], lost: View | None = None) -> None:
        """Return when it is on disk that the requests are about to be sent. Raises AzureDRError when it cannot be."""
        if self._handle is None:
            self.begin()
        line: View = {"sending": text, "id": target_id, "requests": [list(request) for request in requests]}
        trouble = await self._put(line | ({"lost": lost} if lost else {}))
        if trouble:
            raise AzureDRError(
                f"'{text}' was not sent, since the journal {self.file} could not be written ({trouble.strerror}). "
                "Make room there, or name another folder with journal_dir, and run this again."
            )
        self._open.setdefault(ids.key(target_id), {})[text] = lost

    def ended(self, target_id: str, text: str, state: str) -> None:
        """Note how a step ended. It need not be on disk at once: a step that is open too long is settled by what is seen."""
        self._put({"ended": text, "id": target_id, "state": state})
        texts = self._open.get(ids.key(target_id), {})
        if text in texts and _closes(state, texts[text]):
            _drop(self._open, target_id, text)

    def unfinished(self, target_id: str) -> list[Entry]:
        """What other runs left open on a target, the oldest first, as it is on disk now."""
        self._refresh()
        found = [entry for other in self._known() for entry in other.entries(target_id)]
        return sorted(found, key=lambda entry: entry.time)

    def taken_away(self, target_id: str) -> list[tuple[Run, View]]:
        """What runs, this one among them, took away from a target and nobody has seen back, the oldest first, with the run that did."""
        others = [(entry.run, entry.lost) for entry in self.unfinished(target_id) if entry.lost]
        return others + [(self.run, lost) for lost in self._open.get(ids.key(target_id), {}).values() if lost]

    def settle(self, target_id: str, found: Callable[[View], bool]) -> None:
        """The target is in the wanted state: close what is open on it, of this run and of those that have ended.

        found: whether what an entry calls lost is there again, or not wanted any more. What the run of another module did not see the end
        of, and took nothing away, is left to its own.
        """
        for text, lost in list(self._open.get(ids.key(target_id), {}).items()):
            if lost is None or found(lost):
                self._put({"ended": text, "id": target_id, "state": SETTLED})
                _drop(self._open, target_id, text)
        for other in self._known():
            entries = [] if other.live else other.entries(target_id)
            texts = [one.text for one in entries if (found(one.lost) if one.lost else one.run.module == self.run.module)]
            if texts and not other.settle(target_id, texts, self.run.run):
                self._warn(f"What {other.run} left on {target_id} is done, but its journal {other.path} cannot be written to say so.")

    def beside(self, target_ids: Iterable[str]) -> list[str]:
        """Sentences about the runs that are at work on some of these targets now; they are among the warnings as well."""
        self._refresh()
        mine, told = {ids.key(one) for one in target_ids}, []
        for other in self._known():
            common = mine & other.touched
            if other.live and common:
                names = ", ".join(sorted(one.rpartition("/")[2] for one in common)[:10])
                told.append(
                    f"The {other.run} is at work on {names} since {other.run.started}, for {other.run.user}. Both are brought to the same "
                    f"end. It runs as long as its journal is locked: {other.path}."
                )
        self._warnings += told
        return told

    async def close(self) -> None:
        """Write what is waiting and let go of the file."""
        if self._writer is not None:
            await self._writer
        for other in self._known():
            other.finish()
        if self._handle is None:
            return
        try:
            self._store(_line({"end": _clock(), "open": sum(map(len, self._open.values()))}))
        except OSError as exc:
            self._failed(exc)
        os.close(self._handle)
        self._handle = None

    # -- this run's file

    def _put(self, line: View) -> asyncio.Future[OSError | None]:
        """Have a line written, with all that are waiting; the future tells what hindered it."""
        written: asyncio.Future[OSError | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(_line(line | {"at": _clock()}), written))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        return written

    async def _write(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            trouble = None
            try:
                await asyncio.to_thread(self._store, b"".join(line.text for line in group))
            except OSError as exc:
                trouble = exc
                self._failed(exc)
            for line in group:
                if not line.written.done():
                    line.written.set_result(trouble)

    def _store(self, data: bytes) -> None:
        """Append and sync. Behind a write that broke off, a new line is begun."""
        handle = self._handle
        if handle is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        data = b"\n" + data if self._torn else data
        self._torn = True
        while data:
            data = data[os.write(handle, data) :]
        os.fsync(handle)
        self._torn = False

    def _failed(self, exc: OSError) -> None:
        self._warn(f"The journal {self.file} could not be written ({exc.strerror}).")

    def _tidy(self) -> None:
        """Remove old files of runs that left nothing open; and what a kill left of one that was only being made."""
        past = time.time() - KEPT_FOR
        for path in [*self._directory.glob("*.jsonl"), *self._directory.glob(".*Z-*")]:
            with suppress(OSError):
                if path.stat().st_mtime < past and (path.name.startswith(".") or _finished(path)):
                    path.unlink()

    # -- the files of the others

    def _known(self) -> list[_Other]:
        return [other for other in self._others.values() if other]

    def _refresh(self) -> None:
        """See the files that came since, and what is new in those that are being written."""
        for name, other in self._others.items():
            if other and other.live:
                self._read(name, other)
        try:
            changed = self._directory.stat().st_mtime_ns
            if changed == self._listed:
                return
            self._listed = changed if time.time_ns() - changed > SAME_TICK else 0
            names = sorted(path.name for path in self._directory.glob("*.jsonl"))
        except FileNotFoundError:
            return
        except OSError as exc:
            raise InputError("journal_dir", str(self._directory), f"a folder that this user can read ({exc.strerror})") from exc
        for name in names:
            if name not in self._others and name != f"{self.run.run}.jsonl":
                self._read(name, _Other(self._directory / name))

    def _read(self, name: str, other: _Other) -> None:
        self._others[name] = other
        try:
            if not other.read(self.run.cloud):
                self._others[name] = None
        except OSError as exc:
            self._others[name] = None
            if not isinstance(exc, FileNotFoundError):
                self._unread.append(f"{name} ({exc.strerror})")

    def _warn(self, text: str) -> None:
        if text not in self._warnings:
            self._warnings.append(text)


class _Other:
    """The journal of another run, read as far as it is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.live = True  # until it is seen not to be locked
        self.touched: set[str] = set()
        self._run: Run | None = None
        self._open: dict[str, dict[str, Entry]] = {}
        self._offset = 0

    @property
    def run(self) -> Run:
        if self._run is None:
            raise ValueError(f"{self.path} has not been read")
        return self._run

    def read(self, cloud: str) -> bool:
        """Take in what is new. False when it is of no interest: all in it is settled, it is no journal, or one of another cloud.

        Raises OSError.
        """
        if self._run is None and _finished(self.path):
            return False
        with self.path.open("rb") as handle:
            self.live = _locked(handle.fileno())  # before reading: what a run writes that ends meanwhile is then seen next time
            handle.seek(self._offset)
            for line in handle:
                if not line.endswith(b"\n"):
                    break  # half written: what it was to say was not sent
                self._offset += len(line)
                self._take(line)
                if self._run is None or self._run.cloud != cloud:
                    return False
        return self._run is not None

    def _take(self, line: bytes) -> None:
        try:
            told = json.loads(line)
            if self._run is None:
                self._run = Run(**told)
            elif "sending" in told:
                entry = Entry(self._run, told["id"], told["sending"], told["at"], tuple(map(tuple, told["requests"])), told.get("lost"))
                self._open.setdefault(ids.key(entry.id), {})[entry.text] = entry
                self.touched.add(ids.key(entry.id))
            elif "ended" in told:
                self._end(told["id"], told["ended"], told["state"])
        except (ValueError, TypeError, KeyError, AttributeError):
            return  # torn by a full disk, or not ours

    def _end(self, target_id: str, text: str, state: str) -> None:
        entries = self._open.get(ids.key(target_id), {})
        if text in entries and _closes(state, entries[text].lost):
            _drop(self._open, target_id, text)

    def entries(self, target_id: str) -> list[Entry]:
        return [
            Entry(one.run, one.id, one.text, one.time, one.requests, one.lost, self.live)
            for one in self._open.get(ids.key(target_id), {}).values()
        ]

    def settle(self, target_id: str, texts: Iterable[str], by: str) -> bool:
        """Close entries of a run that has ended, in its own file. False when that cannot be written."""
        for text in texts:
            self._end(target_id, text, SETTLED)
        lines = [{"ended": text, "id": target_id, "state": SETTLED, "by": by, "at": _clock()} for text in texts]
        return self._append(lines + ([] if self._open else [{"end": _clock(), "open": 0}]))

    def finish(self) -> None:
        """Mark the file of a run that was killed with nothing open, so that nobody need read it again."""
        with suppress(OSError):
            if not self.live and not self._open and not _finished(self.path):
                self._append([{"end": _clock(), "open": 0}])

    def _append(self, lines: list[View]) -> bool:
        with suppress(OSError), _appending(self.path) as handle:
            data = b"".join(map(_line, lines))
            torn = os.pread(handle, 1, max(0, os.fstat(handle).st_size - 1)) != b"\n"
            os.write(handle, b"\n" + data if torn else data)
            return True
        return False


def _closes(state: str, lost: Mapping[str, Any] | None) -> bool:
    """Whether a step that ended so is settled by that. What was to be taken away may be gone whatever the end: of several tries, the last
    one tells nothing about those before it."""
    return state == SETTLED or (lost is None and state in (DONE, FAILED, REFUSED))


def _drop(known: dict[str, dict[str, Any]], target_id: str, text: str) -> None:
    """Forget a step of a target, and the target with its last one."""
    steps = known.get(ids.key(target_id), {})
    steps.pop(text, None)
    if not steps:
        known.pop(ids.key(target_id), None)


def _line(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"


def _finished(path: Path) -> bool:
    """Whether a file's last line says that nothing is open. Raises OSError."""
    with path.open("rb") as handle:
        handle.seek(max(0, os.fstat(handle.fileno()).st_size - TAIL))
        last = handle.read().rstrip(b"\n").rpartition(b"\n")[2]
    return last.startswith(b'{"end":') and last.endswith(b',"open":0}')


def _locked(handle: int) -> bool:
    """Whether the process that writes the file is still there."""
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    fcntl.flock(handle, fcntl.LOCK_UN)
    return False


@contextmanager
def _appending(path: Path) -> Iterator[int]:
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
    try:
        yield handle
    finally:
        os.close(handle)


def _sync(directory: Path) -> None:
    """Have the names in a folder on disk."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # in a container that does not know its user
        return str(os.getuid())


def _clock() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
