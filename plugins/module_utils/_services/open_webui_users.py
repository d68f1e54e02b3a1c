# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The accounts of the people in Open WebUI: those that are named, against those that are there.

The id of an account that is made here follows from its e-mail: it is a UUID of version 5, where Open WebUI gives those
of version 4. So the database itself says which accounts are ours, in each backup too, and no page can change it.

Accounts are read in milliseconds where the database is in SQLite; they are written by Open WebUI's own classes, which
is seldom. A session and a socket are checked against the database at every use, so an account that is shut is shut at
once; a new stamp keeps the sessions of before shut when it is opened again.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._base.errors import ServiceError
from ansible_collections.anklume.stt.plugins.module_utils._services.open_webui import Database

IN_SQLITE = """
import json, sqlite3, sys
database = sqlite3.connect(f"file:{json.load(sys.stdin)['database']}?mode=ro", uri=True, timeout=10)
database.row_factory = sqlite3.Row
rows = database.execute("select u.id, u.email, u.name, u.role, a.active from user u left join auth a on a.id = u.id")
print(json.dumps([dict(row) for row in rows]))
"""

IN_OWN_CODE = """
import asyncio, json, sys, time, uuid
import bcrypt
from sqlalchemy import select
from open_webui.internal.db import get_async_db
from open_webui.models.auths import Auth
from open_webui.models.config import Config
from open_webui.models.users import User, UserModel
from open_webui.utils.groups import apply_default_group_assignment

async def write(database, account):
    user, auth = await database.get(User, account["id"]), await database.get(Auth, account["id"])
    if account["made"]:
        now = int(time.time())
        password = bcrypt.hashpw(account["password"].encode(), bcrypt.gensalt()).decode()
        fields = {name: account[name] for name in ("id", "email", "name", "role")}
        times = {"last_active_at": now, "updated_at": now, "created_at": now}
        user, auth = User(**UserModel(**fields, **times).model_dump()), Auth(id=account["id"], password=password)
        database.add_all([user, auth])
    user.name, user.role = account["name"], account["role"]
    user.email = auth.email = account["email"]
    auth.active = account["active"]
    if account["made"] or account["ended"]:
        auth.session_stamp = str(uuid.uuid4())
    await database.flush()

async def main():
    accounts = json.load(sys.stdin)["accounts"]
    async with get_async_db() as database:
        for account in accounts:
            await write(database, account)
        await database.commit()
    for account in accounts:
        if account["made"]:
            await apply_default_group_assignment(await Config.get("ui.default_group_id"), account["id"])
    async with get_async_db() as database:
        rows = await database.execute(
            select(User.id, User.email, User.name, User.role, Auth.active).outerjoin(Auth, Auth.id == User.id)
        )
        return [dict(row) for row in rows.mappings()]

print("\\n" + json.dumps(asyncio.run(main())))
"""

EMAIL = re.compile(r"[\w.%+'-]+@(localhost|[\w-]+(\.[\w-]+)+)")
"""What Open WebUI takes for an e-mail, without what could not stand in the name of a file."""
ROLES = ("user", "admin", "pending")
"""What an account may be; "pending" waits to be let in."""


@dataclass(frozen=True)
class Account:
    """An account. One that is not active can't sign in, and its sessions end."""

    email: str
    name: str
    role: str = "user"
    active: bool = True
    id: str = field(default="", compare=False)

    @property
    def ours(self) -> bool:
        """Whether it was made here."""
        return re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", self.id) is not None


@dataclass(frozen=True)
class Change:
    """An account as it is, and as it should be; nothing before it is made."""

    before: Account | None
    after: Account

    @property
    def taken_out(self) -> bool:
        """Whether nobody names it any more."""
        return not self.after.active

    def shown(self, side: str) -> dict[str, Any]:
        """One side of a diff."""
        account = self.before if side == "before" else self.after
        return {name: value for name, value in asdict(account).items() if name != "id"} if account else {}


def named_accounts(users: Iterable[Mapping[str, Any]]) -> list[Account]:
    """The accounts of those that are named, each with the id that follows from its e-mail."""
    accounts = [Account(user["email"].lower(), user["name"], user.get("role") or "user") for user in users]
    return [replace(one, id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"mailto:{one.email}"))) for one in accounts]


def faults(users: Iterable[Mapping[str, Any]], administrator: str) -> list[str]:
    """What is wrong with those that are named."""
    found, seen = [], {administrator.lower()}
    for user in users:
        where, email = f"open_webui_users names {user['email'] or 'nobody'}", user["email"].lower()
        if not EMAIL.fullmatch(email):
            found.append(
                f"{where}, which is no e-mail of the form name@example.org: people sign in with one, and name@localhost"
                " will do for who has none"
            )
        elif email == administrator.lower():
            found.append(
                f"{where}, who is the administrator of open_webui_admin_email: leave that account out, it is kept apart"
            )
        elif email in seen:
            found.append(f"{where} twice: an e-mail is one account, give the other person another")
        if not user["name"].strip():
            found.append(f"{where} without a name: say what the others see")
        seen.add(email)
    return found


def plan(named: Iterable[Account], there: Iterable[Account], administrator: str) -> list[Change]:
    """What has to change so that those that are named can sign in, and those of ours that nobody names can't.

    The account of the administrator stays as it is, and so do those that people made themselves.
    """
    wanted = {account.id: account for account in named}
    known = {account.id: account for account in there}
    foreign = {account.email.lower(): account for account in known.values() if account.id not in wanted}
    if taken := [account.email for account in wanted.values() if account.email in foreign]:
        raise ServiceError(
            f"{', '.join(taken)} has an account already that open_webui_users did not make, so it stays as it is: take"
            " the e-mail out of open_webui_users, or delete that account and its chats on the page Admin Panel, Users"
        )
    for account in known.values():
        if account.ours and account.id not in wanted and account.email.lower() != administrator.lower():
            wanted[account.id] = replace(account, role="pending", active=False)
    # first those that are there: an e-mail that was changed by hand may be another's
    changes = [Change(known.get(account.id), account) for account in wanted.values()]
    return sorted((one for one in changes if one.before != one.after), key=lambda change: change.before is None)


class Users(Database):
    """The accounts in one installed Open WebUI."""

    def read(self) -> list[Account]:
        """All that are there."""
        return self._accounts(self.ask({"accounts": []}, IN_OWN_CODE, IN_SQLITE))

    def write(self, changes: list[Change], passwords: Mapping[str, str]) -> None:
        """Makes and changes accounts, and sees that they are as they should be."""
        accounts = []
        for change in changes:
            made = change.before is None
            password = passwords.get(change.after.email, "") if made else ""
            if made and not password:
                raise ServiceError(f"there is no first password for {change.after.email}: make one, then its account")
            more = {"made": made, "ended": change.taken_out, "password": password}
            accounts.append(asdict(change.after) | more)
        there = self._accounts(self.ask({"accounts": accounts}, IN_OWN_CODE))
        if lost := [change.after.email for change in changes if change.after not in there]:
            raise ServiceError(f"open webui did not keep the accounts {', '.join(lost)}")

    @staticmethod
    def _accounts(rows: Iterable[Mapping[str, Any]]) -> list[Account]:
        return [Account(**{**row, "active": bool(row["active"])}) for row in rows]
