# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hops of verify, from what the modules answer when all is well, when a service is down and when none is asked."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.anklume.stt.plugins.module_utils._services import hops as module
from ansible_collections.anklume.stt.plugins.module_utils._services.hops import hops

MACHINE = {"inventory_hostname": "ai", "ansible_incus_host": "ai", "ansible_incus_project": "home"}
FOX = "The quick brown fox."
HEARD = {"healthy": True, "models": ["a/b"], "text": FOX, "wer": 0.0, "real_time_factor": 0.25}
UP = {"active": True, "current": "1.0"}
DOWN = {"active": False, "current": "1.0"}
SKIPPED = {"skipped": True, "changed": False}


def stt(**answers: Any) -> dict[str, dict[str, Any]]:
    found = hops("stt_server", MACHINE, {"seen": UP, "heard": HEARD, "port": 8000, "spoken": FOX} | answers)
    return {hop["hop"]: hop for hop in found}


def test_an_stt_server_that_works() -> None:
    seen = stt()
    assert list(seen) == ["unit speaches", "port 8000", "model", "STT server"]
    assert all(hop["ok"] is True and hop["host"] == "ai" for hop in seen.values())
    assert seen["unit speaches"]["detail"] == "active, 1.0"
    assert seen["unit speaches"]["next_step"] == "incus exec ai --project home -- journalctl -u speaches -n 50"
    assert seen["STT server"] == {
        "host": "ai",
        "hop": "STT server",
        "ok": True,
        "detail": '"The quick brown fox.", real-time factor 0.25',
        "next_step": "make apply-stt",
        "spoken": FOX,
        "recognised": FOX,
        "real_time_factor": 0.25,
    }


def test_an_stt_server_that_is_down_says_why_at_each_hop() -> None:
    seen = stt(seen=DOWN, heard={"msg": "connection refused", "failed": True})
    assert [hop["ok"] for hop in seen.values()] == [False] * 4
    assert [hop["detail"] for hop in seen.values()] == [
        "not running",
        "connection refused",
        "none",
        "connection refused",
    ]


@pytest.mark.parametrize(
    ("seen", "ok", "detail"),
    [
        ({"stdout": '{"State": "running", "Health": "healthy"}\n'}, True, "running, healthy"),
        ({"stdout": '{"State": "running", "Health": "unhealthy"}\n'}, False, "running, unhealthy"),
        ({"stdout": '{"State": "exited", "Health": ""}\n'}, False, "exited"),
        ({"stdout": ""}, False, "there is none"),
        ({"stdout": "no JSON", "stderr": "no configuration file provided"}, False, "no configuration file provided"),
        ({"msg": "No such file or directory: docker"}, False, "No such file or directory: docker"),
    ],
)
def test_with_docker_a_container_is_in_place_of_the_unit(seen: dict[str, Any], ok: bool, detail: str) -> None:
    answers = {"seen": seen, "heard": HEARD, "port": 8001, "spoken": FOX, "folder": "/opt/stt-compose"}
    first, *rest = hops("stt_compose", {"inventory_hostname": "attic"}, answers)
    assert (first["hop"], first["ok"], first["detail"]) == ("container", ok, detail)
    assert first["next_step"] == "docker compose -f /opt/stt-compose/compose.yaml logs --tail 50"
    assert [hop["hop"] for hop in rest] == ["port 8001", "model", "STT server"] and all(hop["ok"] for hop in rest)
    assert {hop["next_step"] for hop in rest} == {"make compose HOST=attic"}


def test_a_long_recording_is_a_hop_where_it_was_asked_for() -> None:
    good = stt(recordings=[{"item": 10, "seconds": 61.5}])["recording of 10 minutes"]
    assert good["ok"] is True and good["detail"] == "heard to its end in 62 s"
    wrong = stt(recordings=[{"item": 30, "msg": "HTTP 413"}])["recording of 30 minutes"]
    assert wrong["ok"] is False and wrong["next_step"].endswith("journalctl -u speaches -n 50")
    assert wrong["detail"] == "HTTP 413"


def test_a_realtime_session_is_a_hop_where_it_was_asked_for() -> None:
    assert "Realtime" not in stt(session=SKIPPED)
    good = stt(session={"text": FOX, "wer": 0.0, "seconds": 0.42})["Realtime"]
    assert good["ok"] is True and good["detail"] == '"The quick brown fox.", 0.4 s after the last sound'
    wrong = stt(session={"text": "Foxes", "wer": 1.0, "seconds": 0.42, "msg": "heard"})["Realtime"]
    assert wrong["ok"] is False and wrong["next_step"].endswith("journalctl -u speaches -n 50")
    assert stt(session={"msg": "connection refused", "failed": True})["Realtime"]["detail"] == "connection refused"


@pytest.mark.parametrize(("wer", "ok"), [(0.0, True), (0.2, True), (0.21, False)])
def test_a_sentence_counts_up_to_one_wrong_word_in_five(wer: float, ok: bool) -> None:
    assert stt(heard=HEARD | {"wer": wer})["STT server"]["ok"] is ok


def test_where_no_text_is_expected_any_answer_is_one() -> None:
    """A model of Vosk in a language in which there is no sentence."""
    heard = {"healthy": True, "models": ["a/b"], "text": "co to jest", "real_time_factor": 0.1}
    assert stt(heard=heard, spoken="")["STT server"]["ok"] is True
    assert stt(heard={"healthy": True, "msg": "HTTP 500"}, spoken="")["STT server"]["ok"] is False


@pytest.mark.parametrize(
    ("heard", "ok", "detail"),
    [
        ({"heard_back": {"text": "Hello", "wer": 0.5, "error": ""}}, True, '"Hello" heard back, word error rate 0.50'),
        (
            {"heard_back": {"text": "Yellow", "wer": 0.51, "error": ""}},
            False,
            '"Yellow" heard back, word error rate 0.51',
        ),
        ({"heard_back": {"text": "", "wer": 1.0, "error": "no voice"}}, False, "no voice"),
        ({"msg": "connection refused"}, False, "connection refused"),
    ],
)
def test_a_server_that_speaks_is_heard_back(heard: dict[str, Any], ok: bool, detail: str) -> None:
    hop = stt(heard=heard, speaks=True)["STT server speaks"]
    assert (hop["ok"], hop["detail"], hop["next_step"]) == (ok, detail, "make apply-stt")
    assert "STT server speaks" not in stt(heard=HEARD), "one that does not speak is not asked"


@pytest.mark.parametrize(
    ("heard", "ok", "detail"),
    [
        ({"status": 200, "msg": "OK (2 bytes)"}, True, "answers"),
        ({"status": -1, "msg": "connection refused"}, False, "connection refused"),
        (SKIPPED, False, "no answer"),
    ],
)
def test_a_service_without_hops_of_its_own(
    monkeypatch: pytest.MonkeyPatch, heard: dict[str, Any], ok: bool, detail: str
) -> None:
    monkeypatch.delitem(module._HOPS, "ollama_server")
    unit, port = hops("ollama_server", MACHINE, {"seen": UP, "heard": heard, "port": 11434})
    assert (unit["hop"], unit["ok"], unit["detail"]) == ("unit ollama", True, "active, 1.0")
    assert (port["hop"], port["ok"], port["detail"]) == ("port 11434", ok, detail)
    assert port["next_step"] == "incus exec ai --project home -- journalctl -u ollama -n 50"


def test_an_ollama_that_works_and_one_that_lacks_a_model() -> None:
    answers = {"seen": UP, "heard": {"version": "0.32.7", "models": {"a:1b": {}}}, "port": 11434}
    unit, port, models = hops("ollama_server", MACHINE, answers)
    assert (unit["hop"], port["detail"], models["detail"]) == ("unit ollama", "Ollama 0.32.7", "a:1b")
    assert unit["ok"] and port["ok"] and models["ok"]
    answers["heard"] = {"version": "0.32.7", "models": {}, "pulled": ["b:1b"]}
    models = hops("ollama_server", MACHINE, answers)[2]
    assert (models["ok"], models["detail"], models["next_step"]) == (False, "missing: b:1b", "make apply")
    answers["heard"] = {"version": "0.32.7", "models": {}}
    assert hops("ollama_server", MACHINE, answers)[2]["detail"] == "none there, none asked for"


def test_an_ollama_that_does_not_answer() -> None:
    _unit, port, models = hops("ollama_server", MACHINE, {"seen": UP, "heard": {"msg": "timed out"}, "port": 1})
    assert (port["ok"], port["detail"], models["ok"]) == (False, "timed out", False)


def webui(**answers: Any) -> dict[str, dict[str, Any]]:
    given = {"seen": UP, "heard": SKIPPED, "spoken": FOX, "https": SKIPPED, "https_url": "", "stt_url": ""}
    return {hop["hop"]: hop for hop in hops("open_webui", MACHINE, given | {"ollama_url": ""} | answers)}


def test_open_webui_has_the_hops_that_are_asked_of_it() -> None:
    assert list(webui()) == ["unit open-webui"]
    asked = {"https_url": "https://home", "https": {"status": 200}, "stt_url": "http://ai:8000/v1"}
    heard = HEARD | {"ollama": {"version": "0.32.7"}}
    seen = webui(**asked, heard=heard, ollama_url="http://ai:11434")
    assert list(seen) == ["unit open-webui", "HTTPS", "Open WebUI", "Open WebUI to Ollama"]
    assert all(hop["ok"] for hop in seen.values())
    assert (seen["HTTPS"]["detail"], seen["Open WebUI to Ollama"]["detail"]) == ("https://home", "0.32.7")


def test_open_webui_that_reaches_nothing() -> None:
    heard = {"msg": "Server Connection Error", "ollama": {"error": "refused"}}
    asked = {"https_url": "https://home", "https": {"status": -1, "msg": "no route"}, "stt_url": "http://ai:8000/v1"}
    seen = webui(**asked, heard=heard, ollama_url="http://ai:11434")
    assert [hop["detail"] for hop in seen.values()] == [
        "active, 1.0",
        "no route",
        "Server Connection Error",
        "refused",
    ]
    assert seen["Open WebUI to Ollama"]["next_step"] == "is Ollama running at http://ai:11434?"
    assert seen["HTTPS"]["next_step"] == "incus exec ai --project home -- journalctl -u caddy -n 50"


SPEECH = {"error": "", "kind": "wav", "bytes": 115_868, "seconds": 0.44}


@pytest.mark.parametrize(
    ("heard", "ok", "detail"),
    [
        ({"speech": SPEECH | {"text": FOX, "wer": 0.0}}, True, f'"{FOX}", wav, 113 KiB in 0.4 s'),
        ({"speech": SPEECH | {"text": "The fox.", "wer": 0.78}}, False, '"The fox.", wav, 113 KiB in 0.4 s'),
        ({"speech": SPEECH}, True, "wav, 113 KiB in 0.4 s"),
        ({"speech": {"error": "no such voice"}}, False, "no such voice"),
        ({"speech": SPEECH | {"error": "the STT server is down"}}, False, "the STT server is down"),
        ({"msg": "no connection"}, False, "no connection"),
    ],
)
def test_open_webui_speaks(heard: dict[str, Any], ok: bool, detail: str) -> None:
    hop = webui(heard=heard, tts_url="http://ai:8000/v1", says=FOX)["Open WebUI speaks"]
    assert (hop["ok"], hop["detail"]) == (ok, detail)
    assert hop.get("recognised", "") == heard.get("speech", {}).get("text", "")


def bridge(**answers: Any) -> dict[str, dict[str, Any]]:
    heard = HEARD | {"models": ["whisper-1"], "languages": ["en", "fr"]}
    asked = {"model": "whisper-1", "base_url": "http://ai:8000/v1"}
    given = {"seen": UP, "heard": heard, "asked": asked, "port": 10300, "spoken": FOX}
    return {hop["hop"]: hop for hop in hops("wyoming", MACHINE, given | answers)}


def test_a_bridge_that_works() -> None:
    seen = bridge()
    assert list(seen) == ["unit wyoming", "port 10300", "Wyoming to STT server", "Wyoming"]
    assert all(hop["ok"] for hop in seen.values())
    assert seen["port 10300"]["detail"] == "whisper-1 in 2 languages"
    assert seen["Wyoming to STT server"]["detail"] == "http://ai:8000/v1"
    assert (seen["Wyoming"]["spoken"], seen["Wyoming"]["recognised"]) == (FOX, FOX)


def test_a_bridge_whose_key_is_refused_says_so_where_it_happens() -> None:
    heard = {"models": ["whisper-1"], "languages": ["en"], "msg": "Speech-to-text transcription failed", "failed": True}
    asked = {"base_url": "http://ai:8000/v1", "msg": "the server refuses this API key", "failed": True}
    seen = bridge(heard=heard, asked=asked)
    assert [hop["ok"] for hop in seen.values()] == [True, True, False, False]
    assert seen["Wyoming to STT server"]["detail"] == "the server refuses this API key"
    assert "wyoming_stt_api_key" in seen["Wyoming to STT server"]["next_step"]
    assert seen["Wyoming"]["detail"] == "Speech-to-text transcription failed"


def test_a_bridge_that_is_down() -> None:
    seen = bridge(seen=DOWN, heard={"msg": "connection refused"})
    assert [hop["ok"] for hop in seen.values()] == [False, False, True, False]


def edge_tts(**answers: Any) -> dict[str, dict[str, Any]]:
    told = {
        "status": "ok",
        "spoken_by": "edge",
        "voice": "pl-PL-ZofiaNeural",
        "bytes": 9216,
        "seconds": 0.71,
        "error": "",
    }
    given = {"seen": UP, "port": 3002, "heard": {"status": 200, "json": told | answers.pop("told", {})}}
    return {hop["hop"]: hop for hop in hops("edge_tts", MACHINE, given | answers)}


def test_edge_tts_that_speaks() -> None:
    seen = edge_tts()
    assert list(seen) == ["unit edge-tts", "port 3002", "Edge TTS speaks"]
    assert all(hop["ok"] is True for hop in seen.values())
    assert seen["Edge TTS speaks"]["detail"] == "pl-PL-ZofiaNeural, 9 KiB in 0.7 s"


def test_edge_tts_whose_fallback_speaks_says_why() -> None:
    speaks = edge_tts(told={"spoken_by": "fallback", "error": "Microsoft: HTTP 403"})["Edge TTS speaks"]
    assert speaks["ok"] is True
    assert speaks["detail"] == "the fallback, for Microsoft: HTTP 403"


def test_edge_tts_that_microsoft_does_not_speak_for() -> None:
    told = {
        "status": "error",
        "spoken_by": "nobody",
        "voice": "x",
        "bytes": 0,
        "seconds": 1,
        "error": "Microsoft: HTTP 503",
    }
    seen = edge_tts(heard={"status": 502, "json": told, "msg": "Status code was 502"})
    assert [hop["ok"] for hop in seen.values()] == [True, True, False]
    assert seen["Edge TTS speaks"]["detail"] == "Microsoft: HTTP 503"
    assert "edge_tts_fallback_url" in seen["Edge TTS speaks"]["next_step"]


@pytest.mark.parametrize(
    "heard",
    [
        {"status": -1, "msg": "connection refused"},
        {"status": 401, "msg": "connection refused", "json": {"error": {"message": "Incorrect API key provided"}}},
    ],
)
def test_edge_tts_that_does_not_answer(heard: dict[str, Any]) -> None:
    seen = edge_tts(seen=DOWN, heard=heard)
    assert [hop["ok"] for hop in seen.values()] == [False] * 3
    assert {seen["port 3002"]["detail"], seen["Edge TTS speaks"]["detail"]} == {"connection refused"}


def behind(name: str, **answer: Any) -> dict[str, Any]:
    return {"item": {"name": name, "spoken": {"text": FOX}}, **HEARD, **answer}


def balancer(*each: dict[str, Any], **answers: Any) -> dict[str, dict[str, Any]]:
    counted = {"status": 200, "json": {"release": "haproxy-1", "servers": 2, "up": 2}}
    given = {"seen": UP, "counted": counted, "each": each, "heard": HEARD, "port": 8000, "spoken": FOX}
    given["shown"] = {
        "stdout": "one  UP  0 in work  3 short and 0 long so far\ntwo  UP  1 in work  3 short and 0 long so far"
    }
    return {hop["hop"]: hop for hop in hops("stt_balancer", MACHINE, given | answers)}


def test_a_balancer_whose_servers_all_hear() -> None:
    seen = balancer(behind("one"), behind("two"))
    assert list(seen) == ["unit stt-balancer", "port 8000", "balancer to one", "balancer to two", "balancer"]
    assert all(hop["ok"] for hop in seen.values())
    assert seen["port 8000"]["detail"] == "2 of 2 servers take requests"
    assert seen["balancer"]["recognised"] == FOX


def test_a_server_behind_the_balancer_that_is_of_no_use_is_named_with_its_reason() -> None:
    refused, gone, liar = ({"item": behind(name)["item"]} for name in ("key", "gone", "liar"))
    refused |= {"healthy": True, "msg": "HTTP 401: Incorrect API key provided"}
    gone |= {"healthy": False, "msg": "connection refused"}
    liar |= {"healthy": True, "models": ["a/b"], "msg": "HTTP 500: no"}
    seen = balancer(behind("one"), behind("two"), behind("other", models=["c/d"]), refused, gone, liar)
    assert {name for name, hop in seen.items() if not hop["ok"]} == {
        *("balancer to other", "balancer to key", "balancer to gone", "balancer to liar"),
    }
    assert seen["balancer to other"]["detail"] == "it serves c/d and not a/b, as the others do"
    assert seen["balancer to key"]["detail"] == "HTTP 401: Incorrect API key provided"
    assert seen["balancer to gone"]["detail"] == "connection refused"
    assert seen["balancer to liar"]["detail"] == "it says that it is healthy, and HTTP 500: no"
    assert seen["balancer to liar"]["next_step"].startswith("stt-balancer drain liar")


@pytest.mark.parametrize("state", ["DRAIN", "MAINT"])
def test_a_server_that_was_taken_out_is_named_with_what_puts_it_in_again(state: str) -> None:
    seen = balancer(behind("one"), behind("two"), shown={"stdout": f"one  {state}  0 in work\ntwo  UP  0 in work"})
    assert [name for name, hop in seen.items() if not hop["ok"]] == ["balancer to one"]
    assert seen["balancer to one"]["detail"] == f"it is well, and was taken out ({state}): nothing is sent there"
    assert seen["balancer to one"]["next_step"] == "stt-balancer ready one puts it in again"


def test_a_server_behind_the_balancer_is_judged_by_its_own_sentence() -> None:
    french, polish = "Bonjour, la reconnaissance vocale fonctionne.", ""
    one = behind("one", text=french) | {"item": {"name": "one", "spoken": {"text": french}}}
    two = behind("two", text="odd", wer=1.0) | {"item": {"name": "two", "spoken": {"text": polish}}}
    seen = balancer(one, two)
    assert [hop["ok"] for hop in seen.values()] == [True] * 5
    assert seen["balancer to one"]["spoken"] == french


@pytest.mark.parametrize("counted", [{"status": -1, "msg": "connection refused"}, {"msg": "timed out"}])
def test_a_balancer_that_does_not_answer(counted: dict[str, Any]) -> None:
    seen = balancer(behind("one"), seen=DOWN, counted=counted, shown={}, heard={"msg": "connection refused"})
    assert [name for name, hop in seen.items() if hop["ok"]] == ["balancer to one"]
    assert seen["port 8000"]["detail"] == counted["msg"]


def test_a_balancer_without_a_server_that_is_up_is_not_well() -> None:
    counted = {"status": 200, "json": {"release": "haproxy-1", "servers": 2, "up": 0}}
    assert balancer(behind("one"), counted=counted)["port 8000"]["detail"] == "0 of 2 servers take requests"
    assert not balancer(behind("one"), counted=counted)["port 8000"]["ok"]


def monitor(units: Any = None, **told: Any) -> dict[str, dict[str, Any]]:
    """The hops of the monitor, by what Prometheus answers to each question; None: it does not."""
    up = {"labels": {"instance": "ai", "job": "stt"}, "health": "up", "lastError": ""}
    fires = {"name": "SttSlow", "health": "ok", "alerts": [{"state": "firing", "labels": {"instance": "ai"}}]}
    watchdog = {"name": "Watchdog", "health": "ok", "alerts": [{"state": "firing", "labels": {}}]}
    data = {
        "version": {"version": "2.53.3"},
        "targets": {"activeTargets": [up, up | {"health": "unknown"}]},
        "rules": {"groups": [{"rules": [fires, watchdog]}]},
        "alertmanagers": {"activeAlertmanagers": [{"url": "http://127.0.0.1:9093"}]},
        "untold": {"result": []},
        "sentences": {"result": [{"metric": {"instance": "ai"}, "value": [1.0, "1"]}]},
    } | told
    results = [
        {
            "item": {"about": about},
            **({"status": 200, "json": {"data": one}} if one else {"status": -1, "msg": "refused"}),
        }
        for about, one in data.items()
    ]
    seen = UP | {"units": {"prometheus-alertmanager": {"active": True} if units is None else units}}
    found = hops("monitoring", MACHINE, {"seen": seen, "heard": {"results": results}, "port": 9090})
    return {hop["hop"]: hop for hop in found}


def test_a_monitor_that_sees_everything() -> None:
    seen = monitor()
    assert list(seen) == [
        "unit prometheus",
        "port 9090",
        "Prometheus sees every target",
        "Prometheus has its rules",
        "Alertmanager",
        "spoken sentence is heard",
    ]
    assert all(hop["ok"] is True for hop in seen.values())
    assert seen["port 9090"]["detail"] == "Prometheus 2.53.3"
    assert seen["Prometheus sees every target"]["detail"] == "2 targets"
    assert seen["Prometheus has its rules"]["detail"] == "2 alerts, SttSlow ai now"
    assert seen["spoken sentence is heard"]["detail"] == "by 1 of 1 STT servers"


@pytest.mark.parametrize(
    ("told", "hop", "detail"),
    [
        (
            {
                "targets": {
                    "activeTargets": [{"labels": {"instance": "ai", "job": "stt"}, "health": "down", "lastError": "x"}]
                }
            },
            "Prometheus sees every target",
            "ai (stt): x",
        ),
        ({"targets": {"activeTargets": []}}, "Prometheus sees every target", "none"),
        (
            {"rules": {"groups": [{"rules": [{"name": "A", "health": "err", "lastError": "bad"}]}]}},
            "Prometheus has its rules",
            "A: bad",
        ),
        ({"rules": {"groups": []}}, "Prometheus has its rules", "0 alerts, none of them now"),
        ({"alertmanagers": {"activeAlertmanagers": []}}, "Alertmanager", "Prometheus does not know it yet"),
        ({"units": {"active": False}, "alertmanagers": None}, "Alertmanager", "not running"),
        (
            {"untold": {"result": [{"metric": {"integration": "email"}}]}},
            "Alertmanager",
            "alerts cannot be told by email",
        ),
        (
            {"sentences": {"result": [{"metric": {"instance": "ai"}, "value": [1.0, "0"]}]}},
            "spoken sentence is heard",
            "not by ai",
        ),
        ({"version": None}, "port 9090", "refused"),
    ],
)
def test_what_the_monitor_does_not_see_is_said(told: dict[str, Any], hop: str, detail: str) -> None:
    seen = monitor(**told)
    assert [name for name, one in seen.items() if not one["ok"]] == [hop]
    assert seen[hop]["detail"] == detail


def test_a_sentence_that_was_not_spoken_yet_is_no_hop() -> None:
    assert "spoken sentence is heard" not in monitor(sentences={"result": []})


def test_a_monitor_that_is_down_says_why() -> None:
    found = hops("monitoring", MACHINE, {"seen": DOWN, "heard": {"results": []}, "port": 9090})
    assert not any(hop["ok"] for hop in found)
