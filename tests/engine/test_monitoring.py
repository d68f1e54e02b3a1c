# Copyright (c) 2026, the anklume.stt authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What docs/how-to/monitor.md gives to a Prometheus of one's own, in Debian's Prometheus, Alertmanager and blackbox."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.server
import itertools
import json
import os
import re
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "roles/monitoring/files"))
import gpu_textfile

from .conftest import ROOT, Server, Start, clip, free_port, until, wav

BIN = ROOT / ".cache/prometheus/usr/bin"  # `make engine-test` puts them there
# Debian's Alertmanager reads its templates in /usr/share, and nowhere else: only it sees them there
AS_INSTALLED = (
    *("unshare", "--map-root-user", "--mount", "sh", "-c"),
    'mount -t overlay overlay -o "lowerdir=$0:/usr/share" /usr/share && exec "$@"',
    BIN.parent / "share",
)
RULES = ROOT / "data/monitoring/stt.rules.yml"
PAGE = (ROOT / "docs/how-to/monitor.md").read_text(encoding="utf-8")
KEY = "sesame-4711"


def configuration() -> str:
    """That of the page."""
    (found,) = re.findall(r"^```yaml\n(# /etc/prometheus/prometheus.yml\n.*?)^```", PAGE, re.M | re.S)
    return str(found)


def blackbox(language: str) -> str:
    """What the script prints for the blackbox exporter."""
    program = [ROOT / ".venv/bin/python", ROOT / "scripts/blackbox.py", language]
    return subprocess.run(program, stdout=subprocess.PIPE, text=True, check=True).stdout


def check(*command: str | Path, folder: Path = ROOT) -> str:
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout + run.stderr


def test_each_alert_comes_when_it_should_and_not_before() -> None:
    assert "SUCCESS" in check(BIN / "promtool", "check", "rules", RULES)
    check(BIN / "promtool", "test", "rules", ROOT / "tests/engine/rules_test.yml")


@pytest.mark.parametrize("language", ["en", "fr"])
def test_prometheus_takes_the_configuration_of_the_page(tmp_path: Path, language: str) -> None:
    (tmp_path / "stt.rules.yml").write_bytes(RULES.read_bytes())
    (tmp_path / "stt-api-key").write_text(KEY)
    here = configuration().replace("/etc/prometheus/", f"{tmp_path}/")
    (tmp_path / "prometheus.yml").write_text(here)
    assert "SUCCESS" in check(BIN / "promtool", "check", "config", tmp_path / "prometheus.yml")
    (tmp_path / "blackbox.yml").write_text(blackbox(language))
    check(BIN / "prometheus-blackbox-exporter", "--config.check", f"--config.file={tmp_path}/blackbox.yml")


ROLE = """
import json, sys, yaml
sys.path.insert(0, ".cache/collections")
from ansible_collections.anklume.stt.plugins.module_utils._services import monitoring
monitoring.FOLDER = sys.argv[1]
given = yaml.safe_load(open("roles/monitoring/defaults/main.yml"))
told = {"mail_to": ["a@x.org"], "mail_from": "b@x.org", "mail_server": "x.org:587", "mail_user": "stt",
        "mail_password": "4711", "webhook_url": "http://x.org/", "watchdog_url": "http://x.org/",
        "incus_host": True, "nodes": {"a": "b:9100"}}
given |= {f"monitoring_{name}": value for name, value in told.items()}
network = {"gateway": "10.1.1.254"}
hosts = {"any": {"ansible_host": "10.1.1.9", "stt_server_api_key": "sesame", "incus_network": network},
         "other": {"stt_server_language": "fr"}, "third": {}}
groups = {f"role_{service.role}": list(hosts) for service in monitoring.SERVICES}
print(json.dumps(monitoring.plan(given, "any", groups, hosts, "/nowhere")))
"""


def test_the_three_take_what_the_role_writes(tmp_path: Path) -> None:
    """With every service, with keys and without, in two languages, and with all who can be told."""
    program = [ROOT / ".venv/bin/python", "-c", ROLE, tmp_path]
    planned = json.loads(subprocess.run(program, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout)
    assert planned["faults"] == []
    (tmp_path / "keys").mkdir()
    for path, key in planned["keys"].items():
        Path(path).write_text(key)
    # JSON is YAML
    (tmp_path / "prometheus.yml").write_text(json.dumps(planned["prometheus"]))
    (tmp_path / "alertmanager.yml").write_text(json.dumps(planned["alertmanager"]))
    (tmp_path / "blackbox.yml").write_text(planned["blackbox"])
    (tmp_path / "stt.rules.yml").write_text(planned["rules"])
    assert "SUCCESS" in check(BIN / "promtool", "check", "config", tmp_path / "prometheus.yml")
    assert "SUCCESS" in check(BIN / "amtool", "check-config", tmp_path / "alertmanager.yml")
    check(BIN / "prometheus-blackbox-exporter", "--config.check", f"--config.file={tmp_path}/blackbox.yml")


def test_promtool_finds_nothing_to_say_of_the_gpus() -> None:
    row = {"index": "0", "uuid": "GPU-a", gpu_textfile.THROTTLE: "0x0"} | dict.fromkeys(
        (field for field, _, _ in gpu_textfile.METRICS.values()), "7"
    )
    for found in ([row], None):
        told = gpu_textfile.text(found)
        run = subprocess.run([BIN / "promtool", "check", "metrics"], input=told, text=True, capture_output=True)
        assert (run.returncode, run.stdout + run.stderr) == (0, "")


def test_promtool_parses_each_question_of_the_dashboard(tmp_path: Path) -> None:
    board = json.loads((ROOT / "data/monitoring/dashboard.json").read_text(encoding="utf-8"))
    asked = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    asked = [one.replace("$__rate_interval", "5m").replace("$machine", ".*") for one in asked]
    assert asked and not any("$" in one for one in asked)
    rules = [{"record": f"question:{number}", "expr": one} for number, one in enumerate(asked)]
    (tmp_path / "asked.yml").write_text(json.dumps({"groups": [{"name": "asked", "rules": rules}]}))
    assert f"{len(asked)} rules found" in check(BIN / "promtool", "check", "rules", tmp_path / "asked.yml")


class Webhook:
    """Keeps what an Alertmanager sends: the state of each alert."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}
        states = self.states

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told = json.loads(self.rfile.read(int(self.headers["content-length"])))
                states.update({alert["labels"]["alertname"]: alert["status"] for alert in told["alerts"]})
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def comes(self, alert: str, state: str, seconds: float = 60) -> None:
        until(lambda: self.states.get(alert) == state, seconds)


ANOTHER_MODEL = """
# a stand-in for a server with another model: it hears something else
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, text):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200); self.send_header("content-length", len(text)); self.end_headers()
        self.wfile.write(text)
    def do_POST(self): self.answer(b"Thanks for watching the quick show.")
    def do_GET(self): self.answer(b"stt_models_loaded 1\\n")
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@contextlib.contextmanager
def running(*command: str | Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out, cwd=log.parent) as process:
        try:
            yield process
        finally:
            process.kill()


class Page:
    """A page over HTTPS, whose certificate is good for so many days, and can be another."""

    def __init__(self, folder: Path, days: int) -> None:
        self.folder = folder
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.certified(days)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
        self.server.socket = self.context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def certified(self, days: int) -> None:
        """From the next connection on it shows a certificate that ends in so many days."""
        key, certificate = self.folder / "page.key", self.folder / "page.crt"
        kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=homelab-webui"]
        check("openssl", "req", "-x509", *kind, "-days", str(days), "-keyout", key, "-out", certificate)
        self.context.load_cert_chain(certificate, key)


UNTRUSTED = "{preferred_ip_protocol: ip4, tls_config: {insecure_skip_verify: true}}"
"""Its authority is nobody's; how the role asks a page that has one of our own."""


@contextlib.contextmanager
def monitored(folder: Path, server: Server, page: str = "") -> Iterator[tuple[Webhook, str]]:
    """The server under Prometheus, with the page's configuration, but for addresses and times."""
    hook, ports = Webhook(), {name: free_port() for name in ("prometheus", "alertmanager", "blackbox")}
    changes = {
        "/etc/prometheus/": f"{folder}/",
        "homelab-ai:8000": f"127.0.0.1:{server.port}",
        "https://homelab-webui": page or f"http://127.0.0.1:{server.port}/health",
        "127.0.0.1:9093": f"127.0.0.1:{ports['alertmanager']}",
        "127.0.0.1:9115": f"127.0.0.1:{ports['blackbox']}",
        "15s": "1s",
        "60s": "2s",
        "59s": "2s",
    }
    told = configuration()
    for before, after in changes.items():
        assert before in told
        told = told.replace(before, after)
    (folder / "prometheus.yml").write_text(told)
    (folder / "stt-api-key").write_text(KEY)
    rules = re.sub(r"for: \d+m", "for: 2s", RULES.read_text(encoding="utf-8")).replace("[10m]", "[10s]")
    (folder / "stt.rules.yml").write_text(rules)
    asks, trusts = "http: {preferred_ip_protocol: ip4}", f"http: {UNTRUSTED}"
    told = blackbox("en").replace("/etc/prometheus/", f"{folder}/")
    assert asks in told
    (folder / "blackbox.yml").write_text(told.replace(asks, trusts))
    (folder / "alertmanager.yml").write_text(
        "route: {receiver: hook, group_by: [alertname], group_wait: 0s, group_interval: 1s}\n"
        f"receivers: [{{name: hook, webhook_configs: [{{url: 'http://127.0.0.1:{hook.server.server_port}/'}}]}}]\n"
    )
    listen = {name: f"--web.listen-address=127.0.0.1:{port}" for name, port in ports.items()}
    with contextlib.ExitStack() as stack:
        for name, program, options in (
            ("alertmanager", "prometheus-alertmanager", [f"--storage.path={folder}/am", "--cluster.listen-address="]),
            ("blackbox", "prometheus-blackbox-exporter", []),
            ("prometheus", "prometheus", [f"--storage.tsdb.path={folder}/tsdb", "--rules.alert.resend-delay=1s"]),
        ):
            command = [*AS_INSTALLED, BIN / program, f"--config.file={folder}/{name}.yml", listen[name], *options]
            stack.enter_context(running(*command, log=folder / f"{name}.log"))
        try:
            yield hook, f"http://127.0.0.1:{ports['prometheus']}"
        except BaseException:
            for name in ports:
                print((folder / f"{name}.log").read_text()[-2000:], file=sys.stderr)
            with contextlib.suppress(httpx.HTTPError):
                print(httpx.get(f"http://127.0.0.1:{ports['prometheus']}/api/v1/alerts").text, file=sys.stderr)
            raise
        finally:
            hook.server.shutdown()


@pytest.mark.skipif(not os.environ.get("ANKLUME_TEST_LONG"), reason="a minute: make test-long")
def test_alerts_go_through_a_real_alertmanager_and_back(start: Start, tmp_path: Path) -> None:
    settings = {"STT_PORT": free_port(), "STT_API_KEY": KEY, "STT_QUEUE_LENGTH": 0}
    server = start(**settings)
    page = Page(tmp_path, 5)
    with monitored(tmp_path, server, page.url) as (hook, _):
        hook.comes("Watchdog", "firing")
        hook.comes("CertificateExpires", "firing")
        page.certified(90)
        hook.comes("CertificateExpires", "resolved")

        sound = wav(np.concatenate([clip("en-fox.wav")] * 30))
        with concurrent.futures.ThreadPoolExecutor(3) as pool:

            def ask(_: int) -> int:
                headers = {"Authorization": f"Bearer {KEY}"}
                url = f"{server.url}/v1/audio/transcriptions"
                return httpx.post(url, files={"file": sound}, headers=headers, timeout=60).status_code

            assert 503 in pool.map(ask, range(6))
        hook.comes("SttQueueFull", "firing")
        hook.comes("SttQueueFull", "resolved")
        assert hook.states.get("SttHearsWrong") in (None, "resolved")

        server.stop()
        hook.comes("SttDown", "firing")
        program = tmp_path / "another.py"
        program.write_text(ANOTHER_MODEL)
        with running(sys.executable, program, str(server.port), log=tmp_path / "another.log"):
            hook.comes("SttDown", "resolved")
            hook.comes("SttHearsWrong", "firing")
        start(**settings)
        hook.comes("SttHearsWrong", "resolved")
        hook.comes("SttDown", "resolved")


PICTURE = ROOT / "docs/images/prometheus.png"
QUESTION = (
    'histogram_quantile(0.95, sum by (instance, le) (rate(stt_request_duration_seconds_bucket{status="200"}[30s])))'
)


@pytest.mark.skipif(not os.environ.get("ANKLUME_TEST_LONG"), reason="a minute: make test-long")
def test_prometheus_own_page_draws_a_question(start: Start, tmp_path: Path) -> None:
    """In the real browser. With WRITE_DOCS=1 the picture in docs/how-to/monitor.md is made anew."""
    assert f"{QUESTION.partition('{')[0]}{{" in PAGE
    server = start(STT_PORT=free_port(), STT_API_KEY=KEY)
    with monitored(tmp_path, server) as (_, url):
        headers, end = {"Authorization": f"Bearer {KEY}"}, time.monotonic() + 50
        for clips in itertools.cycle([1, 3, 2, 6, 1, 4]):
            sound = wav(np.concatenate([clip("en-fox.wav")] * clips))
            httpx.post(f"{server.url}/v1/audio/transcriptions", files={"file": sound}, headers=headers, timeout=60)
            if time.monotonic() > end:
                break
            time.sleep(0.5)
        asked = urllib.parse.urlencode({"g0.expr": QUESTION, "g0.tab": 0, "g0.range_input": "1m"})
        shot = tmp_path / "page.png"
        browser = ["chromium", "--headless", "--no-sandbox", "--hide-scrollbars", f"--user-data-dir={tmp_path}/browser"]
        seen = ["--window-size=1200,830", "--virtual-time-budget=15000"]
        check(*browser, *seen, f"--screenshot={shot}", f"{url}/graph?{asked}")
        drawn = check(*browser, *seen, "--dump-dom", f"{url}/graph?{asked}")
    assert f"127.0.0.1:{server.port}" in drawn and re.search(r'class="path" d="M[\d.]+,', drawn)
    if os.environ.get("WRITE_DOCS"):
        PICTURE.write_bytes(shot.read_bytes())
