# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everyone at home: who is named signs in, who no longer is does not, and strangers wait to be let in."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from conftest import ANNA, Api, Run

Role = Callable[..., Run]
SETTINGS = ("-t", "open_webui_verify")
PEOPLE = ("-t", "open_webui_configure,open_webui_verify")
BEN = {"name": "Ben", "email": "ben@localhost", "role": "admin"}
SIGN_IN = ("POST", "/api/v1/auths/signin")
OWN = "a-password-of-my-own"


def first_password(project: Path, email: str) -> str:
    path = project / f"secrets/mow-webui-open-webui-password-{email}"
    assert path.stat().st_mode & 0o777 == 0o600
    return path.read_text()


@pytest.fixture(scope="module")
def anna(project: Path, api: Api) -> Api:
    """Anna, whom host_vars name, with a chat and a password of her own, and a name and a role from the page."""
    assert api.ready()
    anna = Api(project)
    anna.sign_in(ANNA, first := first_password(project, ANNA))
    anna.chat("of Anna")
    anna.call("POST", "/api/v1/auths/update/password", {"password": first, "new_password": OWN})
    [account] = [user for user in api.call("GET", "/api/v1/users/all")["users"] if user["email"] == ANNA]
    assert (account["name"], account["role"]) == ("Anna", "user")
    api.call("POST", f"/api/v1/users/{account['id']}/update", {"name": "Her Majesty", "role": "admin"})
    anna.sign_in(ANNA, OWN)
    return anna


def test_people_are_made_and_kept_as_they_are_named_and_their_passwords_are_theirs(
    role: Role, project: Path, anna: Api
) -> None:
    ben = Api(project)
    assert ben.refusal(*SIGN_IN, {"email": BEN["email"], "password": "any"}) == 400
    named = [{"name": "Anna", "email": ANNA.upper()}, BEN]
    made = role(*PEOPLE, "-vvv", "--diff", open_webui_users=named)
    assert made.status == 0, made.output[-3000:]
    ben.sign_in(BEN["email"], password := first_password(project, BEN["email"]))
    assert f"the first password of {BEN['email']} is in" in made.output
    assert password not in made.output
    assert "Her Majesty" in made.output  # the diff says what was by hand
    users = {user["email"]: user for user in ben.call("GET", "/api/v1/users/all")["users"]}
    assert (users[ANNA]["name"], users[ANNA]["role"]) == ("Anna", "user")
    assert anna.titles() == {"of Anna"}
    assert anna.refusal("GET", "/api/v1/users/all") == 401


def test_who_is_no_longer_named_is_out_and_comes_back_with_the_chats(role: Role, api: Api, anna: Api) -> None:
    planned = role(*SETTINGS, "--check", "--diff", open_webui_users=[])
    assert planned.changed, planned.output
    assert "role: pending" in planned.output
    assert anna.titles() == {"of Anna"}

    out = role(*SETTINGS, open_webui_users=[])
    assert out.status == 0, out.output
    assert anna.refusal("GET", "/api/v1/chats/") == 401
    assert anna.refusal("GET", "/api/v1/auths/") == 401
    assert anna.refusal(*SIGN_IN, {"email": ANNA, "password": OWN}) == 400
    assert api.titles() is not None  # the administrator stays

    back = role(*SETTINGS, open_webui_signup="pending")
    assert back.status == 0, back.output
    assert anna.refusal("GET", "/api/v1/chats/") == 401, "the session of before stays shut"
    anna.sign_in(ANNA, OWN)
    assert anna.titles() == {"of Anna"}
    assert anna.refusal(*SIGN_IN, {"email": BEN["email"], "password": "any"}) == 400


def test_a_stranger_who_signs_up_sees_nothing_until_let_in(role: Role, api: Api, project: Path) -> None:
    """The test before has let strangers sign up."""
    stranger = Api(project)
    account = {"name": "Stranger", "email": "stranger@example.org", "password": "a-long-password"}
    signed_up = stranger.call("POST", "/api/v1/auths/signup", account)
    stranger.token = signed_up["token"]
    assert signed_up["role"] == "pending"
    assert stranger.refusal("GET", "/api/v1/chats/") == 401
    api.call("POST", f"/api/v1/users/{signed_up['id']}/update", {"role": "user"})
    assert stranger.titles() == set()

    closed = role(*SETTINGS)
    assert closed.changed, closed.output
    assert Api(project).refusal("POST", "/api/v1/auths/signup", account | {"email": "other@example.org"}) == 403
    assert stranger.titles() == set(), "whoever made an account keeps it"
    assert not role(*SETTINGS).changed
    api.call("DELETE", f"/api/v1/users/{signed_up['id']}")


REFUSED = {
    "twice": ([BEN, BEN | {"email": "BEN@localhost"}], "open_webui_users names BEN@localhost twice"),
    "no e-mail": ([BEN | {"email": "ben"}], "open_webui_users names ben, which is no e-mail of the form"),
    "no such role": ([BEN | {"role": "boss"}], "value of role must be one of: user, admin, pending, got: boss"),
}


def test_what_cannot_be_is_refused_before_anything_changes(role: Role) -> None:
    def refusal(users: Any) -> Run:
        return role("-t", "open_webui_preflight", open_webui_users=users)

    with ThreadPoolExecutor(3) as pool:
        runs = list(pool.map(refusal, [users for users, _ in REFUSED.values()]))
    for run, (_, message) in zip(runs, REFUSED.values(), strict=True):
        assert run.status != 0
        assert message in run.output
