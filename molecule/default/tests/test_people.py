# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everyone at home: who is named signs in, who no longer is does not, and strangers wait to be let in."""

from __future__ import annotations

import http.client
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from conftest import ADDRESS, ANNA, SCENARIO, Api, Run

Role = Callable[..., Run]
SETTINGS = ("-t", "open_webui_verify")
PEOPLE = ("-t", "open_webui_configure,open_webui_verify")
BEN = {"name": "Ben", "email": "ben@localhost", "role": "admin"}
SIGN_IN = ("POST", "/api/v1/auths/signin")
OWN = "a-password-of-my-own"


def first_password(project: Path, email: str) -> str:
    path = project / f"secrets/mdef-webui-open-webui-password-{email}"
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


SILENT = "does not answer as an OIDC provider from this instance"
SECRET = "secrets/mdef-webui-open-webui-oidc-client-secret"


@pytest.fixture(scope="module")
def provider(webui: Any, project: Path) -> Iterator[str]:
    """The stand-in for an OIDC provider, on the machine itself; its address."""
    url = f"http://{ADDRESS}:9480"
    client = f"webui\n{(project / SECRET).read_text()}\nhttps://mdef-webui/oauth/oidc/login/callback\n"
    push = ["incus", "file", "push", "--quiet", "--project", "mdef", "--mode=0600"]
    subprocess.run([*push, "-", "mdef-webui/run/oidc-client"], input=client, text=True, check=True)
    subprocess.run([*push, str(SCENARIO / "oidc_stand_in.py"), "mdef-webui/run/oidc_stand_in.py"], check=True)
    start = "systemd-run --quiet --unit oidc --property StandardInput=file:/run/oidc-client"
    webui.run_expect([0], f"{start} /opt/open-webui/current/bin/python /run/oidc_stand_in.py {url}")
    deadline = time.monotonic() + 30
    while webui.run("ss -Hltn sport = :9480").stdout == "":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    yield url
    webui.run_expect([0], "systemctl stop oidc; rm /run/oidc-client")


class Browser:
    """Goes where it is sent, one step at a time, with the cookies of Open WebUI."""

    def __init__(self, project: Path) -> None:
        self.context = ssl.create_default_context(cafile=project / "secrets/ca/ca.crt")
        self.cookies = SimpleCookie()

    def sent_to(self, url: str) -> str:
        """Where the answer of an address leads; nothing when nowhere."""
        parts = urlsplit(url)
        if parts.scheme == "http":
            connection = http.client.HTTPConnection(parts.netloc, timeout=20)
        else:
            connection = http.client.HTTPSConnection(parts.netloc, timeout=20)
            plain = socket.create_connection((ADDRESS, 443), 20)
            connection.sock = self.context.wrap_socket(plain, server_hostname=parts.hostname)
        headers = {"Cookie": self.cookies.output(attrs=[], header="", sep=";").strip()} if self.cookies else {}
        connection.request("GET", f"{parts.path}?{parts.query}", headers=headers)
        answer = connection.getresponse()
        for cookie in answer.headers.get_all("Set-Cookie") or ():
            self.cookies.load(cookie)
        return answer.headers.get("Location", "")


def through_the_provider(project: Path, who: str) -> Api:
    """The API, as somebody who signs in with the provider; without a token where that is refused."""
    browser = Browser(project)
    form = browser.sent_to("https://mdef-webui/oauth/oidc/login")
    back = browser.sent_to(f"{form}&who={who}")
    assert back.startswith("https://mdef-webui/oauth/oidc/login/callback?code="), (form, back)
    browser.sent_to(back)
    return Api(project, browser.cookies["token"].value if "token" in browser.cookies else "")


def test_people_are_made_and_kept_as_they_are_named_and_their_passwords_are_theirs(
    role: Role, project: Path, anna: Api
) -> None:
    """And of a provider that does not answer there is a warning."""
    ben = Api(project)
    assert ben.refusal(*SIGN_IN, {"email": BEN["email"], "password": "any"}) == 400
    named = [{"name": "Anna", "email": ANNA.upper()}, BEN]
    made = role(*PEOPLE, "-vvv", "--diff", open_webui_users=named)
    assert made.status == 0, made.said[-3000:]
    ben.sign_in(BEN["email"], password := first_password(project, BEN["email"]))
    assert f"the first password of {BEN['email']} is in" in made.said
    assert password not in made.said
    assert "Her Majesty" in made.said  # the diff says what was by hand
    assert SILENT in made.said  # nothing stands in for the provider yet
    users = {user["email"]: user for user in ben.call("GET", "/api/v1/users/all")["users"]}
    assert (users[ANNA]["name"], users[ANNA]["role"]) == ("Anna", "user")
    assert anna.titles() == {"of Anna"}
    assert anna.refusal("GET", "/api/v1/users/all") == 401


def test_who_is_named_signs_in_with_the_provider_too(api: Api, project: Path, provider: str) -> None:
    assert api.call("GET", "/api/config")["oauth"]["providers"] == {"oidc": "Home"}
    assert through_the_provider(project, ANNA).titles() == {"of Anna"}


def test_who_is_no_longer_named_is_out_and_comes_back_with_the_chats(
    role: Role, api: Api, project: Path, anna: Api, provider: str
) -> None:
    planned = role(*SETTINGS, "--check", "--diff", open_webui_users=[])
    assert planned.changed(), planned.said
    assert "role: pending" in planned.said
    assert anna.titles() == {"of Anna"}

    out = role(*SETTINGS, open_webui_users=[])
    assert out.status == 0, out.said
    assert anna.refusal("GET", "/api/v1/chats/") == 401
    assert anna.refusal("GET", "/api/v1/auths/") == 401
    assert anna.refusal(*SIGN_IN, {"email": ANNA, "password": OWN}) == 400
    assert through_the_provider(project, ANNA).token == ""
    assert api.call("GET", "/api/v1/users/all")["users"], "the administrator stays"

    back = role(*SETTINGS, open_webui_signup="pending")
    assert back.status == 0, back.said
    assert anna.refusal("GET", "/api/v1/chats/") == 401, "the session of before stays shut"
    anna.sign_in(ANNA, OWN)
    assert anna.titles() == {"of Anna"}
    assert anna.refusal(*SIGN_IN, {"email": BEN["email"], "password": "any"}) == 400


def test_a_stranger_sees_nothing_until_let_in(role: Role, api: Api, project: Path, provider: str) -> None:
    """The test before has let strangers sign up; through the provider they may, as host_vars say."""
    stranger = Api(project)
    account = {"name": "Stranger", "email": "stranger@example.org", "password": "a-long-password"}
    stranger.token = stranger.call("POST", "/api/v1/auths/signup", account)["token"]
    guest = through_the_provider(project, "guest@example.org")
    known = {user["email"]: user for user in api.call("GET", "/api/v1/users/all")["users"]}
    ids = [known[email]["id"] for email in ("stranger@example.org", "guest@example.org")]
    for person, number in zip((stranger, guest), ids, strict=True):
        assert person.call("GET", "/api/v1/auths/")["role"] == "pending"
        assert person.refusal("GET", "/api/v1/chats/") == 401
        api.call("POST", f"/api/v1/users/{number}/update", {"role": "user"})
        assert person.titles() == set()

    closed = role(*SETTINGS)
    assert closed.changed(), closed.said
    assert SILENT not in closed.said
    assert Api(project).refusal("POST", "/api/v1/auths/signup", account | {"email": "other@example.org"}) == 403
    assert stranger.titles() == set(), "whoever made an account keeps it"
    for number in ids:
        api.call("DELETE", f"/api/v1/users/{number}")


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
        assert message in run.said
