# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters of the role open_webui, with files on the controller."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.anklume.stt.plugins.filter.open_webui import (
    certificate_faults,
    first_passwords,
    plan,
    proxy_pem,
    spoken,
    stt_server,
    tts_server,
    with_contents,
)
from ansible_collections.anklume.stt.plugins.module_utils._services.open_webui import (
    read_environment,
    write_environment,
)
from ansible_collections.anklume.stt.plugins.modules import internal_certificate
from module_runner import run_module

ROLE = Path(__file__).resolve().parents[4] / "roles/open_webui"
DEFAULTS = yaml.safe_load((ROLE / "defaults/main.yml").read_text())


def given(**variables: Any) -> dict[str, Any]:
    return DEFAULTS | {f"open_webui_{name}": value for name, value in variables.items()}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate and its key."""
    folder = tmp_path_factory.mktemp("pair")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"]
    command += ["-days", "2", "-subj", "/CN=test", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return str(certificate), str(key)


class TestPlan:
    def test_the_role_s_own_lock_file_is_read_and_a_sentence_found(self) -> None:
        found = plan(DEFAULTS, {"machine": "web", "address": "10.0.0.3"}, "/p", str(ROLE))
        assert (found["lock"]["missing"], len(found["lock"]["digest"]), found["faults"]) == (False, 64, [])
        assert (found["secrets"], found["clip"]["there"]) == ("/p/secrets", "/opt/open-webui/clips/en.wav")

    def test_what_is_no_file_is_a_fault(self) -> None:
        found = plan(given(acme_authority="/nowhere.pem", version="99"), {"machine": "web"}, "/p", str(ROLE))
        assert found["faults"] == ["open_webui_acme_authority (/nowhere.pem) is no file on the controller"]
        assert found["lock"]["missing"]

    def test_secrets_are_made_unless_they_are_given_or_there(self, tmp_path: Path) -> None:
        def to_make(**variables: Any) -> list[str]:
            made = plan(given(**variables), {"machine": "web"}, str(tmp_path), str(ROLE))["secrets_to_make"]
            return [Path(path).name for path in made]

        assert to_make() == ["web-open-webui-admin-password", "web-open-webui-secret-key"]
        assert to_make(admin_password="hush") == ["web-open-webui-secret-key"]
        (tmp_path / "secrets").mkdir()
        (tmp_path / "secrets/web-open-webui-secret-key").touch()
        assert to_make(admin_password="hush") == []
        oidc = {"oidc_url": "https://auth.example.org", "oidc_client_id": "x"}
        assert to_make(admin_password="hush", **oidc) == ["web-open-webui-oidc-client-secret"]
        assert to_make(admin_password="hush", **oidc, oidc_client_secret="hush") == []

    def test_the_people_get_a_password_each_and_are_remembered_by_it(self, tmp_path: Path) -> None:
        def planned(*emails: str) -> dict[str, Any]:
            users = [{"name": "X", "email": email} for email in emails]
            named = given(users=users, admin_password="hush", secret_key="hush")
            return plan(named, {"machine": "web"}, str(tmp_path), str(ROLE))

        assert not planned()["knows_people"]
        found = planned("Anna@example.org", "../no-email")
        path = f"{tmp_path}/secrets/web-open-webui-password-anna@example.org"
        assert (found["secrets_to_make"], found["knows_people"]) == ([path], True)
        assert first_passwords(found) == {"anna@example.org": ""}
        (tmp_path / "secrets").mkdir()
        Path(path).write_text("hush\n")
        assert first_passwords(planned("anna@example.org")) == {"anna@example.org": "hush"}
        assert planned("anna@example.org")["secrets_to_make"] == []
        assert planned()["knows_people"]

    def test_the_certificate_of_the_internal_authority_is_looked_at(self, tmp_path: Path) -> None:
        def planned(https: bool = True) -> dict[str, Any]:
            return plan(given(https=https), {"machine": "web", "address": "10.0.0.3"}, str(tmp_path), str(ROLE))

        before = planned()
        assert (before["seen_certificate"]["reason"], before["faults"]) == ("there is none yet", [])
        pem, authority = before["internal_pem"], tmp_path / "secrets/ca"
        made = run_module(internal_certificate, authority=str(authority), path=pem, names=before["all_names"])
        told = {name: made[name] for name in ("authority_certificate", "fingerprint", "permitted")}
        assert planned()["seen_certificate"] == {"reason": "", "names": before["all_names"], **told}
        (authority / "ca.crt").write_text("no certificate")
        assert planned()["faults"][0].startswith(f"the certificate {pem} cannot be kept: ")
        assert planned(https=False)["seen_certificate"] == {}


class TestCertificate:
    def test_a_pair_that_fits(self, pair: tuple[str, str]) -> None:
        assert certificate_faults(*pair) == []
        assert certificate_faults("", "") == []

    def test_of_a_pair_on_the_instance_nothing_is_known_here(self) -> None:
        assert certificate_faults("/there/certificate.pem", "/there/key.pem", there=False) == []
        assert certificate_faults("/there/certificate.pem", "", there=False) != []

    def test_what_does_not_fit_is_told(self, pair: tuple[str, str], tmp_path: Path) -> None:
        certificate, key = pair
        assert "go together: give both or neither" in certificate_faults(certificate, "")[0]
        assert "is no file on the controller" in certificate_faults(certificate, "/nowhere.pem")[0]
        text = tmp_path / "text.pem"
        text.write_text("no key")
        for one, other in ((certificate, certificate), (certificate, str(text)), (str(text), key)):
            fault = f"{one} and {other} are not a certificate and its key in PEM, without a password ("
            assert certificate_faults(one, other)[0].startswith(fault)

    def test_what_the_proxy_serves_with(self, pair: tuple[str, str], tmp_path: Path) -> None:
        certificate, key = pair
        variables = given(tls_certificate=certificate, tls_key=key)
        both = proxy_pem(variables, {"certificate": "given"})
        assert both == Path(key).read_text() + Path(certificate).read_text()
        assert (
            proxy_pem(variables, {"certificate": "internal", "internal_pem": certificate})
            == Path(certificate).read_text()
        )
        assert proxy_pem(variables, {"certificate": "internal", "internal_pem": str(tmp_path / "not yet")}) == ""
        assert proxy_pem(variables, {"certificate": "acme"}) == ""


def test_files_are_filled_from_templates_or_from_the_controller(tmp_path: Path) -> None:
    (tmp_path / "program").write_text("#!/bin/sh\n")
    files = [
        {"path": "/a", "source": "a.j2", "state": "present", "mode": "0644"},
        {"path": "/b", "source": str(tmp_path / "program"), "state": "present"},
        {"path": "/secret", "source": "", "state": "present"},
        {"path": "/gone", "source": "", "state": "absent"},
    ]
    assert with_contents(files, {"a.j2": "text"}) == [
        {"path": "/a", "state": "present", "mode": "0644", "content": "text"},
        {"path": "/b", "state": "present", "content": "#!/bin/sh\n"},
        {"path": "/secret", "state": "present"},
        {"path": "/gone", "state": "absent", "content": ""},
    ]


HOSTVARS = {"ai": {"ansible_host": "10.0.0.8", "stt_server_api_key": "auto"}}


class TestSttServer:
    def test_of_one_of_ours_key_and_alias_are_known(self, tmp_path: Path) -> None:
        (tmp_path / "secrets").mkdir()
        (tmp_path / "secrets/ai-speaches-api-key").write_text("made\n")
        found = stt_server(given(stt_url="http://10.0.0.8:8000"), ["ai"], HOSTVARS, str(tmp_path))
        assert (found["api_key"], found["aliases"]) == ("made", ["whisper-1"])
        found = stt_server(given(stt_url="http://ai:8000", stt_api_key="own"), ["ai"], HOSTVARS, str(tmp_path))
        assert found["api_key"] == "own"

    def test_of_another_nothing_is_known(self, tmp_path: Path) -> None:
        variables = given(stt_url="http://other:8000", stt_model="big")
        assert stt_server(variables, ["ai"], HOSTVARS, str(tmp_path)) == {
            "url": "http://other:8000",
            "api_key": "",
            "model": "big",
            "aliases": [],
        }


SPEAKS = {"ai": {**HOSTVARS["ai"], "stt_server_tts_models": ["auto", "kokoro"], "stt_server_language": "pl"}}


class TestTtsServer:
    def test_by_itself_it_is_the_stt_server_where_that_speaks(self, tmp_path: Path) -> None:
        (tmp_path / "secrets").mkdir()
        (tmp_path / "secrets/ai-speaches-api-key").write_text("made\n")
        variables = given(stt_url="http://10.0.0.8:8000/v1")
        assert tts_server(variables, ["ai"], SPEAKS, str(tmp_path)) == {
            "url": "http://10.0.0.8:8000/v1",
            "api_key": "made",
            "model": "",
            "voice": "gosia",
            "aliases": ["tts-1"],
            "hosts": ["ai", "10.0.0.8"],
        }
        off = tts_server(variables, ["ai"], HOSTVARS, str(tmp_path))
        assert (off["url"], off["api_key"], off["aliases"], off["hosts"]) == ("", "", [], ["ai", "10.0.0.8"])
        assert tts_server(given(stt_url="http://other:8000/v1"), ["ai"], SPEAKS, str(tmp_path))["url"] == ""
        assert tts_server(given(), ["ai"], SPEAKS, str(tmp_path))["url"] == ""

    def test_empty_turns_it_off_whoever_set_it(self) -> None:
        found = tts_server(given(stt_url="http://ai:8000/v1", tts_url=""), ["ai"], SPEAKS, "/p")
        assert (found["url"], found["hosts"]) == ("", None)

    def test_another_server_gets_no_key_of_ours(self, tmp_path: Path) -> None:
        (tmp_path / "secrets").mkdir()
        (tmp_path / "secrets/ai-speaches-api-key").write_text("made\n")
        for url in ("http://10.0.0.8:3002/v1", "https://tts.example.org/v1", "http://ai/v1"):
            found = tts_server(given(tts_url=url), ["ai"], SPEAKS, str(tmp_path))
            assert (found["url"], found["api_key"], found["voice"], found["aliases"]) == (url, "", "", [])
        own = given(tts_url="http://ai:8000", tts_api_key="own", tts_voice="darkman", tts_model="piper-darkman")
        found = tts_server(own, ["ai"], SPEAKS, str(tmp_path))
        assert (found["api_key"], found["voice"], found["model"]) == ("own", "darkman", "piper-darkman")

    def test_what_no_voice_is_is_said(self) -> None:
        wrong = {"ai": {**HOSTVARS["ai"], "stt_server_tts_models": ["piper-nobody"]}}
        with pytest.raises(AnsibleFilterError, match="'piper-nobody' is no model that speaks"):
            tts_server(given(stt_url="http://ai:8000"), ["ai"], wrong, "/p")

    def test_verify_has_it_speak_peoples_language_or_the_voice_s(self) -> None:
        url = {"stt_url": "http://ai:8000"}
        assert spoken(given(**url), ["ai"], SPEAKS)["language"] == "pl"
        assert spoken(given(**url, stt_language="fr"), ["ai"], SPEAKS)["language"] == "fr"
        assert spoken(given(**url, stt_language="eo"), ["ai"], SPEAKS) == spoken(given(), [], {}) | {"language": ""}
        assert spoken(given(), [], {}) == {"language": "en", "text": "The quick brown fox jumps over the lazy dog."}


def test_an_environment_file_is_read_as_it_was_written() -> None:
    variables = {"b": 'say "hi" \\ bye', "A": "", "C": 200}
    text = write_environment(variables)
    assert text.splitlines()[0] == 'A=""'
    assert read_environment(text) == {"A": "", "b": 'say "hi" \\ bye', "C": "200"}
