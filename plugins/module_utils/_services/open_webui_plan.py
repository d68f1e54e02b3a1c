# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role open_webui works out from its variables: names, addresses, files, settings, and what it refuses.

Pure: `given` are the role's variables by their names; the plan, a dictionary without secrets, follows from them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._services.catalogue import BY_ROLE
from ansible_collections.anklume.stt.plugins.module_utils._services.names import OWN, Place, host_names, origins
from ansible_collections.anklume.stt.plugins.module_utils._services.open_webui_users import EMAIL, faults

Given = Mapping[str, Any]
Plan = dict[str, Any]

SPACE = {"slim": 1000, "no_torch": 2200, "full": 5000}
"""Free space that an installation needs, in MiB: the packages, uv's cache, and some air."""
BEHIND_PROXY = 8080
"""Where Open WebUI itself answers, for the proxy alone."""
DISCOVERY = "/.well-known/openid-configuration"
"""Under an OIDC provider's address, what says where its parts are."""
NEW_ROLES = {"pending": "pending", "open": "user"}
"""The role of an account that somebody makes by signing up; "closed" makes none."""
SERVICE = BY_ROLE["open_webui"]
UNITS = "/etc/systemd/system"


def lock_file(given: Given, role: str) -> str:
    """The lock file on the controller: the given one, or the role's own for a version and profile."""
    own = f"{role}/files/locks/{given['open_webui_version']}-{given['open_webui_profile']}.txt"
    return str(given["open_webui_lock"] or own)


def read_lock(path: str, text: str | None) -> dict[str, Any]:
    """What a lock file says: its digest, the version of PyTorch, and whether it has packages for CUDA."""
    text = (text or "").rstrip()  # as Ansible reads a file
    torch = re.search(r"^# (torch==\S+)", text, re.MULTILINE)
    return {
        "path": path,
        "digest": hashlib.sha256(text.encode()).hexdigest() if text else "-",
        "torch": torch[1] if torch else "",
        "cuda": re.search(r"^(nvidia-|cuda-|triton=)", text, re.MULTILINE) is not None,
        "missing": not text,
    }


def plan(given: Given, place: Place, secrets: str, role: str) -> Plan:
    """Names, addresses, places and files of a machine; `secrets` and `role` are folders on the controller."""
    https, profile = given["open_webui_https"], given["open_webui_profile"]
    page = 443 if https else int(given["open_webui_port"])
    port, sites = BEHIND_PROXY if https else page, place.sites(page)
    names, ways = host_names(sites), origins(sites, https, page)
    release = f"{given['open_webui_version']}-{profile}"
    local = f"http://127.0.0.1:{port}"
    source = certificate(given)
    found = [name for name in names if name in place.found and name not in (*place.chosen, *place.host)]
    return {
        "names": names,
        "all_names": list(dict.fromkeys([*(name for name in names if name not in found), *OWN])),
        "found_names": found,
        "origins": ways,
        "url": ways[0],
        "local_url": local,
        "ready_url": "https://127.0.0.1/ready" if https else f"{local}/ready",
        "port": port,
        "proxy_ports": [80, 443, given["open_webui_port"]] if https else [],
        "release": release,
        "path": f"{SERVICE.home}/{release}",
        "space": SPACE[profile],
        "memory_max": given["open_webui_memory_max"] or ("3G" if profile == "full" else "1G"),
        "certificate": source,
        "secrets": secrets,
        "authority": f"{secrets}/ca",
        "internal_pem": f"{secrets}/{place.machine}-open-webui-tls.pem",
        "password_file": f"{secrets}/{place.machine}-open-webui-admin-password",
        "key_file": f"{secrets}/{place.machine}-open-webui-secret-key",
        "first_passwords": first_passwords(given, f"{secrets}/{place.machine}"),
        "oidc_secret_file": f"{secrets}/{place.machine}-open-webui-oidc-client-secret",
        "oidc_discovery": oidc_discovery(given["open_webui_oidc_url"]),
        "oidc_redirect": f"{ways[0]}/oauth/oidc/login/callback",
        "files": files(given, source, role, f"{secrets}/ca"),
    }


def first_passwords(given: Given, machine: str) -> dict[str, str]:
    """Where the first passwords of the people lie, by e-mail; `machine` is how the paths of these files begin."""
    emails = [user["email"].lower() for user in given["open_webui_users"]]
    return {email: f"{machine}-open-webui-password-{email}" for email in emails if EMAIL.fullmatch(email)}


def oidc_discovery(url: str) -> str:
    """Where an OIDC provider describes itself; nothing without a provider."""
    return f"{url.rstrip('/').removesuffix(DISCOVERY)}{DISCOVERY}" if url else ""


def certificate(given: Given) -> str:
    """Where the proxy's certificate comes from: none, given, instance, acme or internal."""
    if not given["open_webui_https"]:
        return "none"
    if given["open_webui_tls_certificate"]:
        return "instance" if given["open_webui_tls_on_instance"] else "given"
    return "acme" if given["open_webui_acme_url"] else "internal"


def environment(given: Given, planned: Plan) -> dict[str, Any]:
    """What Open WebUI reads at every start, and the first values of a few settings."""
    slim, https = (str(value).lower() for value in (given["open_webui_profile"] == "slim", given["open_webui_https"]))
    return {
        "ENV": "prod",
        "DATA_DIR": SERVICE.data,
        "STATIC_DIR": f"{SERVICE.data}/static",
        "USE_SLIM_DOCKER": slim,
        "BYPASS_EMBEDDING_AND_RETRIEVAL": slim,
        "RAG_EMBEDDING_ENGINE": "ollama" if given["open_webui_profile"] == "no_torch" else "",
        "RAG_FILE_MAX_SIZE": given["open_webui_max_upload_mib"],
        # recordings go on as they come: what cuts and shrinks larger ones needs ffmpeg, which is not there
        **({} if given["open_webui_profile"] == "slim" else {"BYPASS_PYDUB_PREPROCESSING": "true"}),
        "CORS_ALLOW_ORIGIN": ";".join(planned["origins"]),
        "FORWARDED_ALLOW_IPS": "127.0.0.1",
        "WEBUI_SESSION_COOKIE_SECURE": https,
        "WEBUI_AUTH_COOKIE_SECURE": https,
        "ENABLE_SIGNUP": "false",
        "ENABLE_OPENAI_API": "false",
        "ENABLE_VERSION_UPDATE_CHECK": "false",
        # nothing leaves the network: libraries that report to their makers are told not to
        "ANONYMIZED_TELEMETRY": "false",
        "DO_NOT_TRACK": "true",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "LANGSMITH_TRACING": "false",
        "ORT_DISABLE_TELEMETRY": "1",
        "SCARF_NO_ANALYTICS": "true",
        "WHISPER_LANGUAGE": given["open_webui_stt_language"],
        "WEBUI_ADMIN_EMAIL": given["open_webui_admin_email"],
        "WEBUI_ADMIN_NAME": given["open_webui_admin_name"],
        **(oidc_environment(given, planned) if planned["oidc_discovery"] else {}),
        **given["open_webui_environment"],
    }


def oidc_environment(given: Given, planned: Plan) -> dict[str, str]:
    """What Open WebUI is told of an OIDC provider, but for the client's secret; read at every start."""
    return {
        "OPENID_PROVIDER_URL": planned["oidc_discovery"],
        "OPENID_REDIRECT_URI": planned["oidc_redirect"],
        "OAUTH_PROVIDER_NAME": given["open_webui_oidc_provider_name"],
        "OAUTH_CLIENT_ID": given["open_webui_oidc_client_id"],
        "OAUTH_SCOPES": given["open_webui_oidc_scopes"],
        "OAUTH_CODE_CHALLENGE_METHOD": "S256",
        "OAUTH_MERGE_ACCOUNTS_BY_EMAIL": str(given["open_webui_oidc_merge_by_email"]).lower(),
        "ENABLE_OAUTH_SIGNUP": str(given["open_webui_oidc_signup"] != "closed").lower(),
    }


def new_roles(given: Given) -> list[str]:
    """The roles of accounts that people make by signing up, on the page or through an OIDC provider; one at most."""
    asked = {given["open_webui_signup"], given["open_webui_oidc_signup"] if given["open_webui_oidc_url"] else "closed"}
    return [role for signup, role in NEW_ROLES.items() if signup in asked]


def oidc_faults(given: Given) -> list[str]:
    """What is wrong with the OIDC provider, as far as it can be said here."""
    url = given["open_webui_oidc_url"]
    found = [
        (
            url and not re.match(r"https?://[^/\s]+", url),
            f"open_webui_oidc_url ({url}) is no address: give the provider's, such as https://auth.example.org",
        ),
        (
            url and not given["open_webui_oidc_client_id"],
            "open_webui_oidc_url names a provider and open_webui_oidc_client_id is empty: give the name under which the"
            " provider knows this page",
        ),
        (
            len(new_roles(given)) > 1,
            "open_webui_signup and open_webui_oidc_signup differ, and Open WebUI has one role for all new accounts: set"
            " both to pending, both to open, or one of them to closed",
        ),
    ]
    return [message for so, message in found if so]


def files(given: Given, kind: str, role: str, internal: str) -> dict[str, list[dict[str, Any]]]:
    """The files on the instance: the service's, those beside it, and the proxy's.

    `kind` is that of the certificate, `internal` the folder of the internal authority. Each is as service_files takes
    it, with the `source` of its content: a template's name or a path on the controller; without one it holds secrets.
    """

    def file(path: str, source: str = "", wanted: Any = True, **more: str) -> dict[str, Any]:
        return {"path": path, "source": source, "state": "present" if wanted else "absent", **more}

    service = [
        file("/etc/open-webui/open-webui.env", "open-webui.env.j2", group="open-webui", mode="0640"),
        file("/etc/open-webui/secrets.env", mode="0600"),
        file(f"{UNITS}/open-webui.service", "open-webui.service.j2"),
    ]
    beside = [
        file("/usr/local/sbin/open-webui-admin", f"{role}/files/open-webui-admin", mode="0755"),
        file(f"{UNITS}/open-webui-backup.service", "open-webui-backup.service.j2"),
        file(f"{UNITS}/open-webui-backup.timer", "open-webui-backup.timer.j2"),
        file("/etc/tmpfiles.d/open-webui.conf", "open-webui.conf.j2", given["open_webui_audio_retention"]),
    ]
    authority = given["open_webui_acme_authority"]
    proxy = [
        file("/etc/caddy/Caddyfile", "Caddyfile.j2"),
        file(f"{UNITS}/caddy.service.d/open-webui.conf", "caddy.conf.j2"),
        file("/etc/caddy/open-webui.pem", "", kind in ("given", "internal"), group="caddy", mode="0640"),
        file("/etc/caddy/trust/trust.html", "trust.html.j2", kind == "internal"),
        file("/etc/caddy/trust/ca.crt", f"{internal}/ca.crt", kind == "internal"),
        file("/etc/caddy/acme-authority.pem", authority, authority),
    ]
    return {"service": service, "beside": beside, "proxy": proxy if given["open_webui_https"] else []}


def settings(given: Given, planned: Plan) -> dict[str, Any]:
    """The settings in the database, but for those of the STT server."""
    ollama = [url.strip().rstrip("/") for url in given["open_webui_ollama_url"].split(";") if url.strip()]
    roles = new_roles(given)
    return {
        "webui.url": planned["url"],
        "ui.enable_signup": given["open_webui_signup"] != "closed",
        # where nobody signs up, what new accounts may do is left to the page
        **({"ui.default_user_role": roles[0]} if roles else {}),
        "ollama.enable": bool(ollama),
        "ollama.base_urls": ollama,
    }


def version(release: str) -> tuple[int, ...]:
    """The version in a release's name, as in 0.12.4-slim."""
    return tuple(int(part) for part in re.findall(r"\d+", release.partition("-")[0]))


def refusals(given: Given, planned: Plan, seen: Mapping[str, Any]) -> list[str]:
    """Why it cannot work, of what service_info saw on the instance."""
    wanted, profile, python = (given[f"open_webui_{name}"] for name in ("version", "profile", "python"))
    lock, https, owner = planned["lock"], given["open_webui_https"], seen["port_owner"]
    proxy = seen["units"]["caddy"]
    # of a change that was not ended, what counts is the release that was proved
    serves = seen["before"] or seen["current"]
    oldest = serves.partition("-")[0]
    switch = "open_webui_port" if proxy.get("port_taken") == given["open_webui_port"] else "open_webui_https to false"
    found = [
        (
            lock["missing"],
            f"open_webui_version {wanted} with open_webui_profile {profile} has no lock file ({lock['path']}): use the "
            "role's own version, or write one with scripts/lock_open_webui.py and set open_webui_lock",
        ),
        (
            lock["cuda"],
            f"{lock['path']} has packages for CUDA, several GB that a web page has no use for: write the file with "
            "scripts/lock_open_webui.py, which leaves them out",
        ),
        (
            seen["machine"] not in ("x86_64", "aarch64"),
            f"Open WebUI is built for x86_64 and aarch64, and this instance is {seen['machine']}",
        ),
        (
            python and not seen["python"],
            f"open_webui_python ({python}) is not a CPython 3.11 or 3.12 that runs on this instance",
        ),
        (
            python.startswith(("/root/", "/home/")),
            f"open_webui_python ({python}) lies where the service may not look: install it outside /root and /home",
        ),
        (
            owner and not owner.startswith(("caddy", "open-webui")),
            f"port {planned['port']} is taken on this instance by {owner}: stop it"
            + ("" if https else ", or set open_webui_port"),
        ),
        (
            https and proxy["port_owner"] and not proxy["port_owner"].startswith("open-webui"),
            f"port {proxy['port_taken']} is taken on this instance by {proxy['port_owner']}: stop it, or set {switch}",
        ),
        (
            not seen["installed"] and seen["free_mib"] < planned["space"],
            f"{seen['free_mib']} MiB are free under /opt and Open WebUI ({profile}) needs {planned['space']}: "
            "make room, or give the instance a larger root disk",
        ),
        (
            version(wanted) < version(serves),
            f"Open WebUI {serves} is installed and open_webui_version is {wanted}: an older Open WebUI refuses the "
            f"database of a newer one, so there is no way back; set open_webui_version to at least {oldest}",
        ),
        *((True, fault) for fault in faults(given["open_webui_users"], given["open_webui_admin_email"])),
        *((True, fault) for fault in oidc_faults(given)),
        *((True, fault) for fault in planned["faults"]),
    ]
    return [message for so, message in found if so]
