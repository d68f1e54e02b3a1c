# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hops of verify: what was seen of a machine and heard from its service, as steps to a recognised sentence.

Pure: answers of modules in, hops out. A module that failed answers with `msg`; one that was not asked with `skipped`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.anklume.stt.plugins.module_utils._services.catalogue import BY_ROLE, logs
from ansible_collections.anklume.stt.plugins.module_utils._services.speech import WORST_WER

WORST_SPOKEN_WER = 0.5
"""The same for a sentence that a server spoke itself: two models are judged at once, and the smaller ones err."""

Answer = Mapping[str, Any]
Hop = dict[str, Any]


def hops(role: str, machine: Answer, answers: Mapping[str, Any]) -> list[Hop]:
    """The hops of one service on one machine.

    `machine` are its variables; `answers` holds `seen` (service_info), `heard` (the service's own answer), `port` and
    what the service's hops read besides. Each hop has host, hop, ok, detail and next_step; a spoken one also spoken,
    recognised and real_time_factor. A service without hops of its own has two, its unit and its port.
    """
    found = _HOPS[role](machine, answers) if role in _HOPS else _served(role, machine, answers)
    return [{"host": machine["inventory_hostname"], **hop} for hop in found]


def _unit(role: str, machine: Answer, seen: Answer) -> Hop:
    unit, active = BY_ROLE[role].unit, bool(seen.get("active"))
    detail = f"active, {seen.get('current', '')}" if active else "not running"
    return _hop(f"unit {unit}", active, detail, logs(machine, unit))


def _served(role: str, machine: Answer, answers: Answer) -> list[Hop]:
    """A service that was asked for a page, by ansible.builtin.uri."""
    heard = answers["heard"]
    ok = heard.get("status") == 200
    port = _hop(
        f"port {answers['port']}",
        ok,
        "answers" if ok else heard.get("msg", "no answer"),
        logs(machine, BY_ROLE[role].unit),
    )
    return [_unit(role, machine, answers["seen"]), port]


def _sentence(hop: str, heard: Answer, spoken: str, next_step: str) -> Hop:
    """A sentence that was spoken and should have been recognised."""
    text, speed = heard.get("text", ""), heard.get("real_time_factor", 0)
    detail = f'"{text}", real-time factor {speed:.2f}' if "text" in heard else heard.get("msg", "nothing transcribed")
    ok = heard.get("wer", 1.0) <= WORST_WER if spoken else "text" in heard
    return _hop(hop, ok, detail, next_step) | {"spoken": spoken, "recognised": text, "real_time_factor": speed}


def _understood(answers: Answer, again: str) -> list[Hop]:
    """From the port of an STT server to a sentence."""
    heard = answers["heard"]
    healthy, models = bool(heard.get("healthy")), heard.get("models", [])
    return [
        _hop(f"port {answers['port']}", healthy, "healthy" if healthy else heard.get("msg", "no answer"), again),
        _hop("model", bool(models), ", ".join(models) or "none", again),
        _sentence("STT server", heard, answers["spoken"], again),
    ]


def _stt_compose(machine: Answer, answers: Answer) -> list[Hop]:
    """In place of a unit there is a container, as `docker compose ps --format json` shows it."""
    seen, journal = answers["seen"], f"docker compose -f {answers['folder']}/compose.yaml logs --tail 50"
    try:
        shown = json.loads((seen.get("stdout") or "{}").splitlines()[0])
    except ValueError:
        shown = {}
    state, health = shown.get("State", ""), shown.get("Health", "")
    detail = ", ".join(filter(None, (state, health))) or seen.get("stderr") or seen.get("msg") or "there is none"
    container = _hop("container", state == "running" and health in ("", "healthy"), detail, journal)
    return [container, *_understood(answers, f"make compose HOST={machine['inventory_hostname']}")]


def _stt_server(machine: Answer, answers: Answer) -> list[Hop]:
    heard, again = answers["heard"], "make apply-stt"
    found = [_unit("stt_server", machine, answers["seen"]), *_understood(answers, again)]
    if answers.get("speaks"):
        back = heard.get("heard_back", {"error": heard.get("msg", "not asked")})
        detail = back["error"] or f'"{back["text"]}" heard back, word error rate {back["wer"]:.2f}'
        found.append(_hop("STT server speaks", back.get("wer", 1.0) <= WORST_SPOKEN_WER, detail, again))
    journal = logs(machine, BY_ROLE["stt_server"].unit)
    session = answers.get("session", {"skipped": True})
    if not session.get("skipped"):
        found.append(_session(session, journal))
    return found + [_recording(one, journal) for one in answers.get("recordings", [])]


def _recording(heard: Answer, next_step: str) -> Hop:
    """A long recording, whose minutes are the item of its loop."""
    said = heard.get("msg") or f"heard to its end in {heard['seconds']:.0f} s"
    return _hop(f"recording of {heard['item']} minutes", not heard.get("msg"), said, next_step)


def _session(session: Answer, next_step: str) -> Hop:
    """A sentence that was said in a Realtime session; how long it took is how long it was."""
    ok, seconds = session.get("wer", 1.0) <= WORST_WER, session.get("seconds", 0)
    said = f'"{session["text"]}", {seconds:.1f} s after the last sound' if "text" in session else ""
    return _hop("Realtime", ok, said or session.get("msg", "nothing transcribed"), next_step)


def _stt_balancer(machine: Answer, answers: Answer) -> list[Hop]:
    """The balancer, each STT server behind it, and the way through it."""
    counted, journal = answers["counted"], logs(machine, BY_ROLE["stt_balancer"].unit)
    states = dict(line.split()[:2] for line in answers["shown"].get("stdout", "").splitlines())
    told = counted.get("json", {}) if counted.get("status") == 200 else {}
    up = f"{told['up']} of {told['servers']} servers take requests" if told else counted.get("msg", "no answer")
    return [
        _unit("stt_balancer", machine, answers["seen"]),
        _hop(f"port {answers['port']}", bool(told and told["up"]), up, journal),
        *(_behind(answer, answers["each"], states.get(answer["item"]["name"], "")) for answer in answers["each"]),
        _sentence("balancer", answers["heard"], answers["spoken"], journal),
    ]


def _behind(answer: Answer, each: Iterable[Answer], state: str) -> Hop:
    """One of the servers, of whose states HAProxy tells one.

    Where it is well it may be of no use, as it was taken out, for another model, or for what HAProxy cannot see.
    """
    name, meant, spoken = answer["item"]["name"], answer["item"].get("models"), answer["item"]["spoken"]["text"]
    hop = _sentence(f"balancer to {name}", answer, spoken, f"is {name} well, with the right key? make apply")
    models = _models(answer)
    # those that are to have the same; of a server elsewhere nobody may know what it is to have
    alike = (_models(other) for other in each if not meant or other["item"].get("models") == meant)
    usual = next(iter(Counter(filter(None, alike)).most_common(1)), ("", 0))[0]
    if answer.get("healthy") and models and not hop["ok"]:
        hop["detail"] = f"it says that it is healthy, and {hop['detail']}"
        hop["next_step"] = f"stt-balancer drain {name} takes it out; then look at its log"
    elif hop["ok"] and state in ("DRAIN", "MAINT"):
        hop["ok"], hop["next_step"] = False, f"stt-balancer ready {name} puts it in again"
        hop["detail"] = f"it is well, and was taken out ({state}): nothing is sent there"
    elif hop["ok"] and models != usual:
        hop["ok"], hop["next_step"] = False, f"give {name} the model of the others"
        hop["detail"] = f"it serves {models} and not {usual}, as the others do"
    return hop


def _models(answer: Answer) -> str:
    return ", ".join(sorted(answer.get("models", [])))


def _ollama_server(machine: Answer, answers: Answer) -> list[Hop]:
    heard, journal = answers["heard"], logs(machine, "ollama")
    answered, missing = "version" in heard, heard.get("pulled", [])
    version = f"Ollama {heard['version']}" if answered else heard.get("msg", "no answer")
    models = ", ".join(heard.get("models", {})) or "none there, none asked for"
    return [
        _unit("ollama_server", machine, answers["seen"]),
        _hop(f"port {answers['port']}", answered, version, journal),
        _hop(
            "language models",
            answered and not missing,
            f"missing: {', '.join(missing)}" if missing else models,
            "make apply",
        ),
    ]


def _open_webui(machine: Answer, answers: Answer) -> list[Hop]:
    """Open WebUI, then the way into it and from it: only what is asked of it."""
    found = [_unit("open_webui", machine, answers["seen"])]
    if url := answers.get("https_url"):
        https = answers["https"]
        ok = https.get("status", 0) == 200
        found.append(_hop("HTTPS", ok, url if ok else https.get("msg", "no answer"), logs(machine, "caddy")))
    heard = answers["heard"]
    if answers.get("stt_url"):
        found.append(_sentence("Open WebUI", heard, answers["spoken"], "make apply"))
    if answers.get("tts_url"):
        found.append(_speech(heard, answers["says"]))
    if (url := answers.get("ollama_url")) and "ollama" in heard:
        version = heard["ollama"].get("version", "")
        detail = version or heard["ollama"].get("error", "not asked")
        found.append(_hop("Open WebUI to Ollama", bool(version), detail, f"is Ollama running at {url}?"))
    return found


def _speech(heard: Answer, says: str) -> Hop:
    """A sentence that Open WebUI was to speak; where there is an STT server, it was to be heard too."""
    speech = heard.get("speech", {"error": heard.get("msg", "not asked")})
    text, error = speech.get("text"), speech.get("error", "")
    detail = error or f"{speech['kind']}, {speech['bytes'] // 1024} KiB in {speech['seconds']:.1f} s"
    if text is not None and not error:
        detail = f'"{text}", {detail}'
    ok = not error and (text is None or speech["wer"] <= WORST_WER)
    return _hop(
        "Open WebUI speaks", ok, detail, "compare open_webui_tts_url with what speaks there, then make apply"
    ) | ({"said": says, "recognised": text} if text is not None else {})


def _wyoming(machine: Answer, answers: Answer) -> list[Hop]:
    """The bridge, the way behind it (of which the bridge itself tells its clients nothing), and the whole way."""
    heard, asked = answers["heard"], answers["asked"]
    models, languages = heard.get("models", []), heard.get("languages", [])
    offered = f"{', '.join(models)} in {len(languages)} languages" if models else heard.get("msg", "no answer")
    return [
        _unit("wyoming", machine, answers["seen"]),
        _hop(f"port {answers['port']}", bool(models), offered, logs(machine, "wyoming")),
        _hop(
            "Wyoming to STT server",
            "model" in asked,
            asked.get("base_url", "") if "model" in asked else asked.get("msg", "not asked"),
            "compare wyoming_stt_url and wyoming_stt_api_key with the STT server's, then make apply",
        ),
        _sentence("Wyoming", heard, answers["spoken"], logs(machine, "wyoming")),
    ]


def _edge_tts(machine: Answer, answers: Answer) -> list[Hop]:
    """The service, and who speaks: Microsoft, or, where it does not, the fallback."""
    heard, journal = answers["heard"], logs(machine, "edge-tts")
    told = heard.get("json", {}) if heard.get("status") in (200, 502) else {}
    speaks, why = told.get("status") == "ok", told.get("error") or heard.get("msg", "no answer")
    detail = f"{told['voice']}, {told['bytes'] // 1024} KiB in {told['seconds']:.1f} s" if speaks else why
    if speaks and told["spoken_by"] == "fallback":
        detail = f"the fallback, for {why}"
    return [
        _unit("edge_tts", machine, answers["seen"]),
        _hop(f"port {answers['port']}", bool(told), "answers" if told else why, journal),
        _hop("Edge TTS speaks", speaks, detail, f"wait, or name edge_tts_fallback_url; {journal}"),
    ]


def _monitoring(machine: Answer, answers: Answer) -> list[Hop]:
    """The monitor, whom it sees, its rules, who is told of alerts, and whether the spoken sentence comes back."""
    journal = logs(machine, "prometheus")
    answered = {one["item"]["about"]: one for one in answers["heard"].get("results", ()) if "item" in one}
    told = {about: one["json"]["data"] for about, one in answered.items() if one.get("status") == 200}
    version = told.get("version", {}).get("version", "")
    why = (answered.get("version") or answers["heard"]).get("msg", "no answer")
    active = bool(answers["seen"].get("active"))
    return [
        _hop("unit prometheus", active, "active" if active else "not running", journal),
        _hop(f"port {answers['port']}", bool(version), f"Prometheus {version}" if version else why, journal),
        _targets(told.get("targets", {}).get("activeTargets", ())),
        _rules(told.get("rules", {}).get("groups", ()), journal),
        _alertmanager(machine, answers["seen"], told),
        *_probed_sentences(told.get("sentences", {}).get("result", ())),
    ]


def _targets(targets: Sequence[Answer]) -> Hop:
    """Whom Prometheus asks; one that it has not asked yet, as after a start, is not down."""
    down = [f"{_named(one)}: {one['lastError']}" for one in targets if one["health"] == "down"]
    return _hop(
        "Prometheus sees every target",
        bool(targets) and not down,
        "; ".join(down) or (f"{len(targets)} targets" if targets else "none"),
        "is it running, and does a network policy let the monitor reach it? make doctor",
    )


def _rules(groups: Sequence[Answer], journal: str) -> Hop:
    """The alerts; one that fires is told, and no fault of the monitor's."""
    rules = [rule for group in groups for rule in group["rules"]]
    bad = [f"{rule['name']}: {rule.get('lastError', '')}" for rule in rules if rule.get("health") == "err"]
    firing = [
        f"{rule['name']} {one['labels'].get('instance', '')}"
        for rule in rules
        for one in rule.get("alerts", ())
        if one["state"] == "firing" and rule["name"] != "Watchdog"
    ]
    loaded = f"{len(rules)} alerts, {', '.join(firing) or 'none of them'} now"
    return _hop("Prometheus has its rules", bool(rules) and not bad, "; ".join(bad) or loaded, journal)


TELLS_NOBODY = "and tells nobody: monitoring_webhook_url and monitoring_mail_to are not set"


def _alertmanager(machine: Answer, seen: Answer, told: Answer) -> Hop:
    unit = "prometheus-alertmanager"
    runs = bool(seen.get("units", {}).get(unit, {}).get("active"))
    known = told.get("alertmanagers", {}).get("activeAlertmanagers", ())
    untold = sorted({one["metric"].get("integration", "") for one in told.get("untold", {}).get("result", ())})
    tells = machine.get("monitoring_webhook_url") or machine.get("monitoring_mail_to")
    taken = "takes alerts" if tells else f"takes alerts, {TELLS_NOBODY}"
    detail = taken if known else "Prometheus does not know it yet" if runs else "not running"
    if untold:
        detail = f"alerts cannot be told by {' and '.join(untold)}"
    return _hop("Alertmanager", runs and bool(known) and not untold, detail, logs(machine, unit))


def _probed_sentences(samples: Sequence[Answer]) -> list[Hop]:
    """Whether STT servers heard the sentence the last time; a hop only where one was asked already."""
    if not samples:
        return []
    deaf = [one["metric"]["instance"] for one in samples if float(one["value"][1]) == 0]
    detail = f"not by {', '.join(deaf)}" if deaf else f"by {len(samples)} of {len(samples)} STT servers"
    return [
        _hop("spoken sentence is heard", not deaf, detail, "make verify names the hop that is broken, make doctor why")
    ]


def _named(target: Answer) -> str:
    labels = target["labels"]
    return f"{labels.get('instance', '')} ({labels.get('job', '')})"


def _hop(hop: str, ok: bool, detail: str, next_step: str) -> Hop:
    return {"hop": hop, "ok": ok, "detail": detail, "next_step": next_step}


_HOPS: dict[str, Callable[[Answer, Answer], list[Hop]]] = {
    "stt_server": _stt_server,
    "stt_compose": _stt_compose,
    "stt_balancer": _stt_balancer,
    "ollama_server": _ollama_server,
    "open_webui": _open_webui,
    "wyoming": _wyoming,
    "edge_tts": _edge_tts,
    "monitoring": _monitoring,
}
