# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters that work out what the role open_webui does from its variables; they read the files that these name."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible.utils.display import Display
from ansible_collections.anklume.stt.plugins.module_utils._base.errors import Error
from ansible_collections.anklume.stt.plugins.module_utils._models.voices import default_voice, speech_models
from ansible_collections.anklume.stt.plugins.module_utils._services import open_webui_plan
from ansible_collections.anklume.stt.plugins.module_utils._services.internal_authority import RENEW_DAYS, look
from ansible_collections.anklume.stt.plugins.module_utils._services.names import Place
from ansible_collections.anklume.stt.plugins.module_utils._services.open_webui import write_environment
from ansible_collections.anklume.stt.plugins.module_utils._services.speech import (
    SENTENCES,
    api_key,
    server_at,
    speaking_machine,
    spoken_clip,
)

Given = Mapping[str, Any]
Plan = dict[str, Any]


def text_of(path: str) -> str:
    """What a file on the controller holds; nothing when it is not there."""
    return Path(path).read_text(encoding="utf-8") if path and Path(path).is_file() else ""


def certificate_faults(pem: str, key: str, there: bool = True) -> list[str]:
    """What is wrong with a certificate that was given: two files that have to fit; elsewhere nobody here can say."""
    if not pem and not key:
        return []
    if not pem or not key:
        return ["open_webui_tls_certificate and open_webui_tls_key go together: give both or neither"]
    if not there:
        return []
    if not (Path(pem).is_file() and Path(key).is_file()):
        return [f"open_webui_tls_certificate ({pem}) or open_webui_tls_key ({key}) is no file on the controller"]
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(pem, key, password="")
    except (OSError, ValueError) as error:
        return [f"{pem} and {key} are not a certificate and its key in PEM, without a password ({error})"]
    return []


def plan(given: Given, machine: Mapping[str, Any], project: str, role: str) -> Plan:
    """Names, addresses, places and files, what lies on the controller, secrets to make, and what is wrong here."""
    lock = open_webui_plan.lock_file(given, role)
    pair = given["open_webui_tls_certificate"], given["open_webui_tls_key"]
    faults = certificate_faults(*pair, there=not given["open_webui_tls_on_instance"])
    authority = given["open_webui_acme_authority"]
    if authority and not Path(authority).is_file():
        faults.append(f"open_webui_acme_authority ({authority}) is no file on the controller")
    place = Place(chosen=given["open_webui_names"], **machine)
    planned = open_webui_plan.plan(given, place, f"{project}/secrets", role)
    seen: dict[str, Any] = {}
    if planned["certificate"] == "internal":
        pem = Path(planned["internal_pem"])
        try:
            seen = look(Path(planned["authority"]), pem, planned["all_names"], planned["found_names"], RENEW_DAYS)
            for warning in seen.pop("warnings"):
                Display().warning(warning)
        except (OSError, ValueError) as error:
            faults.append(f"the certificate {pem} cannot be kept: {error}")
    clip = spoken_clip(given["open_webui_stt_language"])
    own = {"open_webui_admin_password": planned["password_file"], "open_webui_secret_key": planned["key_file"]}
    if given["open_webui_oidc_url"]:
        own["open_webui_oidc_client_secret"] = planned["oidc_secret_file"]
    made = [path for name, path in own.items() if not given[name]] + list(planned["first_passwords"].values())
    return planned | {
        "lock": open_webui_plan.read_lock(lock, text_of(lock)),
        "faults": faults,
        "seen_certificate": seen,
        "clip": clip | {"there": f"{open_webui_plan.SERVICE.home}/clips/{Path(clip['path']).name}"},
        "secrets_to_make": [path for path in made if not Path(path).is_file()],
        "knows_people": bool(given["open_webui_users"]) or had_people(project, machine["machine"]),
    }


def had_people(project: str, machine: str) -> bool:
    """Whether anybody was ever named for a machine: first passwords stay when people go."""
    return any(Path(project, "secrets").glob(f"{machine}-open-webui-password-*"))


def first_passwords(planned: Plan) -> dict[str, str]:
    """The first passwords of the people, by e-mail, as far as they are made."""
    return {email: text_of(path).rstrip() for email, path in planned["first_passwords"].items()}


def with_contents(files: Iterable[Mapping[str, Any]], texts: Mapping[str, str]) -> list[dict[str, Any]]:
    """Files with what they hold: `texts` by the name of a template, or a file on the controller."""
    filled = []
    for file in files:
        attributes = {name: value for name, value in file.items() if name != "source"}
        if source := file["source"]:
            attributes["content"] = texts[source] if source in texts else text_of(source)
        elif file["state"] == "absent":
            attributes["content"] = ""
        filled.append(attributes)
    return filled


def proxy_pem(given: Given, planned: Plan) -> str:
    """The key and the certificate that the proxy serves with, where it does not get them by itself."""
    if planned["certificate"] == "given":
        paths = (given["open_webui_tls_key"], given["open_webui_tls_certificate"])
        return "".join(f"{text_of(path).rstrip()}\n" for path in paths)
    return text_of(planned["internal_pem"]) if planned["certificate"] == "internal" else ""


def environment(given: Given, planned: Plan) -> str:
    """The lines of Open WebUI's environment file."""
    return write_environment(open_webui_plan.environment(given, planned))


def stt_server(given: Given, machines: Iterable[str], hostvars: Mapping[str, Any], project: str) -> dict[str, Any]:
    """The STT server, as open_webui_config takes it."""
    url, key = given["open_webui_stt_url"], given["open_webui_stt_api_key"]
    return server_at(url, key, machines, hostvars, project) | {"model": given["open_webui_stt_model"]}


def voice_of(machine: Mapping[str, Any]) -> dict[str, str]:
    """What a machine's STT server speaks with where a client leaves it open, from its variables; empty for none."""
    language = machine.get("stt_server_tts_language") or machine.get("stt_server_language") or ""
    try:
        models = speech_models(machine.get("stt_server_tts_models") or [], language)
        return default_voice(models, machine.get("stt_server_tts_voice") or "")
    except Error as error:
        raise AnsibleFilterError(str(error)) from error


def tts_server(given: Given, machines: Iterable[str], hostvars: Mapping[str, Any], project: str) -> dict[str, Any]:
    """The server that speaks, as open_webui_config takes it; of ours we know the key, the name tts-1 and the voice.

    "auto" is the STT server, where it is one of ours that speaks. Where it does not there is no address, and `hosts`
    are those of ours, which may have spoken before.
    """
    url, known = given["open_webui_tts_url"], list(machines)
    machine = speaking_machine(given["open_webui_stt_url"] if url == "auto" else url, known, hostvars)
    variables = hostvars[machine] if machine else {}
    voice = voice_of(variables).get("voice", "")
    address = url if url != "auto" else given["open_webui_stt_url"] if machine else ""
    own = api_key(variables.get("stt_server_api_key"), machine, project) if machine else ""
    return {
        "url": address,
        "api_key": given["open_webui_tts_api_key"] or own,
        "model": given["open_webui_tts_model"],
        "voice": given["open_webui_tts_voice"] or voice,
        "aliases": ["tts-1"] if machine else [],
        "hosts": [*known, *(hostvars[name].get("ansible_host", name) for name in known)] if url == "auto" else None,
    }


def spoken(given: Given, machines: Iterable[str], hostvars: Mapping[str, Any]) -> dict[str, str]:
    """The sentence that verify has spoken, and its language: people's, else that of a voice of ours, else English.

    Without a language it is in none that we have a sentence in, and what is heard of it says nothing.
    """
    url = given["open_webui_tts_url"]
    machine = speaking_machine(given["open_webui_stt_url"] if url == "auto" else url, machines, hostvars)
    voice = voice_of(hostvars[machine] if machine else {})
    language = given["open_webui_stt_language"] or voice.get("language", "en")
    return {"language": language if language in SENTENCES else "", "text": SENTENCES.get(language, SENTENCES["en"])}


class FilterModule:
    """The filters, by name."""

    def filters(self) -> dict[str, object]:
        """Map names to functions."""
        return {
            "environment_file": write_environment,
            "open_webui_environment": environment,
            "open_webui_contents": with_contents,
            "open_webui_first_passwords": first_passwords,
            "open_webui_pem": proxy_pem,
            "open_webui_plan": plan,
            "open_webui_refusals": open_webui_plan.refusals,
            "open_webui_settings": open_webui_plan.settings,
            "open_webui_stt_server": stt_server,
            "open_webui_spoken": spoken,
            "open_webui_tts_server": tts_server,
        }
