# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open WebUI's database, and the live settings in it: read, compared and changed.

Open WebUI reads its environment at the first start only; from then on the database rules, and it is asked at every
use, so a change there is live at once. In SQLite, where a setting is one row with a JSON value, Python's own module
reads and writes them in milliseconds. Other databases are reached through Open WebUI's own classes in its own
interpreter, which take some seconds to import. Both run as the service's user: a database opened by root would leave
files behind that the service cannot use.
"""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
import urllib.parse
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import ServiceError

MASK = "(secret)"

IN_SQLITE = """
import json, sqlite3, sys, time
wanted = json.load(sys.stdin)
database = sqlite3.connect(f"file:{wanted['database']}?mode=rw", uri=True, timeout=10)
with database:
    database.executemany(
        "insert into config (key, value, updated_at) values (?, ?, ?)"
        " on conflict (key) do update set value = excluded.value, updated_at = excluded.updated_at",
        [(key, json.dumps(value), int(time.time())) for key, value in wanted["values"].items()],
    )
rows = dict(database.execute("select key, value from config"))
print(json.dumps({key: json.loads(rows[key]) for key in wanted["keys"] if key in rows}))
"""

IN_OWN_CODE = """
import asyncio, json, sys
from open_webui.models.config import Config
wanted = json.load(sys.stdin)
async def main():
    if wanted["values"]:
        await Config.upsert(wanted["values"])
    rows = await Config.get_all()
    return {key: rows[key] for key in wanted["keys"] if key in rows}
settings = asyncio.run(main())
print("\\n" + json.dumps(settings))
"""


def read_environment(text: str) -> dict[str, str]:
    """The variables of a systemd environment file, as far as the role writes them: ``NAME="value"`` lines."""
    variables = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if not equals or line.startswith(("#", ";")):
            continue
        if len(value) > 1 and value[0] == value[-1] == '"':
            value = value[1:-1].replace('\\"', '"').replace("\\\\", "\\")
        variables[name.strip()] = value
    return variables


def write_environment(variables: Mapping[str, Any]) -> str:
    """A systemd environment file, as read_environment reads it."""
    lines = []
    for name, value in sorted(variables.items(), key=lambda item: item[0].lower()):
        quoted = str(value).replace("\\", "\\\\").replace('"', '\\"')
        lines.append(f'{name}="{quoted}"\n')
    return "".join(lines)


def changes(current: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The wanted settings that the database does not hold as they are."""
    return {key: value for key, value in wanted.items() if key not in current or current[key] != value}


def shown(settings: Mapping[str, Any], keys: Mapping[str, Any], secrets: Container[str]) -> dict[str, Any]:
    """One side of a diff: the changed settings, those of ``secrets`` masked (but whether they are empty is shown)."""
    return {key: MASK if key in secrets and settings[key] else settings[key] for key in sorted(keys) if key in settings}


def choose_model(wanted: str, aliases: list[str], listed: list[str]) -> str:
    """The model to ask an STT server for: the wanted one if it is there, else an alias, else the server's own."""
    known = f"it has {', '.join(listed)}" if listed else "it has none"
    if wanted:
        if wanted not in (*listed, *aliases):
            raise ServiceError(f"the STT server has no model {wanted}: {known}")
        return wanted
    if aliases:
        return aliases[0]
    if "whisper-1" in listed:
        return "whisper-1"
    whispers = [model for model in listed if "whisper" in model.lower()]
    if len(whispers or listed) != 1:
        raise ServiceError(f"the model to ask the STT server for is not clear, {known}: name one")
    return (whispers or listed)[0]


def stt_settings(base_url: str, model: str) -> dict[str, Any]:
    """The settings for an STT server, but for its key; empty texts turn speech to text off."""
    return {
        "audio.stt.engine": "openai" if base_url else "",
        "audio.stt.openai.api_base_url": base_url,
        "audio.stt.model": model,
    }


def choose_speaker(server: Mapping[str, Any], models: list[str], voices: list[str]) -> tuple[str, str]:
    """The model and the voice to ask a server for: those that are wanted, else its aliases' and its first."""
    model, aliases = server["model"] or "", server["aliases"]
    if not model and models and not {"tts-1", *aliases} & {*models, *aliases}:
        if len(models) != 1:
            raise ServiceError(f"the model that is to speak is not clear, the server has {', '.join(models)}: name one")
        model = models[0]
    return model or (aliases or ["tts-1"])[0], server["voice"] or (voices or [TTS_OFF["audio.tts.voice"]])[0]


TTS_OFF = {
    "audio.tts.engine": "",
    "audio.tts.openai.api_base_url": "https://api.openai.com/v1",
    "audio.tts.openai.api_key": "",
    "audio.tts.model": "tts-1",
    "audio.tts.voice": "alloy",
}
"""The settings of an Open WebUI in which nothing was ever set for speech; browsers then read aloud by themselves."""


def of_somebody_else(hosts: list[str] | None, current: Mapping[str, Any]) -> bool:
    """Whether the speech that is set leads to none of some hosts; with no list of them it never does."""
    address = str(current.get("audio.tts.openai.api_base_url", ""))
    return hosts is not None and urllib.parse.urlsplit(address).hostname not in hosts


def tts_settings(base_url: str, api_key: str, model: str, voice: str) -> dict[str, Any]:
    """The settings for a server that speaks."""
    return dict(zip(TTS_OFF, ("openai", base_url, api_key, model, voice), strict=True))


SECRETS = ("audio.stt.openai.api_key", "audio.tts.openai.api_key")
"""The settings of these that are shown nowhere."""


ARGUMENTS: dict[str, dict[str, Any]] = {
    "python": {"type": "path", "default": "/opt/open-webui/current/bin/python"},
    "environment_files": {
        "type": "list",
        "elements": "path",
        "default": ["/etc/open-webui/open-webui.env", "/etc/open-webui/secrets.env"],
    },
    "user": {"type": "str", "default": "open-webui"},
}
"""How modules are told of an installed Open WebUI; the fragment open_webui says it to people."""


class Database:
    """The database of one installed Open WebUI."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        """Takes the interpreter of Open WebUI's virtual environment, the service's user and its environment files."""
        self.python = params["python"]
        try:
            self.account = pwd.getpwnam(params["user"])
        except KeyError as error:
            raise ServiceError(f"there is no user {params['user']}: install Open WebUI first") from error
        self.environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
        for path in params["environment_files"]:
            self.environment |= read_environment(Path(path).read_text(encoding="utf-8"))
        self.environment["ENABLE_DB_MIGRATIONS"] = "false"

    def ask(self, question: Mapping[str, Any], in_own_code: str, in_sqlite: str = "") -> Any:
        """The answer of a program to a question: of `in_sqlite`, if there is one, where the database is in SQLite."""
        file = self._sqlite_file()
        if file and not file.is_file():
            raise ServiceError(f"there is no database {file}: start Open WebUI once before")
        if file and in_sqlite:
            return self._run([sys.executable, "-Ic", in_sqlite], {**question, "database": str(file)})
        if not os.access(self.python, os.X_OK):
            raise ServiceError(f"there is no interpreter {self.python}: install Open WebUI first")
        return self._run([self.python, "-Ic", in_own_code], question)

    def _sqlite_file(self) -> Path | None:
        """The SQLite database in use, or None where it is another kind."""
        url = self.environment.get("DATABASE_URL", "")
        if url.startswith("sqlite:///"):
            return Path(url.removeprefix("sqlite:///"))
        if url or self.environment.get("DATABASE_TYPE"):
            return None
        return Path(self.environment.get("DATA_DIR", "/var/lib/open-webui")) / "webui.db"

    def _run(self, command: list[str], question: Mapping[str, Any]) -> Any:
        """Runs a program as the service's user, with a question on its input and the answer as its last line."""
        identity: dict[str, Any] = {}
        if os.geteuid() == 0:
            groups = os.getgrouplist(self.account.pw_name, self.account.pw_gid)
            identity = {"user": self.account.pw_uid, "group": self.account.pw_gid, "extra_groups": groups}
        # pylint: disable-next=ansible-bad-function
        result = subprocess.run(
            command,
            input=json.dumps(question),
            env=self.environment,
            cwd=self.environment.get("DATA_DIR", "/"),
            capture_output=True,
            text=True,
            check=False,
            umask=0o027,
            **identity,
        )
        if result.returncode:
            reason = (result.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise ServiceError(f"open webui's database cannot be read or changed: {reason}")
        return json.loads(result.stdout.strip().splitlines()[-1])


class Settings(Database):
    """Its settings."""

    def read(self, keys: list[str]) -> dict[str, Any]:
        """The current values of some settings; those that the database lacks are left out."""
        return self._ask(keys, {})

    def write(self, values: Mapping[str, Any]) -> None:
        """Sets some settings, and sees that they stuck."""
        lost = sorted(changes(self._ask(list(values), values), values))
        if lost:
            raise ServiceError(
                f"open webui did not keep the settings {', '.join(lost)}: ENABLE_PERSISTENT_CONFIG must not be false"
            )

    def _ask(self, keys: list[str], values: Mapping[str, Any]) -> dict[str, Any]:
        """Sets ``values``, then reads ``keys``."""
        answer: dict[str, Any] = self.ask({"keys": keys, "values": values}, IN_OWN_CODE, IN_SQLITE)
        return answer
