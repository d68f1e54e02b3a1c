# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What follows from the variables of the role open_webui, and what is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.anklume.stt.plugins.module_utils._services.names import Place
from ansible_collections.anklume.stt.plugins.module_utils._services.open_webui_plan import (
    environment,
    files,
    lock_file,
    oidc_faults,
    plan,
    read_lock,
    refusals,
    settings,
    version,
)

ROLE = Path(__file__).resolve().parents[4] / "roles/open_webui"
DEFAULTS = yaml.safe_load((ROLE / "defaults/main.yml").read_text())


def given(**variables: Any) -> dict[str, Any]:
    """The role's variables, with some that were set."""
    return DEFAULTS | {f"open_webui_{name}": value for name, value in variables.items()}


def planned(**variables: Any) -> dict[str, Any]:
    named = given(**variables)
    return plan(named, Place("web", "10.0.0.3", named["open_webui_names"]), "/p/secrets", "/role")


class TestPlan:
    def test_behind_the_proxy(self) -> None:
        found = planned()
        assert (found["url"], found["ready_url"]) == ("https://web", "https://127.0.0.1/ready")
        assert (found["port"], found["local_url"]) == (8080, "http://127.0.0.1:8080")
        assert found["proxy_ports"] == [80, 443, 3000]
        assert found["names"] == ["web", "10.0.0.3"]
        assert found["origins"] == ["https://web", "https://10.0.0.3", "https://localhost", "https://127.0.0.1"]

    def test_without_https(self) -> None:
        found = planned(https=False, port=3001)
        assert (found["url"], found["ready_url"]) == ("http://web:3001", "http://127.0.0.1:3001/ready")
        assert (found["port"], found["proxy_ports"], found["certificate"]) == (3001, [], "none")
        assert found["origins"][-1] == "http://127.0.0.1:3001"
        assert found["files"]["proxy"] == []

    def test_names_that_are_given_stand_for_the_machine_and_each_is_there_once(self) -> None:
        found = planned(names=["chat.example.org", "localhost"])
        assert (found["names"], found["url"]) == (["chat.example.org", "localhost"], "https://chat.example.org")
        assert found["all_names"] == ["chat.example.org", "localhost", "127.0.0.1"]

    def test_ports_of_the_host_come_first(self) -> None:
        published = [{"port": 8443, "to": 443}]
        found = plan(DEFAULTS, Place("web", "10.0.0.3", (), published, ["voice.local"]), "/s", "/r")
        assert (found["url"], found["names"]) == ("https://voice.local:8443", ["voice.local", "web", "10.0.0.3"])

    def test_names_that_were_found_are_told_apart(self) -> None:
        published = [{"port": 443, "to": 443}]
        place = Place("web", "10.0.0.3", (), published, ["192.168.1.5"], ["192.168.1.5", "den.local"])
        found = plan(DEFAULTS, place, "/s", "/r")
        assert found["found_names"] == ["den.local"]
        assert found["all_names"] == ["192.168.1.5", "web", "10.0.0.3", "localhost", "127.0.0.1"]
        assert found["origins"][:2] == ["https://192.168.1.5", "https://den.local"]
        assert planned()["found_names"] == []

    def test_secrets_lie_beside_infra_yml_by_the_name_of_the_machine(self) -> None:
        found = planned()
        assert found["password_file"] == "/p/secrets/web-open-webui-admin-password"
        assert found["key_file"] == "/p/secrets/web-open-webui-secret-key"
        assert (found["authority"], found["internal_pem"]) == ("/p/secrets/ca", "/p/secrets/web-open-webui-tls.pem")

    @pytest.mark.parametrize(
        ("variables", "source"),
        [
            ({}, "internal"),
            ({"acme_url": "https://acme"}, "acme"),
            ({"acme_url": "https://acme", "tls_certificate": "/c"}, "given"),
            ({"tls_certificate": "/c", "tls_on_instance": True}, "instance"),
            ({"https": False, "tls_certificate": "/c"}, "none"),
        ],
    )
    def test_where_the_certificate_comes_from(self, variables: dict[str, Any], source: str) -> None:
        assert planned(**variables)["certificate"] == source

    @pytest.mark.parametrize(("profile", "memory", "space"), [("slim", "1G", 1000), ("full", "3G", 5000)])
    def test_a_profile_has_its_memory_and_room(self, profile: str, memory: str, space: int) -> None:
        found = planned(profile=profile, version="0.12.4")
        assert (found["release"], found["path"]) == (f"0.12.4-{profile}", f"/opt/open-webui/0.12.4-{profile}")
        assert (found["memory_max"], found["space"]) == (memory, space)
        assert planned(profile=profile, memory_max="2G")["memory_max"] == "2G"


class TestLock:
    def test_the_role_s_own_unless_one_is_given(self) -> None:
        assert lock_file(given(version="1.0", profile="full"), "/role") == "/role/files/locks/1.0-full.txt"
        assert lock_file(given(lock="/mine.txt"), "/role") == "/mine.txt"
        assert Path(lock_file(DEFAULTS, str(ROLE))).is_file()

    def test_what_stands_empty_at_its_end_does_not_count(self) -> None:
        assert read_lock("/l", "a==1\n\n")["digest"] == hashlib.sha256(b"a==1").hexdigest()

    def test_pytorch_and_cuda(self) -> None:
        found = read_lock("/l", "# torch==2.13.0 from its own index\na==1\n")
        assert (found["torch"], found["cuda"], found["missing"]) == ("torch==2.13.0", False, False)
        for package in ("nvidia-cublas==1", "cuda-x==1", "triton==3"):
            assert read_lock("/l", f"a==1\n{package}\n")["cuda"], package

    def test_none(self) -> None:
        assert read_lock("/l", "") == {"path": "/l", "digest": "-", "torch": "", "cuda": False, "missing": True}


class TestEnvironment:
    def test_slim_and_behind_https(self) -> None:
        found = environment(DEFAULTS, planned())
        assert (found["USE_SLIM_DOCKER"], found["BYPASS_EMBEDDING_AND_RETRIEVAL"]) == ("true", "true")
        assert (found["WEBUI_SESSION_COOKIE_SECURE"], found["RAG_EMBEDDING_ENGINE"]) == ("true", "")
        assert found["CORS_ALLOW_ORIGIN"] == "https://web;https://10.0.0.3;https://localhost;https://127.0.0.1"

    def test_another_profile_without_https(self) -> None:
        variables = given(profile="no_torch", https=False, stt_language="fr")
        found = environment(variables, planned(profile="no_torch", https=False))
        assert (found["USE_SLIM_DOCKER"], found["WEBUI_AUTH_COOKIE_SECURE"]) == ("false", "false")
        assert (found["RAG_EMBEDDING_ENGINE"], found["WHISPER_LANGUAGE"]) == ("ollama", "fr")

    def test_recordings_are_cut_by_no_profile(self) -> None:
        """The one program that could, ffmpeg, is not there; slim never does."""
        for profile in ("no_torch", "full"):
            assert environment(given(profile=profile), planned())["BYPASS_PYDUB_PREPROCESSING"] == "true"
        assert "BYPASS_PYDUB_PREPROCESSING" not in environment(DEFAULTS, planned())

    def test_what_is_given_comes_last(self) -> None:
        found = environment(given(environment={"ENV": "dev", "DEFAULT_LOCALE": "fr-FR"}), planned())
        assert (found["ENV"], found["DEFAULT_LOCALE"]) == ("dev", "fr-FR")

    def test_no_secret_is_in_it_nor_in_the_plan(self) -> None:
        variables = given(admin_password="hush", secret_key="hush", stt_api_key="hush")
        found = plan(variables, Place("web"), "/s", "/r")
        assert "hush" not in f"{found}{environment(variables, found)}"


class TestFiles:
    def test_what_is_off_is_absent(self) -> None:
        groups = files(given(audio_retention=""), "internal", "/role", "/p/secrets/ca")
        states = {file["path"]: file["state"] for group in groups.values() for file in group}
        assert {path for path, state in states.items() if state == "absent"} == {
            "/etc/tmpfiles.d/open-webui.conf",
            "/etc/caddy/acme-authority.pem",
        }
        groups = files(given(audio_retention="7d", acme_authority="/root.pem"), "acme", "/role", "/p/secrets/ca")
        states = {file["path"]: file["state"] for group in groups.values() for file in group}
        assert {path for path, state in states.items() if state == "absent"} == {
            "/etc/caddy/open-webui.pem",
            "/etc/caddy/trust/trust.html",
            "/etc/caddy/trust/ca.crt",
        }

    def test_secrets_have_no_source_and_are_not_for_everybody(self) -> None:
        groups = files(given(acme_authority="/root.pem"), "internal", "/role", "/p/secrets/ca")
        secret = {file["path"]: file["mode"] for group in groups.values() for file in group if not file["source"]}
        assert secret == {"/etc/open-webui/secrets.env": "0600", "/etc/caddy/open-webui.pem": "0640"}

    def test_each_template_is_there(self) -> None:
        groups = files(DEFAULTS, "internal", str(ROLE), "/p/secrets/ca")
        for source in (file["source"] for group in groups.values() for file in group):
            assert not source.endswith(".j2") or (ROLE / "templates" / source).is_file(), source
        named = yaml.safe_load((ROLE / "vars/main.yml").read_text())["__open_webui_templates"]
        sources = {file["source"] for group in groups.values() for file in group}
        assert {source for source in sources if source.endswith(".j2")} == set(named)


def test_settings_name_ollama_without_a_slash_at_its_end_or_turn_it_off() -> None:
    found = settings(given(ollama_url="http://ai:11434/"), planned())
    assert (found["ollama.enable"], found["ollama.base_urls"]) == (True, ["http://ai:11434"])
    several = settings(given(ollama_url="http://ai:11434/;http://two:11434"), planned())
    assert several["ollama.base_urls"] == ["http://ai:11434", "http://two:11434"]
    found = settings(given(ollama_url=""), planned())
    assert (found["ollama.enable"], found["ollama.base_urls"], found["webui.url"]) == (False, [], "https://web")


OIDC = {"oidc_url": "https://auth.example.org/", "oidc_client_id": "webui"}


class TestOidc:
    def test_nothing_is_said_of_it_without_a_provider(self) -> None:
        assert not [name for name in environment(DEFAULTS, planned()) if name.startswith(("OAUTH_", "OPENID_"))]
        assert planned()["oidc_discovery"] == ""

    def test_the_provider_is_found_by_its_address_and_comes_back_to_the_first_name(self) -> None:
        found = environment(given(**OIDC), planned(**OIDC, names=["chat.example.org", "other"]))
        assert found["OPENID_PROVIDER_URL"] == "https://auth.example.org/.well-known/openid-configuration"
        assert found["OPENID_REDIRECT_URI"] == "https://chat.example.org/oauth/oidc/login/callback"
        whole = planned(oidc_url=found["OPENID_PROVIDER_URL"])
        assert whole["oidc_discovery"] == found["OPENID_PROVIDER_URL"]

    def test_nobody_gets_an_account_or_another_s_unless_asked(self) -> None:
        def found(**variables: Any) -> tuple[str, str]:
            env = environment(given(**OIDC, **variables), planned(**OIDC))
            return env["ENABLE_OAUTH_SIGNUP"], env["OAUTH_MERGE_ACCOUNTS_BY_EMAIL"]

        assert found() == ("false", "false")
        assert found(oidc_signup="pending", oidc_merge_by_email=True) == ("true", "true")

    def test_new_accounts_have_one_role(self) -> None:
        pending = settings(given(**OIDC, oidc_signup="pending"), planned())
        assert (pending["ui.enable_signup"], pending["ui.default_user_role"]) == (False, "pending")
        assert "ui.default_user_role" not in settings(given(oidc_signup="pending"), planned())
        assert oidc_faults(given(**OIDC, oidc_signup="open", signup="open")) == []
        [fault] = oidc_faults(given(**OIDC, oidc_signup="open", signup="pending"))
        assert "Open WebUI has one role for all new accounts" in fault

    def test_what_is_missing_is_told(self) -> None:
        assert "is no address" in oidc_faults(given(oidc_url="auth.example.org", oidc_client_id="webui"))[0]
        assert "open_webui_oidc_client_id is empty" in oidc_faults(given(oidc_url="https://auth.example.org"))[0]


@pytest.mark.parametrize(
    ("signup", "expected"),
    [
        ("closed", {"ui.enable_signup": False}),
        ("pending", {"ui.enable_signup": True, "ui.default_user_role": "pending"}),
        ("open", {"ui.enable_signup": True, "ui.default_user_role": "user"}),
    ],
)
def test_who_signs_up_waits_unless_it_is_open(signup: str, expected: dict[str, Any]) -> None:
    found = settings(given(signup=signup), planned())
    assert {key: value for key, value in found.items() if key.startswith("ui.")} == expected


def test_a_version_is_compared_by_its_numbers() -> None:
    assert version("0.9.10-slim") < version("0.12.4") < version("0.12.10-no_torch")


SEEN: dict[str, Any] = {
    "machine": "x86_64",
    "python": "/usr/bin/python3.11",
    "port_owner": "",
    "installed": False,
    "free_mib": 9000,
    "current": "0.12.4-slim",
    "before": "",
    "units": {"caddy": {"port_owner": "", "port_taken": 0}},
}


class TestRefusals:
    def refused(self, variables: dict[str, Any] | None = None, proxy: dict[str, Any] | None = None, **seen: Any) -> str:
        """The only reason, or nothing."""
        named = given(**(variables or {}))
        lock = {"path": "/lock", "missing": False, "cuda": False}
        found = plan(named, Place("web"), "/s", "/r") | {"lock": lock, "faults": []}
        reasons = refusals(named, found, SEEN | seen | ({"units": {"caddy": proxy}} if proxy else {}))
        assert len(reasons) < 2
        return reasons[0] if reasons else ""

    def test_nothing_without_a_reason(self) -> None:
        assert self.refused() == ""
        assert self.refused(current="") == ""
        before_https = {"port_owner": "open-webui, pid 8", "port_taken": 3000}
        assert self.refused(port_owner="caddy, pid 7", proxy=before_https) == ""
        assert self.refused(installed=True, free_mib=1) == ""

    def test_a_lock_file_that_is_missing_or_for_cuda_and_faults_of_files(self) -> None:
        reasons = refusals(DEFAULTS, planned() | {"lock": read_lock("/lock", ""), "faults": ["a fault"]}, SEEN)
        assert "has no lock file (/lock): use the role's own version" in reasons[0]
        assert reasons[1:] == ["a fault"]
        reasons = refusals(DEFAULTS, planned() | {"lock": read_lock("/lock", "triton==3"), "faults": []}, SEEN)
        assert "/lock has packages for CUDA" in reasons[0]

    def test_a_processor_and_a_python_that_cannot_be(self) -> None:
        assert "this instance is riscv64" in self.refused(machine="riscv64")
        assert "(/opt/python) is not a CPython 3.11 or 3.12" in self.refused({"python": "/opt/python"}, python="")
        assert "install it outside /root and /home" in self.refused({"python": "/root/python"})

    def test_a_port_is_taken(self) -> None:
        assert self.refused(port_owner="nginx, pid 7") == "port 8080 is taken on this instance by nginx, pid 7: stop it"
        assert self.refused({"https": False}, port_owner="nginx, pid 7").endswith("stop it, or set open_webui_port")
        nginx = {"port_owner": "nginx, pid 7", "port_taken": 80}
        assert self.refused(proxy=nginx).endswith("stop it, or set open_webui_https to false")
        assert self.refused(proxy=nginx | {"port_taken": 3000}).endswith("stop it, or set open_webui_port")

    def test_people_that_cannot_be_named(self) -> None:
        assert "which is no e-mail" in self.refused({"users": [{"name": "Anna", "email": "anna"}]})
        boss = [{"name": "Boss", "email": "Boss@example.org"}]
        assert "who is the administrator" in self.refused({"users": boss, "admin_email": "boss@example.org"})

    def test_there_is_no_room(self) -> None:
        assert "999 MiB are free under /opt and Open WebUI (slim) needs 1000" in self.refused(free_mib=999)

    def test_an_older_version_is_refused(self) -> None:
        reason = self.refused({"version": "0.11.4"})
        assert "an older Open WebUI refuses the database of a newer one" in reason
        assert reason.endswith("set open_webui_version to at least 0.12.4")

    def test_of_a_change_that_was_not_ended_what_was_proved_counts(self) -> None:
        assert self.refused({"version": "0.12.4"}, current="0.13.0-slim", before="0.12.4-slim") == ""
        assert self.refused({"version": "0.11.4"}, current="0.13.0-slim", before="0.12.4-slim").endswith("0.12.4")
