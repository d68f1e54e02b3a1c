# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models in a Hugging Face cache folder: observed, staged beside it, and put in place by one rename.

What lies under ``hub/`` is always whole: one half-made model there breaks the listing of all
models for every client of Speaches. Everything unfinished lies under ``staging/``, on the same
file system. ``anklume.json`` in a model's folder remembers what was put there and from where.
"""

from __future__ import annotations

import errno
import fcntl
import grp
import gzip
import hashlib
import json
import lzma
import os
import pwd
import re
import shutil
import stat
import tarfile
import time
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol, cast

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error, WriteError
from ansible_collections.anklume.stt.plugins.module_utils._base.files import sync_path
from ansible_collections.anklume.stt.plugins.module_utils._models.hub import (
    Hub,
    Progress,
    human_bytes,
    is_commit,
)
from ansible_collections.anklume.stt.plugins.module_utils._models.kinds import (
    WHISPER,
    Kind,
    amendable,
    amended,
    check_described,
    check_name,
    kind_of,
)

_RECORD = "anklume.json"
_MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*")
_CHUNK = 1024 * 1024
_SPARE = 16 * 1024 * 1024
_LARGE_V3_TOKENS = 51866
_FETCHED = "archive"
_NOT_WHOLE = (
    *(tarfile.TarError, zipfile.BadZipFile, EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error),
    *(NotImplementedError, RuntimeError),  # a zip in a way that is not known, or with a password
)


def folder_name(model: str) -> str:
    """``org/name`` → the name of its folder in a Hugging Face cache."""
    if not _MODEL_ID.fullmatch(model) or ".." in model or "--" in model:
        raise Error(f"{model!r} is not the id of a model: it has the form owner/name")
    return "models--" + model.replace("/", "--")


# --- what is there -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Installed:
    """A model in the cache as it was found. ``problems`` says why it cannot be loaded as it is."""

    model: str
    folder: Path
    revision: str
    files: Mapping[str, int]
    source: Mapping[str, Any]
    problems: tuple[str, ...]
    kind: Kind = WHISPER

    @property
    def snapshot(self) -> Path:
        """The folder that the files are read from."""
        return self.folder / "snapshots" / self.revision

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(self.files.values())

    def described(self) -> dict[str, Any]:
        """What a user is told of it."""
        return {
            "name": self.model,
            "revision": self.revision,
            "path": str(self.snapshot),
            "size": self.size,
            "files": dict(sorted(self.files.items())),
            "source": {key: value for key, value in self.source.items() if key != "stamp"},
            "complete": not self.problems,
            "problems": list(self.problems),
        }


def _observe(folder: Path, precision: str) -> Installed:
    model = folder.name.removeprefix("models--").replace("--", "/", 1)
    try:
        revision = (folder / "refs" / "main").read_text(encoding="utf-8").strip()
    except OSError:
        return Installed(model, folder, "", {}, {}, ("it has no refs/main",))
    snapshot = folder / "snapshots" / revision
    if not revision or not snapshot.is_dir():
        return Installed(model, folder, revision, {}, {}, ("refs/main names a snapshot that is not there",))
    kind = kind_of(model, precision)
    files = {name: path.stat().st_size for name, path in _files(snapshot).items() if kind.wants(name)}
    record = _read_record(folder)
    recorded = record.get("files", {}) if record.get("revision") == revision else {}
    problems = [f"{name} is missing" for name in kind.missing(files)]
    for name, size in recorded.items():
        if name not in files and f"{name} is missing" not in problems:
            problems.append(f"{name} is missing")
        elif files.get(name, size) != size:
            problems.append(f"{name} has {files[name]} bytes instead of {size}")
    problems += [f"{name} is empty" for name, size in files.items() if size == 0 and name not in recorded]
    source = record.get("source", {}) if recorded else {}
    return Installed(model, folder, revision, files, source, tuple(problems), kind)


def _files(folder: Path) -> dict[str, Path]:
    """Every file below a folder, by its name from there."""
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def _other_snapshots(folder: Path, revision: str) -> list[Path]:
    return [path for path in sorted((folder / "snapshots").iterdir()) if path.name != revision]


def _read_record(folder: Path) -> dict[str, Any]:
    try:
        record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


# --- where it can come from --------------------------------------------------------------------


@dataclass(frozen=True)
class Filled:
    """A staged folder that holds all files of a model, each verified."""

    folder: Path
    revision: str
    source: Mapping[str, Any]


class Source(Protocol):
    """Where a model comes from."""

    def satisfied_by(self, installed: Installed) -> bool:
        """Whether what is there, being complete, is what this source would bring; no network."""

    def planned(self, kind: Kind) -> dict[str, Any]:
        """What can be told of the source before anything is fetched, for check mode and the diff."""

    def fill(self, cache: ModelCache, model: str, progress: Progress) -> Filled:
        """Bring all files into a folder under staging."""


@dataclass(frozen=True)
class HubSource:
    """A hub or its mirror, at a commit, a branch or a tag."""

    hub: Hub
    model: str
    revision: str

    def satisfied_by(self, installed: Installed) -> bool:
        """A branch is not looked up again: what it once meant stays until another revision is asked for."""
        if is_commit(self.revision):
            return installed.revision == self.revision
        return bool(self.revision == installed.source.get("requested", "main"))

    def planned(self, kind: Kind) -> dict[str, Any]:
        listing = self.hub.listing(self.model, self.revision, kind)
        return {"revision": listing.revision, "size": listing.size}

    def fill(self, cache: ModelCache, model: str, progress: Progress) -> Filled:
        listing = self.hub.listing(self.model, self.revision, cache.kind_of(model))
        stage = cache.stage(model, listing.revision)
        there = [path for path in (cache.hub / folder_name(model)).glob("snapshots/*/*") if path.is_file()]
        needed = 0
        for file in listing.files:
            target, part = stage / file.name, stage / f"{file.name}.part"
            if not target.exists():
                same = next((path for path in there if path.name == file.name and file.matches(path)), None)
                if same:
                    _link_or_copy(same.resolve(), target)
            if not target.exists():
                needed += file.size - (min(part.stat().st_size, file.size) if part.exists() else 0)
        cache.require_space(needed, f"{model} from {self.hub.endpoint}")
        for file in listing.files:
            if not (stage / file.name).exists():
                self.hub.download(listing, file, stage / file.name, progress)
        source = {"kind": "hub", "endpoint": self.hub.endpoint, "requested": self.revision}
        return Filled(stage, listing.revision, source)


@dataclass(frozen=True)
class FolderSource:
    """A folder on the same host with the files of one model."""

    path: Path

    def satisfied_by(self, installed: Installed) -> bool:
        """By time and size, then by content."""
        kind = installed.kind
        if installed.source.get("stamp") == self._stamp(kind):
            return True
        digests = {name: file_sha256(path) for name, path in self._files(kind).items()}
        return content_revision(digests) == installed.revision

    def planned(self, kind: Kind) -> dict[str, Any]:
        return {"folder": str(self.path)}

    def fill(self, cache: ModelCache, model: str, progress: Progress) -> Filled:
        kind = cache.kind_of(model)
        files = self._files(kind)
        if missing := kind.missing(files):
            raise Error(f"{self.path}: no {', '.join(missing)}: not the folder of {kind.what}")
        stage = cache.stage(model, "incoming", fresh=True)
        cache.require_space(sum(path.stat().st_size for path in files.values()), f"{model} from {self.path}")
        digests = {}
        for name, path in files.items():
            (stage / name).parent.mkdir(parents=True, exist_ok=True)
            with path.open("rb") as file:
                digests[name] = _copy(file, stage / name, path.stat().st_size, progress)
        return Filled(
            stage, content_revision(digests), {"kind": "folder", "path": str(self.path), "stamp": self._stamp(kind)}
        )

    def _files(self, kind: Kind) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for there, path in _files(self.path).items():
            if (kind.folders or "/" not in there) and (name := kind.kept_as(there)):
                if name in found:
                    raise Error(
                        f"{self.path}: {found[name].name} and {path.name} are both there: it has to hold one model"
                    )
                found[name] = path
        return found

    def _stamp(self, kind: Kind) -> list[list[Any]]:
        return [[name, path.stat().st_size, path.stat().st_mtime_ns] for name, path in self._files(kind).items()]


@dataclass(frozen=True)
class ArchiveSource:
    """A tar or zip archive on the same host that holds the files of one model in one folder."""

    path: Path
    sha256: str

    def satisfied_by(self, installed: Installed) -> bool:
        """By the digest given, by time and size, then by the archive's digest; one that is gone has done its work."""
        known = installed.source.get("sha256")
        if self.sha256 and self.sha256 == known:
            return True
        if not self.path.exists():
            return not self.sha256 and installed.source.get("kind") in ("archive", "folder")
        if not self.sha256 and installed.source.get("stamp") == self._stamp():
            return True
        return bool(known == self._verified())

    def planned(self, kind: Kind) -> dict[str, Any]:
        return {"archive": str(self.path)}

    def fill(self, cache: ModelCache, model: str, progress: Progress) -> Filled:
        digest = self._verified()
        incoming = cache.stage(model, "incoming", fresh=True, keep=_FETCHED)
        try:
            found = self._unpack(cache, model, incoming, progress)
        except _NOT_WHOLE as exc:
            raise Error(f"{self.path}: not a whole tar or zip archive: {exc}: fetch it again") from exc
        kind = cache.kind_of(model)
        models = [folder for folder, digests in found.items() if kind.marker in digests]
        if len(models) != 1:
            raise Error(f"{self.path}: {len(models) or 'no'} {kind.marker} in the archive: it has to hold one model")
        digests = found[models[0]]
        if missing := kind.missing(digests):
            raise Error(f"{self.path}: no {', '.join(missing)} beside {kind.marker}: not {kind.what}")
        stage = incoming / str(list(found).index(models[0]))
        source = {"kind": "archive", "path": str(self.path), "sha256": digest, "stamp": self._stamp()}
        return Filled(stage, content_revision(digests), source)

    def _unpack(
        self, cache: ModelCache, model: str, incoming: Path, progress: Progress
    ) -> dict[PurePosixPath, dict[str, str]]:
        """Copy out the wanted files alone, each folder of the archive into one of ours: names never become paths."""
        kind, found = cache.kind_of(model), dict[PurePosixPath, dict[str, str]]()
        for member in _members(self.path):
            name = PurePosixPath(member.name)
            if name.is_absolute() or ".." in name.parts:
                raise Error(f"{self.path}: {member.name!r} in it points out of the archive: refused")
            if not member.open:
                raise Error(f"{self.path}: {member.name!r} in it is a link or a device: pack the files themselves")
            root, kept = kind.place(name)
            if not kept:
                continue
            digests = found.setdefault(root, {})
            target = incoming / str(list(found).index(root)) / kept
            target.parent.mkdir(parents=True, exist_ok=True)
            cache.require_space(member.size, f"{name.name} of {model} from {self.path}")
            if kept in digests:
                raise Error(f"{self.path}: a second {kept} in {root}: it has to hold one model")
            with member.open() as content:
                digests[kept] = _copy(content, target, member.size, progress)
        return found

    def _verified(self) -> str:
        if not self.path.is_file():
            raise Error(f"{self.path}: no such folder or archive to take the model from")
        digest = file_sha256(self.path)
        if self.sha256 and digest != self.sha256:
            raise Error(
                f"{self.path}: wrong digest: sha256 is {digest} and should be {self.sha256}: nothing was unpacked"
            )
        return digest

    def _stamp(self) -> list[Any]:
        found = self.path.stat()
        return [str(self.path), found.st_size, found.st_mtime_ns]


@dataclass(frozen=True)
class _Member:
    """What is in an archive and no folder; nothing opens it where it is no file."""

    name: str
    size: int
    open: Callable[[], IO[bytes]] | None


def _members(path: Path) -> Iterator[_Member]:
    """One after the other, each to be read before the next."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if not info.is_dir():
                    is_file = stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG)
                    yield _Member(info.filename, info.file_size, partial(archive.open, info) if is_file else None)
        return
    with tarfile.open(path, "r|*") as tar:
        for member in tar:
            if not member.isdir():
                content = cast(Callable[[], IO[bytes]], partial(tar.extractfile, member)) if member.isreg() else None
                yield _Member(member.name, member.size, content)


@dataclass(frozen=True)
class PublishedSource:
    """An archive that the model's publisher has in a folder on the web, or a mirror of that folder."""

    hub: Hub
    name: str
    sha256: str = ""

    def satisfied_by(self, installed: Installed) -> bool:
        """By the archive's name, which has the model's version in it, and its digest where that is known."""
        source = installed.source
        return source.get("archive", self.name) == self.name and self.sha256 in ("", source.get("sha256"))

    def planned(self, kind: Kind) -> dict[str, Any]:
        return {"archive": f"{self.hub.endpoint}/{self.name}", "size": self.hub.archive(self.name, self.sha256).size}

    def fill(self, cache: ModelCache, model: str, progress: Progress) -> Filled:
        file = self.hub.archive(self.name, self.sha256)
        fetched = cache.stage(model, _FETCHED)
        target, part = fetched / file.name, fetched / f"{file.name}.part"
        if not target.exists():
            have = min(part.stat().st_size, file.size) if part.exists() else 0
            cache.require_space(file.size - have, f"{model} from {self.hub.endpoint}")
            self.hub.fetch(f"/{self.name}", file, target, progress)
        try:
            filled = ArchiveSource(target, self.sha256).fill(cache, model, progress)
        except Error:
            if not self.sha256:  # two halves of different archives, perhaps
                shutil.rmtree(fetched)
            raise
        source = {"kind": "publisher", "endpoint": self.hub.endpoint, "archive": self.name}
        return Filled(filled.folder, filled.revision, {**source, "sha256": filled.source["sha256"]})


def local_source(path: Path, sha256: str) -> FolderSource | ArchiveSource:
    """What lies at a path: a folder is the model itself, anything else has to be an archive of one."""
    if not path.is_dir():
        return ArchiveSource(path, sha256.lower())
    if sha256:
        raise Error(f"{path}: sha256 is the digest of an archive, and this is a folder")
    return FolderSource(path)


def content_revision(digests: Mapping[str, str]) -> str:
    """The revision of a model that has none of its own: it follows from the content alone."""
    lines = "".join(f"{name} {digest}\n" for name, digest in sorted(digests.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:40]


def file_sha256(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copy(source: IO[bytes], target: Path, size: int, progress: Progress) -> str:
    digest = hashlib.sha256()
    with target.open("wb") as out:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            out.write(chunk)
            progress(target.name, out.tell(), size)
        out.flush()
        os.fsync(out.fileno())
    return digest.hexdigest()


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        copy = target.with_name(f"{target.name}.copy")
        shutil.copyfile(source, copy)
        copy.replace(target)  # a killed run leaves no half of it under its name


# --- ownership ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ownership:
    """Who a model's files belong to. What is none stays as it is; folders are entered by whoever may read files."""

    uid: int | None = None
    gid: int | None = None
    mode: int | None = None

    @classmethod
    def named(cls, owner: str | None, group: str | None, mode: str | None) -> Ownership:
        """From names as a user gives them."""
        try:
            uid = pwd.getpwnam(owner).pw_uid if owner else None
        except KeyError as exc:
            raise Error(f"owner {owner!r}: there is no such user on this host") from exc
        try:
            gid = grp.getgrnam(group).gr_gid if group else None
        except KeyError as exc:
            raise Error(f"group {group!r}: there is no such group on this host") from exc
        if mode is not None and not re.fullmatch(r"0?[0-7]{3}", mode):
            raise Error(f"mode {mode!r}: it has to be three octal digits, as '0640', in quotes")
        return cls(uid, gid, int(mode, 8) if mode is not None else None)

    def differs(self, path: Path) -> bool:
        """Whether a file or folder is not as it should be."""
        found = path.lstat()
        return (
            (self.uid is not None and found.st_uid != self.uid)
            or (self.gid is not None and found.st_gid != self.gid)
            or (self.mode is not None and not path.is_symlink() and found.st_mode & 0o777 != self._mode_of(path))
        )

    def apply(self, path: Path) -> None:
        """Make one file or folder as it should be."""
        if not self.differs(path):
            return
        try:
            os.chown(
                path, -1 if self.uid is None else self.uid, -1 if self.gid is None else self.gid, follow_symlinks=False
            )
            if self.mode is not None and not path.is_symlink():
                path.chmod(self._mode_of(path))
        except OSError as exc:
            raise WriteError(f"{path}: its owner or mode cannot be set: {exc.strerror}: run as root") from exc

    def _mode_of(self, path: Path) -> int:
        mode = self.mode or 0
        return mode | (mode & 0o444) >> 2 if path.is_dir() else mode


# --- the cache ---------------------------------------------------------------------------------


@dataclass
class ModelCache:
    """A Hugging Face cache (what ``HF_HOME`` names) with its ``hub/`` and our ``staging/``."""

    root: Path
    ownership: Ownership = field(default_factory=Ownership)
    precision: str = "int8"

    @property
    def hub(self) -> Path:
        return self.root / "hub"

    @property
    def staging(self) -> Path:
        return self.root / "staging"

    def kind_of(self, model: str) -> Kind:
        """The kind of a model, in the precision that is wanted here."""
        return kind_of(model, self.precision)

    def find(self, model: str) -> Installed | None:
        """The model as it lies there, whole or not."""
        folder = self.hub / folder_name(model)
        return _observe(folder, self.precision) if folder.is_dir() else None

    def all(self) -> list[Installed]:
        """Every model that lies there, by name."""
        return [_observe(folder, self.precision) for folder in sorted(self.hub.glob("models--*--*")) if folder.is_dir()]

    def unfinished(self) -> list[dict[str, Any]]:
        """Downloads that were begun and not finished, with the bytes they take."""
        return [
            {
                "name": folder.name.removeprefix("models--").replace("--", "/", 1),
                "size": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
            }
            for folder in sorted(self.staging.glob("models--*--*"))
        ]

    @contextmanager
    def changing(self, model: str) -> Iterator[None]:
        """Hold the lock; turn what the file system refuses into a message, and give back the space on a full disk."""
        try:
            with self._locked():
                yield
        except OSError as exc:
            if exc.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                shutil.rmtree(self.staging / folder_name(model), ignore_errors=True)
                raise WriteError(
                    f"{self.root}: no space left for {model}: what was begun is removed: make room"
                ) from exc
            raise WriteError(f"{exc.filename or self.root}: {exc.strerror or exc}") from exc

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other writers out; what a killed one left behind is cleared away, but for downloads to go on with."""
        for folder in (self.root, self.hub, self.staging):
            self._make_folder(folder)
        with (self.staging / ".lock").open("a+", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as exc:
                lock.seek(0)
                raise WriteError(
                    f"{self.root}: process {lock.read().strip() or '?'} is changing models here: wait for it"
                ) from exc
            lock.seek(0)
            lock.truncate()
            lock.write(str(os.getpid()))
            lock.flush()
            for left in self.staging.glob("trash-*"):
                shutil.rmtree(left)
            yield

    def stage(self, model: str, revision: str, *, fresh: bool = False, keep: str = "") -> Path:
        """The folder to gather a revision in; what lies there of others is dropped, except what is to be kept."""
        parent = self.staging / folder_name(model)
        parent.mkdir(exist_ok=True)
        for other in parent.iterdir():
            if other.name != keep and (other.name != revision or fresh):
                shutil.rmtree(other)
        (parent / revision).mkdir(exist_ok=True)
        return parent / revision

    def require_space(self, needed: int, what: str) -> None:
        """Refuse before the disk is full: others live on it."""
        available = shutil.disk_usage(self.staging).free
        if needed and needed + _SPARE > available:
            raise WriteError(
                f"{self.root}: {what} needs {human_bytes(needed + _SPARE)} and {human_bytes(available)} are available:"
                " make room or choose a smaller model"
            )

    def publish(self, model: str, filled: Filled) -> None:
        """Put a staged model in place: first its files, then what points at them, then the old ones go."""
        kind = self.kind_of(model)
        for file, text in self._amendments(filled.folder, model):
            self._write(filled.folder / file, text)
        check_described(model, _text(filled.folder / "README.md"))
        if kind is WHISPER:
            self._check_mels(filled.folder, model)
        there = _files(filled.folder)
        files = {name: path for name, path in there.items() if kind.wants(name)}
        for name, path in there.items():
            if name not in files:
                path.unlink()
        record = {
            "revision": filled.revision,
            "source": filled.source,
            "files": {name: path.stat().st_size for name, path in files.items()},
        }
        self._put_in_place(self.hub / folder_name(model), filled, json.dumps(record, indent=1) + "\n")
        shutil.rmtree(self.staging / folder_name(model))

    def _put_in_place(self, target: Path, filled: Filled, record: str) -> None:
        new = self.staging / f"trash-{uuid.uuid4().hex}"
        (new / "refs").mkdir(parents=True)
        (new / "snapshots").mkdir()
        self._write(new / _RECORD, record)
        self._write(new / "refs" / "main", filled.revision)
        filled.folder.rename(new / "snapshots" / filled.revision)
        for path in [new, *new.rglob("*")]:
            self.ownership.apply(path)
            if path.is_dir():
                sync_path(path)
        if not target.exists():
            new.rename(target)
            sync_path(self.hub)
            return
        for folder in ("snapshots", "refs"):
            (target / folder).mkdir(exist_ok=True)
            self.ownership.apply(target / folder)
        snapshot = target / "snapshots" / filled.revision
        if snapshot.exists():
            for name, path in _files(new / "snapshots" / filled.revision).items():
                (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
                self.ownership.apply((snapshot / name).parent)
                path.replace(snapshot / name)
                sync_path((snapshot / name).parent)
            sync_path(snapshot)
        else:
            (new / "snapshots" / filled.revision).rename(snapshot)
        sync_path(target / "snapshots")
        (new / _RECORD).replace(target / _RECORD)
        (new / "refs" / "main").replace(target / "refs" / "main")
        sync_path(target / "refs")
        shutil.rmtree(new)
        self._drop_other_snapshots(target, filled.revision)

    def _drop_other_snapshots(self, folder: Path, revision: str) -> None:
        """Speaches reads files from any snapshot that it finds, so only one may stay."""
        for old in _other_snapshots(folder, revision):
            self._trash(old)

    def _trash(self, path: Path) -> None:
        """Take a folder away in one step for whoever reads the cache."""
        trash = self.staging / f"trash-{uuid.uuid4().hex}"
        path.rename(trash)
        sync_path(path.parent)
        shutil.rmtree(trash)

    def remove(self, model: str) -> None:
        """Take a model away, and what was begun of it."""
        folder = self.hub / folder_name(model)
        if folder.exists():
            self._trash(folder)
        shutil.rmtree(self.staging / folder_name(model), ignore_errors=True)

    def adjust(self, installed: Installed, *, dry: bool) -> list[str]:
        """Put right what needs no source, and say what was, or would be, changed.

        These are README.md's metadata, owners and modes, and what a killed run left: a former revision, a download
        of no use any more. Revisions in a model that somebody else put there are theirs.
        """
        changes = []
        begun = self.staging / folder_name(installed.model)
        if begun.exists():
            changes.append("an unfinished download")
            if not dry:
                shutil.rmtree(begun)
        if installed.source and _other_snapshots(installed.folder, installed.revision):
            changes.append("a former revision")
            if not dry:
                self._drop_other_snapshots(installed.folder, installed.revision)
        for file, text in self._amendments(installed.snapshot, installed.model):
            changes.append("metadata in README.md" if file == "README.md" else file)
            if not dry:
                self._replace(installed, file, text)
        wrong = [path for path in [installed.folder, *installed.folder.rglob("*")] if self.ownership.differs(path)]
        if wrong:
            changes.append("owner, group or mode")
            if not dry:
                for path in wrong:
                    self.ownership.apply(path)
        return changes

    def _amendments(self, folder: Path, model: str) -> list[tuple[str, str]]:
        """The files of a model that are not as they have to be, and how they have to be."""
        texts = {file: _text(folder / file) for file in amendable(self.kind_of(model))}
        return [(file, new) for file, text in texts.items() if (new := amended(model, file, text)) != text]

    def _replace(self, installed: Installed, file: str, text: str) -> None:
        staged = self.staging / f"trash-{uuid.uuid4().hex}"
        staged.mkdir()
        new = staged / "new"
        self._write(new, text)
        self.ownership.apply(new)
        record = _read_record(installed.folder)
        if "files" in record:
            record["files"][file] = new.stat().st_size
            self._write(staged / _RECORD, json.dumps(record, indent=1) + "\n")
            self.ownership.apply(staged / _RECORD)
            (staged / _RECORD).replace(installed.folder / _RECORD)
        new.replace(installed.snapshot / file)
        shutil.rmtree(staged)

    def _check_mels(self, folder: Path, model: str) -> None:
        """The large-v3 family hears 128 bands, and only preprocessor_config.json says so."""
        vocabulary = folder / "vocabulary.json"
        if (folder / "preprocessor_config.json").exists() or not vocabulary.exists():
            return
        try:
            tokens = len(json.loads(vocabulary.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as exc:
            raise Error(f"{model}: vocabulary.json is not a list of tokens: {exc}") from exc
        if tokens >= _LARGE_V3_TOKENS:
            raise Error(
                f"{model}: no preprocessor_config.json: without it every transcription with a large-v3 model fails"
            )

    def _make_folder(self, folder: Path) -> None:
        if folder.is_dir():
            return
        try:
            folder.mkdir(parents=True)
        except OSError as exc:
            raise WriteError(f"{folder}: the cache folder cannot be made: {exc.strerror}") from exc
        self.ownership.apply(folder)

    def _write(self, path: Path, text: str) -> None:
        path.unlink(missing_ok=True)  # it may be a hard link to what is served
        with path.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())


class ProgressLines:
    """Lines as ``model.bin 34 % (550.2 MiB of 1.5 GiB)`` in a file for ``tail -f``, at most one in two seconds."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._last = ("", 0.0)
        if path is not None:
            try:
                path.write_text("", encoding="utf-8")
            except OSError as exc:
                raise WriteError(f"{path}: the progress cannot be written there: {exc.strerror}") from exc

    def __call__(self, name: str, done: int, total: int) -> None:
        """Take note of bytes that arrived."""
        now = time.monotonic()
        if self._path is None or (done < total and name == self._last[0] and now - self._last[1] < 2.0):
            return
        self._last = (name, now)
        percent = 100 * done // total if total else 100
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{name} {percent} % ({human_bytes(done)} of {human_bytes(total)})\n")


# --- reconcile ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What was changed, or would be, and what is there now."""

    changed: bool
    before: dict[str, Any]
    after: dict[str, Any]


def ensure_present(cache: ModelCache, model: str, source: Source, progress: Progress, *, check_mode: bool) -> Outcome:
    """Have the model in the cache, whole and as the source has it."""
    installed = cache.find(model)
    before = installed.described() if installed else {}
    if installed and not installed.problems and source.satisfied_by(installed):
        changes = cache.adjust(installed, dry=True)
        if changes and not check_mode:
            with cache.changing(model):
                cache.adjust(installed, dry=False)
        found = installed if check_mode else cache.find(model) or installed
        adjusted = {"adjusted": changes} if changes else {}
        return Outcome(bool(changes), before, {**found.described(), **adjusted})
    check_name(model)
    if check_mode:
        return Outcome(
            True, before, {"name": model, "complete": True, "problems": [], **source.planned(cache.kind_of(model))}
        )
    with cache.changing(model):
        cache.publish(model, source.fill(cache, model, progress))
    done = cache.find(model)
    if done is None or done.problems:
        raise WriteError(
            f"{cache.hub}: {model} is not whole after it was put there: {done.problems if done else 'gone'}"
        )
    return Outcome(True, before, done.described())


def ensure_absent(cache: ModelCache, model: str, *, check_mode: bool) -> Outcome:
    """Have nothing of the model in the cache."""
    installed = cache.find(model)
    begun = any(left["name"] == model for left in cache.unfinished())
    before = installed.described() if installed else {"name": model, "unfinished": True} if begun else {}
    if before and not check_mode:
        with cache.changing(model):
            cache.remove(model)
    return Outcome(bool(before), before, {})
