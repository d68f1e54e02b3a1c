# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom the monitor asks, who is told, what is refused; promtool reads it in tests/engine/test_monitoring.py."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.anklume.stt.plugins.module_utils._services.catalogue import SERVICES
from ansible_collections.anklume.stt.plugins.module_utils._services.monitoring import (
    BALANCER_METRICS,
    FOLDER,
    INCUS_FILES,
    plan,
)
from ansible_collections.anklume.stt.plugins.module_utils._services.openai_audio import normalise_words
from ansible_collections.anklume.stt.plugins.module_utils._services.speech import CLIPS, spoken_clip
from ansible_collections.anklume.stt.plugins.module_utils._services.spoken_probe import expected, request

ROOT = Path(__file__).resolve().parents[4]
DEFAULTS = yaml.safe_load((ROOT / "roles/monitoring/defaults/main.yml").read_text())
MONITOR = {"ansible_host": "10.1.1.60", "incus_network": {"gateway": "10.1.1.254"}}
HOSTS: dict[str, dict[str, Any]] = {
    "monitor": MONITOR,
    "ai": {"ansible_host": "10.1.1.10", "stt_server_api_key": "auto", "stt_server_port": 8001},
    "bare": {"stt_server_language": "fr"},
    "webui": {"ansible_host": "10.1.1.20"},
    "plain": {"ansible_host": "10.1.1.21", "open_webui_https": False},
    "bridge": {"ansible_host": "10.1.1.30"},
}
GROUPS = {
    "role_monitoring": ["monitor"],
    "role_stt_server": ["ai", "bare"],
    "role_ollama_server": ["ai"],
    "role_open_webui": ["webui", "plain"],
    "role_wyoming": ["bridge"],
}


def planned(project: Path, groups: Any = None, hosts: Any = None, **given: Any) -> dict[str, Any]:
    set_for_it = DEFAULTS | {f"monitoring_{name}": value for name, value in given.items()}
    return plan(set_for_it, "monitor", GROUPS if groups is None else groups, HOSTS | (hosts or {}), str(project))


def jobs(found: dict[str, Any]) -> dict[str, Any]:
    return {job["job_name"]: job for job in found["prometheus"]["scrape_configs"]}


def targets(job: dict[str, Any]) -> dict[str, str]:
    return {one["labels"]["instance"]: one["targets"][0] for one in job["static_configs"]}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/ai-speaches-api-key").write_text("sesame\n")
    return tmp_path


def test_each_stt_server_is_asked_with_its_own_key(project: Path) -> None:
    found = planned(project)
    assert found["faults"] == []
    assert found["keys"] == {f"{FOLDER}/keys/ai": "sesame"}
    assert [file["path"] for file in found["key_files"]] == list(found["keys"])
    keyed, bare = jobs(found)["stt-ai"], jobs(found)["stt-bare"]
    assert keyed["authorization"] == {"credentials_file": f"{FOLDER}/keys/ai"}
    assert targets(keyed) == {"ai": "10.1.1.10:8001"}
    assert "authorization" not in bare and targets(bare) == {"bare": "bare:8000"}
    assert {one["static_configs"][0]["labels"]["job"] for one in (keyed, bare)} == {"stt"}
    assert "sesame" not in str(found["prometheus"]) + found["blackbox"]


def test_each_stt_server_is_to_hear_a_sentence_in_its_language(project: Path) -> None:
    found = planned(project, sentence_interval=300)
    job = jobs(found)["stt-sentence"]
    assert (job["scrape_interval"], job["scrape_timeout"]) == ("300s", "59s")
    assert targets(job)["ai"] == "http://10.1.1.10:8001/v1/audio/transcriptions"
    modules = yaml.safe_load(found["blackbox"])["modules"]
    named = {one["labels"]["instance"]: one["labels"]["__param_module"] for one in job["static_configs"]}
    for name, language in (("ai", "en"), ("bare", "fr")):
        http = modules[named[name]]["http"]
        assert http["body"] == request((CLIPS / f"{language}.wav").read_bytes(), language)
        assert http["fail_if_body_not_matches_regexp"] == [expected(spoken_clip(language)["text"])]
    assert modules["sentence-ai"]["http"]["authorization"] == {"credentials_file": f"{FOLDER}/keys/ai"}
    assert "authorization" not in modules["sentence-bare"]["http"]


@pytest.mark.parametrize(
    ("variables", "sound", "language", "text"),
    [
        ({"stt_server_model": "vosk-small-fr"}, "fr", "fr", spoken_clip("fr")["text"]),
        ({"stt_server_model": "alphacep/vosk-model-small-en-us-0.15"}, "en", "en", spoken_clip("en")["text"]),
        # no sentence of ours is Polish: the model has to answer, and what it says is not looked at
        ({"stt_server_model": "vosk-small-pl"}, "en", "pl", ""),
        ({"stt_server_model": "vosk-small-pl", "stt_server_language": "pl"}, "en", "pl", ""),
        (
            {"stt_server_model": "auto", "stt_server_engine": "vosk", "stt_server_language": "de"},
            *("en", "de", ""),
        ),
        ({"stt_server_model": "parakeet-v2"}, "en", "en", spoken_clip("en")["text"]),
    ],
)
def test_a_model_of_one_language_is_asked_for_that(
    project: Path, variables: dict[str, Any], sound: str, language: str, text: str
) -> None:
    found = planned(project, {"role_stt_server": ["ai", "one"]}, {"one": variables})
    http = yaml.safe_load(found["blackbox"])["modules"]["sentence-one"]["http"]
    assert http["body"] == request((CLIPS / f"{sound}.wav").read_bytes(), language)
    assert http["fail_if_body_not_matches_regexp"] == [expected(text)]
    assert expected("") == "(?i)"  # what any answer matches


def test_a_sound_stands_there_once(project: Path) -> None:
    groups = {"role_stt_server": ["ai", "one", "two"]}
    text = planned(project, groups, {"one": {}, "two": {}})["blackbox"]
    assert text.count("!!binary") == 1
    modules = yaml.safe_load(text)["modules"]
    assert modules["sentence-two"]["http"]["body"] == modules["sentence-ai"]["http"]["body"]


@pytest.mark.parametrize(
    ("heard", "so"),
    [
        ("The quick brown fox jumps over the lazy dog.", True),
        ("the quick, brown Fox jumped over a crazy dog", True),
        ("The quick fox jumps brown", False),
        ("Thanks for watching.", False),
    ],
)
def test_three_words_in_a_row_are_enough(heard: str, so: bool) -> None:
    pattern = expected("The quick brown fox jumps over the lazy dog.").replace(r"[^\pL\pN]", r"[\W_]")
    assert bool(re.search(pattern, heard)) is so
    assert len(normalise_words(heard)) > 2


def test_pages_and_other_services_are_asked_as_they_answer(project: Path) -> None:
    found = planned(project)
    page, service = jobs(found)["page"], jobs(found)["service"]
    assert targets(page) == {"webui": "https://10.1.1.20/health"}
    asked = yaml.safe_load(found["blackbox"])["modules"]["page-webui"]["http"]
    assert asked["headers"] == {"Host": "webui"} and asked["tls_config"]["server_name"] == "webui"
    assert {(one["targets"][0], one["labels"]["__param_module"]) for one in service["static_configs"]} == {
        ("http://10.1.1.10:11434/api/version", "http"),
        ("http://10.1.1.21:3000/health", "http"),
        ("10.1.1.30:10300", "tcp"),
    }


def test_a_balancer_is_asked_like_a_service_and_for_its_numbers(project: Path) -> None:
    groups = GROUPS | {"role_stt_balancer": ["way", "other"]}
    hosts = {"way": {"ansible_host": "10.1.1.40"}, "other": {"stt_balancer_metrics_port": 9404}}
    found = planned(project, groups, hosts)
    assert targets(jobs(found)["stt-balancer"]) == {"way": "10.1.1.40:8404", "other": "other:9404"}
    assert targets(jobs(found)["service"])["way"] == "http://10.1.1.40:8000/health"
    defaults = yaml.safe_load((ROOT / "roles/stt_balancer/defaults/main.yml").read_text())
    assert defaults["stt_balancer_metrics_port"] == BALANCER_METRICS


def test_hosts_with_docker_are_asked_like_other_stt_servers(project: Path) -> None:
    (project / "secrets/attic-speaches-api-key").write_text("attic's\n")
    attic = {"ansible_host": "192.168.1.20", "stt_server_port": 8001, "stt_server_api_key": "auto"}
    named = planned(project, stt_servers={"attic": attic | {"stt_server_language": "fr"}})
    known = planned(project, GROUPS | {"stt_compose": ["attic"]}, {"attic": attic})
    for found in (named, known):
        assert targets(jobs(found)["stt-attic"]) == {"attic": "192.168.1.20:8001"}
        assert targets(jobs(found)["stt-sentence"])["attic"] == "http://192.168.1.20:8001/v1/audio/transcriptions"
        assert found["keys"][f"{FOLDER}/keys/attic"] == "attic's"
        assert {"stt-ai", "stt-bare"} <= set(jobs(found)) and found["faults"] == []
    sentence = yaml.safe_load(named["blackbox"])["modules"]["sentence-attic"]["http"]
    assert sentence["body"] == request((CLIPS / "fr.wav").read_bytes(), "fr")
    # one that answers its own host alone cannot be asked
    assert "stt-attic" not in jobs(planned(project, stt_servers={"attic": attic | {"stt_server_host": "127.0.0.1"}}))


@pytest.mark.parametrize("off", [{"wyoming_enabled": False}, {"wyoming_host": "127.0.0.1"}])
def test_what_is_turned_off_or_answers_its_own_machine_alone_is_not_asked(project: Path, off: dict[str, Any]) -> None:
    found = planned(project, hosts={"bridge": HOSTS["bridge"] | off, "ai": {"ollama_host": "127.0.0.1:11434"}})
    assert set(targets(jobs(found)["service"])) == {"plain"}


def test_every_service_has_a_way_to_be_asked(project: Path) -> None:
    """Those that come later too: by what they answer without a key, or by their port."""
    groups = {f"role_{service.role}": ["any"] for service in SERVICES}
    found = planned(project, groups, {"any": {"ansible_host": "10.1.1.9"}})
    asked = {
        one["labels"].get("service", "stt_server")
        for job in jobs(found).values()
        for one in job["static_configs"]
        if "labels" in one
    }
    assert asked == {service.role for service in SERVICES} - {"monitoring"}


def test_the_incus_host_and_others_are_asked_where_that_is_wished(project: Path) -> None:
    assert "node" not in jobs(planned(project))
    found = planned(project, incus_host=True, nodes={"gpu-box": "192.168.1.5:9100"})
    assert targets(jobs(found)["node"]) == {"incus-host": "10.1.1.254:9100", "gpu-box": "192.168.1.5:9100"}


def test_nobody_is_told_unless_somebody_is_named(project: Path) -> None:
    found = planned(project)
    assert found["alertmanager"]["receivers"] == [{"name": "told"}, {"name": "watchdog"}]
    assert found["secret_alertmanager"] is False


def test_mail_webhook_and_watchdog(project: Path) -> None:
    mail = {"mail_to": ["a@x.org", "b@x.org"], "mail_from": "stt@x.org", "mail_server": "mail.x.org:587"}
    account = {"mail_user": "stt", "mail_password": "4711"}
    urls = {"webhook_url": "http://10.1.1.7/alerts", "watchdog_url": "https://out.x.org/push/t"}
    found = planned(project, **mail, **account, **urls)
    assert found["faults"] == [] and found["secret_alertmanager"] is True
    told, watchdog = found["alertmanager"]["receivers"]
    assert told["webhook_configs"] == [{"url": "http://10.1.1.7/alerts"}]
    assert told["email_configs"][0]["to"] == "a@x.org, b@x.org"
    assert told["email_configs"][0]["auth_password"] == "4711"
    assert watchdog["webhook_configs"][0]["url"] == "https://out.x.org/push/t"
    assert planned(project, **mail)["secret_alertmanager"] is False


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"retention": "30"}, "monitoring_retention (30) is no time: give it as 12h, 30d or 1y"),
        ({"repeat": "never"}, "monitoring_repeat (never) is no time"),
        ({"interval": 0}, "monitoring_interval is at least 1 second"),
        ({"webhook_url": "10.0.0.1:5001"}, "monitoring_webhook_url is no address"),
        ({"mail_to": ["a@x.org"]}, "monitoring_mail_to needs monitoring_mail_from and monitoring_mail_server"),
        ({"mail_user": "stt"}, "monitoring_mail_user and monitoring_mail_password go together"),
        ({"stt_servers": {"attic": {"stt_server_port": 8001}}}, "attic has no ansible_host; give its address"),
        ({"stt_servers": {"attic": "192.168.1.20:8001"}}, "attic has no ansible_host; give its address"),
        ({"nodes": {"box": "192.168.1.5"}}, "monitoring_nodes: box is 192.168.1.5; give an address with its port"),
    ],
)
def test_what_cannot_work_is_refused_with_the_reason(project: Path, given: dict[str, Any], message: str) -> None:
    (fault,) = planned(project, **given)["faults"]
    assert message in fault


def test_a_project_without_a_service_is_refused(project: Path) -> None:
    (fault,) = planned(project, {"role_monitoring": ["monitor"]})["faults"]
    assert fault.startswith("there is nothing to monitor")


@pytest.mark.parametrize(
    ("host", "listen", "local"),
    [
        ("0.0.0.0", "0.0.0.0:9090", "127.0.0.1:9090"),
        ("::", "[::]:9090", "127.0.0.1:9090"),
        ("10.1.1.60", "10.1.1.60:9090", "10.1.1.60:9090"),
        ("fd00::6", "[fd00::6]:9090", "[fd00::6]:9090"),
    ],
)
def test_where_it_listens(project: Path, host: str, listen: str, local: str) -> None:
    found = planned(project, host=host)
    assert (found["listen"], found["local"]) == (listen, local)
    assert found["page"] == "http://10.1.1.60:9090/"


def test_incus_is_asked_by_a_certificate_of_its_own(project: Path) -> None:
    assert "incus" not in jobs(planned(project))
    (fault,) = planned(project, incus_metrics=True)["faults"]
    assert "sudo make monitor-host" in fault
    for name in INCUS_FILES:
        (project / "secrets" / name).write_text(f"PEM of {name}")
    found = planned(project, incus_metrics=True)
    assert found["faults"] == []
    job = jobs(found)["incus"]
    assert (job["scheme"], job["metrics_path"], targets(job)) == (
        "https",
        "/1.0/metrics",
        {"incus-host": "10.1.1.254:8444"},
    )
    for key, name in (("key_file", INCUS_FILES[0]), ("cert_file", INCUS_FILES[1]), ("ca_file", INCUS_FILES[2])):
        path = job["tls_config"][key]
        assert found["keys"][path] == f"PEM of {name}"
        assert {"path": path, "group": "prometheus", "mode": "0640"} in found["key_files"]


@pytest.mark.parametrize(
    ("account", "right"),
    [
        ({"token": "a"}, True),
        ({"user": "a", "password": "b"}, True),
        ({}, False),
        ({"user": "a"}, False),
        ({"token": "a", "user": "a", "password": "b"}, False),
    ],
)
def test_a_grafana_wants_one_account(project: Path, account: dict[str, str], right: bool) -> None:
    given = {f"grafana_{name}": value for name, value in account.items()}
    found = planned(project, grafana_url="https://grafana.example.org", **given)
    assert (found["faults"] == []) == right
    assert found["dashboard"]["uid"] == "anklume-stt"
    assert planned(project)["dashboard"] == {}
