# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role monitoring works out: whom Prometheus asks, who is told of alerts, what is wrong with its variables.

It reads the keys of STT servers in the project's secrets, and what this collection brings: rules and sentences.
"""

from __future__ import annotations

import json
import re
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from ansible_collections.anklume.stt.plugins.module_utils._services.catalogue import BY_ROLE, SERVICES, Service
from ansible_collections.anklume.stt.plugins.module_utils._services.names import Place, host_names
from ansible_collections.anklume.stt.plugins.module_utils._services.speech import api_key, clip_of
from ansible_collections.anklume.stt.plugins.module_utils._services.spoken_probe import sentences

Variables = Mapping[str, Any]
Config = dict[str, Any]

FOLDER = "/etc/prometheus/anklume"
"""Beside the files of Debian's packages, so that an upgrade of these asks nothing."""
DATA = Path(__file__).resolve().parents[3] / "data" / "monitoring"
RULES, DASHBOARD = DATA / "stt.rules.yml", DATA / "dashboard.json"
ALERTMANAGER, BLACKBOX = "127.0.0.1:9093", "127.0.0.1:9115"
NODE_PORT = 9100
INCUS_PORT = 8444
INCUS_FILES = ("incus-metrics.key", "incus-metrics.crt", "incus-metrics-server.crt")
"""In the project's secrets, where `make monitor-host` puts them: what Incus is shown, and what it is known by."""
BALANCER_METRICS = 8404
"""What stt_balancer_metrics_port is when nobody sets it."""
INCUS_HOST = "incus-host"
"""What the Incus host is called in alerts."""
LONGEST = 60
"""Seconds that a spoken sentence may take at most."""
DURATION = re.compile(r"[1-9]\d*(h|d|w|y)")
BLACKBOX_HEAD = """\
# Written by Ansible: change the variables of the role monitoring, not this file.
modules:
  http:
    prober: http
    timeout: 10s
    http: {preferred_ip_protocol: ip4}
  tcp:
    prober: tcp
    timeout: 10s
    tcp: {preferred_ip_protocol: ip4}
"""
PAGE = """\
  {module}:
    prober: http
    timeout: 10s
    http:
      preferred_ip_protocol: ip4
      headers: {{Host: "{name}"}}
      # its end is what is looked at here; whether browsers trust it, make doctor says
      tls_config: {{insecure_skip_verify: true, server_name: "{name}"}}
"""


def plan(given: Variables, machine: str, groups: Mapping[str, Any], hostvars: Variables, project_dir: str) -> Config:
    """The configurations of Prometheus, Alertmanager and the blackbox exporter, the keys as files, and faults.

    `given` are the role's variables, `machine` the name of the machine that has the role.
    """
    groups, hostvars = _with_others(given["monitoring_stt_servers"], groups, hostvars)
    served = list(_served(groups, hostvars))
    stt = [name for service, name in served if service.role == "stt_server"]
    keys = {name: api_key(hostvars[name].get("stt_server_api_key"), name, project_dir) for name in stt}
    key_files = {name: f"{FOLDER}/keys/{name}" if key else "" for name, key in keys.items()}
    pages = {name: _page_name(name, hostvars[name]) for service, name in served if _is_page(service, hostvars[name])}
    probes = [
        {"name": f"sentence-{name}", "spoken": clip_of(hostvars[name]), "key_file": key_files[name]} for name in stt
    ]
    jobs = [_own(given)]
    jobs += [_metrics(name, _target(BY_ROLE["stt_server"], name, hostvars[name]), key_files[name]) for name in stt]
    if balancers := [_balancer(name, hostvars[name]) for service, name in served if service.role == "stt_balancer"]:
        jobs.append({"job_name": "stt-balancer", "static_configs": balancers})
    jobs += _jobs_of_probes(given, served, hostvars)
    if nodes := _nodes(given, hostvars[machine]):
        jobs.append({"job_name": "node", "static_configs": [_static(where, name) for name, where in nodes.items()]})
    secrets = {key_files[name]: key for name, key in keys.items() if key}
    if given["monitoring_incus_metrics"]:
        incus_files = _incus_files(project_dir)
        secrets |= {f"{FOLDER}/keys/{name}": content for name, content in incus_files.items()}
        jobs.append(_incus(_gateway(hostvars[machine])))
    return {
        "prometheus": _prometheus(given, jobs),
        "alertmanager": alertmanager(given),
        "blackbox": BLACKBOX_HEAD
        + "".join(PAGE.format(module=f"page-{name}", name=host) for name, host in pages.items())
        + sentences(probes, LONGEST),
        "rules": RULES.read_text(encoding="utf-8"),
        "dashboard": json.loads(DASHBOARD.read_text(encoding="utf-8")) if given["monitoring_grafana_url"] else {},
        "keys": secrets,
        "key_files": [{"path": path, "group": "prometheus", "mode": "0640"} for path in secrets],
        "listen": f"{_bracketed(given['monitoring_host'])}:{given['monitoring_port']}",
        "local": _local(given),
        "page": f"http://{_target(BY_ROLE['monitoring'], machine, hostvars[machine])}/",
        "secret_alertmanager": any(given[f"monitoring_{name}"] for name in SECRETS),
        "faults": [*faults(given, [name for _service, name in served]), *_incus_faults(given, project_dir)],
    }


SECRETS = ("webhook_url", "watchdog_url", "mail_password")
"""What is written into Alertmanager's configuration and may be a secret: an address often holds a token."""


def _with_others(others: Variables, groups: Mapping[str, Any], hostvars: Variables) -> tuple[Config, Variables]:
    """The hosts with Docker as machines with an STT server: those of the inventory, and those that a variable names."""
    known = {name: {"ansible_host": name, **given} for name, given in others.items() if isinstance(given, Mapping)}
    docker = [name for name in groups.get("stt_compose", []) if name not in known]
    servers = [*groups.get("role_stt_server", []), *docker, *known]
    return {**groups, "role_stt_server": servers}, ChainMap(known, cast("dict[str, Any]", hostvars))


def _served(groups: Mapping[str, Any], hostvars: Variables) -> Iterator[tuple[Service, str]]:
    """The services that can be asked from elsewhere, each with its machine."""
    for service in SERVICES:
        for name in groups.get(f"role_{service.role}", []):
            found = hostvars[name]
            if service.role != "monitoring" and service.is_enabled(found) and not service.is_local(found):
                yield service, name


def _target(service: Service, name: str, machine: Variables) -> str:
    return f"{_bracketed(str(machine.get('ansible_host') or name))}:{service.port_on(machine)}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _local(given: Variables) -> str:
    """Where Prometheus is reached from its own machine."""
    host = given["monitoring_host"]
    return f"{'127.0.0.1' if host in ('0.0.0.0', '::') else _bracketed(host)}:{given['monitoring_port']}"


def _is_page(service: Service, machine: Variables) -> bool:
    return service.role == "open_webui" and bool(machine.get("open_webui_https", True))


def _page_name(name: str, machine: Variables) -> str:
    """The name that its certificate is for."""
    return host_names(Place.of({"inventory_hostname": name, **machine}).sites(443))[0]


def _static(target: str, instance: str, **labels: str) -> Config:
    return {"targets": [target], "labels": {"instance": instance, **labels}}


def _probed(target: str, service: Service, instance: str, module: str) -> Config:
    """A target of the blackbox exporter, which is asked for the module by the parameter of that label."""
    return _static(target, instance, service=service.role, **{"__param_module": module})


def _own(given: Variables) -> Config:
    """What the three say of themselves."""
    return {"job_name": "monitoring", "static_configs": [{"targets": [_local(given), ALERTMANAGER, BLACKBOX]}]}


def _metrics(name: str, target: str, key_file: str) -> Config:
    """The numbers of an STT server; each may have a key of its own, and so a job, which is called stt all the same."""
    key = {"authorization": {"credentials_file": key_file}} if key_file else {}
    return {"job_name": f"stt-{name}", **key, "static_configs": [_static(target, name, job="stt")]}


def _balancer(name: str, machine: Variables) -> Config:
    """The numbers of HAProxy, which it tells at a port of their own."""
    port = machine.get("stt_balancer_metrics_port") or BALANCER_METRICS
    return _static(f"{_target(BY_ROLE['stt_balancer'], name, machine).rpartition(':')[0]}:{port}", name)


def _jobs_of_probes(given: Variables, served: Iterable[tuple[Service, str]], hostvars: Variables) -> Iterator[Config]:
    """Sentences, pages with their certificates, and other services, for the blackbox exporter."""
    heard, pages, others = [], [], []
    for service, name in served:
        target = _target(service, name, hostvars[name])
        if service.role == "stt_server":
            heard.append(_probed(f"http://{target}/v1/audio/transcriptions", service, name, f"sentence-{name}"))
        elif _is_page(service, hostvars[name]):
            pages.append(_probed(f"https://{target.rpartition(':')[0]}{service.health}", service, name, f"page-{name}"))
        elif service.health:
            others.append(_probed(f"http://{target}{service.health}", service, name, "http"))
        else:
            others.append(_probed(target, service, name, "tcp"))
    interval = given["monitoring_sentence_interval"]
    timing = {"scrape_interval": f"{interval}s", "scrape_timeout": f"{min(interval, LONGEST) - 1}s"}
    for job, targets, more in (("stt-sentence", heard, timing), ("page", pages, {}), ("service", others, {})):
        if targets:
            yield {"job_name": job, "metrics_path": "/probe", **more, "static_configs": targets} | {
                "relabel_configs": [
                    {"source_labels": ["__address__"], "target_label": "__param_target"},
                    {"target_label": "__address__", "replacement": BLACKBOX},
                ]
            }


def _gateway(machine: Variables) -> str:
    """The Incus host, as the monitor reaches it: at the address of its bridge."""
    return str((machine.get("incus_network") or {}).get("gateway", ""))


def _incus_files(project_dir: str) -> Config:
    folder = Path(project_dir) / "secrets"
    return {name: (folder / name).read_text(encoding="utf-8") for name in INCUS_FILES if (folder / name).is_file()}


def _incus_faults(given: Variables, project_dir: str) -> Iterator[str]:
    if given["monitoring_incus_metrics"] and len(_incus_files(project_dir)) < len(INCUS_FILES):
        yield "monitoring_incus_metrics needs what Incus and the monitor know each other by: run sudo make monitor-host"


def _incus(host: str) -> Config:
    """The numbers of the instances: Incus tells those of the projects that the certificate is for."""
    keys = f"{FOLDER}/keys/"
    return {
        "job_name": "incus",
        "scheme": "https",
        "metrics_path": "/1.0/metrics",
        "tls_config": {
            "cert_file": f"{keys}incus-metrics.crt",
            "key_file": f"{keys}incus-metrics.key",
            # its own certificate, which is for this name whatever the host is called
            "ca_file": f"{keys}incus-metrics-server.crt",
            "server_name": "127.0.0.1",
        },
        "static_configs": [_static(f"{host}:{INCUS_PORT}", INCUS_HOST)],
    }


def _nodes(given: Variables, machine: Variables) -> dict[str, str]:
    """The node-exporters by the names of their machines; the Incus host's answers at the bridge of the monitor."""
    host = {}
    if given["monitoring_incus_host"]:
        host = {INCUS_HOST: f"{_gateway(machine)}:{NODE_PORT}"}
    return host | dict(given["monitoring_nodes"])


def _prometheus(given: Variables, jobs: list[Config]) -> Config:
    interval = f"{given['monitoring_interval']}s"
    return {
        "global": {"scrape_interval": interval, "evaluation_interval": interval},
        "rule_files": [f"{FOLDER}/{RULES.name}"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [ALERTMANAGER]}]}]},
        "scrape_configs": jobs,
    }


def alertmanager(given: Variables) -> Config:
    """Who is told of alerts: by mail, by a webhook, by both, or nobody; the Watchdog goes to an address of its own."""
    told: Config = {"name": "told"}
    if given["monitoring_webhook_url"]:
        told["webhook_configs"] = [{"url": given["monitoring_webhook_url"]}]
    if given["monitoring_mail_to"]:
        user, password = given["monitoring_mail_user"], given["monitoring_mail_password"]
        told["email_configs"] = [
            {
                "to": ", ".join(given["monitoring_mail_to"]),
                "from": given["monitoring_mail_from"],
                "smarthost": given["monitoring_mail_server"],
                "require_tls": given["monitoring_mail_tls"],
                "send_resolved": True,
                **({"auth_username": user, "auth_password": password} if user else {}),
            }
        ]
    watchdog: Config = {"name": "watchdog"}
    if given["monitoring_watchdog_url"]:
        watchdog["webhook_configs"] = [{"url": given["monitoring_watchdog_url"], "send_resolved": False}]
    return {
        "route": {
            "receiver": "told",
            "group_by": ["alertname", "instance"],
            "repeat_interval": given["monitoring_repeat"],
            "routes": [
                {
                    "receiver": "watchdog",
                    "matchers": ['alertname="Watchdog"'],
                    "group_wait": "0s",
                    "group_interval": "1m",
                    # shorter than a round, in which it would else be left out every other time
                    "repeat_interval": "50s",
                }
            ],
        },
        # one that is down hears nothing either; that is said once
        "inhibit_rules": [
            {
                "source_matchers": ['alertname="SttDown"'],
                "target_matchers": ['alertname=~"Stt.+"', 'alertname!="SttDown"'],
                "equal": ["instance"],
            }
        ],
        "receivers": [told, watchdog],
    }


def _grafana_faults(given: Variables) -> Iterator[str]:
    token, user, password = (given[f"monitoring_grafana_{name}"] for name in ("token", "user", "password"))
    if bool(token) == bool(user) or bool(user) != bool(password):
        yield (
            "monitoring_grafana_url needs an account there: give either monitoring_grafana_token or"
            " monitoring_grafana_user with monitoring_grafana_password"
        )


def faults(given: Variables, machines: Iterable[str]) -> Iterator[str]:
    """Why it cannot work."""
    mail_to, server = given["monitoring_mail_to"], given["monitoring_mail_server"]
    if not list(machines):
        yield "there is nothing to monitor: no machine of this inventory has a service; give one the role stt_server"
    if given["monitoring_interval"] < 1 or given["monitoring_sentence_interval"] < 2:
        yield "monitoring_interval is at least 1 second and monitoring_sentence_interval at least 2"
    for name in ("retention", "repeat"):
        if not DURATION.fullmatch(given[f"monitoring_{name}"]):
            yield f"monitoring_{name} ({given[f'monitoring_{name}']}) is no time: give it as 12h, 30d or 1y"
    for name in ("webhook_url", "watchdog_url", "grafana_url", "grafana_source"):
        if given[f"monitoring_{name}"] and not re.match(r"https?://[^/\s]", given[f"monitoring_{name}"]):
            yield f"monitoring_{name} is no address: give it as http://10.0.0.1:5001/alerts"
    if given["monitoring_grafana_url"]:
        yield from _grafana_faults(given)
    if mail_to and not (given["monitoring_mail_from"] and re.fullmatch(r"\S+:\d+", server)):
        yield "monitoring_mail_to needs monitoring_mail_from and monitoring_mail_server, as mail.example.org:587"
    if bool(given["monitoring_mail_user"]) != bool(given["monitoring_mail_password"]):
        yield "monitoring_mail_user and monitoring_mail_password go together: give both or neither"
    for name, variables in given["monitoring_stt_servers"].items():
        if not (isinstance(variables, Mapping) and variables.get("ansible_host")):
            yield f"monitoring_stt_servers: {name} has no ansible_host; give its address, as 192.168.1.20"
    for name, where in given["monitoring_nodes"].items():
        if not re.fullmatch(r"\S+:\d+", str(where)):
            yield f"monitoring_nodes: {name} is {where}; give an address with its port, as 10.100.3.7:9100"
