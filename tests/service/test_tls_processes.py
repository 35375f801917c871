"""HTTPS as operators and clients meet it: real processes, curl, openssl, a load."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from tests.service.processes import (
    FOREGROUND,
    PATIENCE,
    Foreground,
    serving,
    wait_until,
)
from tests.tls.issuing import DAY, Authority, authority, new_authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")

needs_curl = pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
needs_openssl = pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")

needs_sslscan = pytest.mark.skipif(not shutil.which("sslscan"), reason="needs sslscan")

APP = """
from httpx_tw import App

app = App()

@app.get("/")
def hello(request):
    return "hello"

@app.get("/me")
def me(request):
    shown = request.client_certificate
    return {
        "name": shown and shown.subject.rfc4514_string(),
        "secure": request.is_secure,
        "url": request.url,
    }
"""


def prepared(directory: Path) -> Path:
    """Return *directory*, with an application, an authority and a certificate."""
    (directory / "site_of_tls.py").write_text(APP)
    authority().write_certificate(directory / "ca.pem")
    authority().issue("localhost", "127.0.0.1").write(directory / "localhost.pem")
    return directory


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """See prepared."""
    return prepared(tmp_path)


def run(*command: str, given: str = "", cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        input=given,
        capture_output=True,
        check=False,
        text=True,
        timeout=PATIENCE,
        cwd=cwd,
    )


def curl(place: Path, *arguments: str) -> str:
    """Return what curl prints."""
    command = ("curl", "--silent", "--show-error", "--cacert", "ca.pem", *arguments)
    done = run(*command, cwd=place)
    return done.stdout or done.stderr


def s_client(place: Path, port: int, *arguments: str, given: str = "") -> str:
    """Return all that ``openssl s_client`` says."""
    command = ("openssl", "s_client", "-connect", f"127.0.0.1:{port}", *arguments)
    done = run(*command, "-CAfile", "ca.pem", given=given, cwd=place)
    return done.stdout + done.stderr


def client_context(place: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=place / "ca.pem")


def assert_sessions_resume(place: Path, port: int, version: str) -> None:
    request = "GET / HTTP/1.1\nHost: x\nConnection: close\n\n"
    quiet = (f"-{version}", "-ign_eof", "-crlf")
    s_client(place, port, *quiet, "-sess_out", "session", given=request)
    said = s_client(place, port, *quiet, "-sess_in", "session", given=request)
    assert "Reused, " in said
    assert "hello" in said


def assert_nothing_weak(place: Path, port: int) -> None:
    """Have sslscan look for old versions, weak ciphers, renegotiation, heartbleed."""
    said = run("sslscan", "--no-colour", f"127.0.0.1:{port}", cwd=place).stdout
    for version in ("SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1"):
        assert re.search(rf"^{re.escape(version)} +disabled$", said, re.MULTILINE)
    assert "not vulnerable to heartbleed" in said
    assert "Session renegotiation not supported" in said
    accepted = re.findall(r"^(?:Preferred|Accepted) .*", said, re.MULTILINE)
    assert accepted
    assert not re.search("RC4|3DES|CBC|NULL|EXP|MD5|CCM", " ".join(accepted))


HTTPS = ("--ssl-certfile", "localhost.pem", "--port", "0", "site_of_tls:app")


class TestServing:
    @needs_curl
    @pytest.mark.parametrize("way", FOREGROUND)
    def test_it_serves_https(self, place: Path, way: str) -> None:
        with serving(place, way, *HTTPS, "--hsts", "300") as service:
            service.wait_for(r"serving site_of_tls:app on https://127\.0\.0\.1:\d+")
            url = f"https://127.0.0.1:{service.port}"
            answer = json.loads(curl(place, f"{url}/me"))
            assert answer == {"name": None, "secure": True, "url": f"{url}/me"}
            for path in ("/", "/none"):
                head = curl(place, "--head", f"{url}{path}").lower()
                assert "strict-transport-security: max-age=300\n" in head
            service.terminate()
            assert service.wait() in {0, -signal.SIGTERM}  # as twistd and twist have it

    @needs_curl
    def test_plain_http_on_its_port_is_no_request(self, place: Path) -> None:
        with serving(place, "httpx-tw", *HTTPS) as service:
            url = f"http://127.0.0.1:{service.port}/"
            assert "curl: (" in curl(place, url)
            assert curl(place, f"https://127.0.0.1:{service.port}/") == "hello"

    @needs_curl
    @needs_sslscan
    @pytest.mark.parametrize("endpoint", ["ssl", "tls"])
    def test_endpoints_of_twisted_speak_tls(self, place: Path, endpoint: str) -> None:
        directory = place / "certificates"
        directory.mkdir()
        shutil.copy(place / "localhost.pem", directory / "localhost.pem")
        where = {
            "ssl": "ssl:0:privateKey=localhost.pem:interface=127.0.0.1",
            "tls": f"tls:{directory}:port=0:interface=127.0.0.1",
        }[endpoint]
        command = ("--listen", where, "site_of_tls:app")
        with serving(place, "httpx-tw", *command) as service:
            url = f"https://localhost:{service.port}/"
            assert curl(place, "--ipv4", url) == "hello"
            assert_nothing_weak(place, service.port)
            assert_sessions_resume(place, service.port, "tls1_3")

    @needs_curl
    def test_all_endpoints_speak_tls(self, place: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as inherited:
            number = inherited.fileno()
            command = (*HTTPS[:2], "--fd", str(number), "--uds", "web.sock")
            with serving(
                place, "httpx-tw", *command, "site_of_tls:app", pass_fds=[number]
            ) as service:
                url = f"https://127.0.0.1:{service.port}/"
                assert curl(place, url) == "hello"
                over_unix = ("--unix-socket", "web.sock", "https://localhost/")
                assert curl(place, *over_unix) == "hello"

    @needs_curl
    def test_http_is_sent_on_to_https(self, place: Path) -> None:
        with serving(place, "httpx-tw", *HTTPS, "--https-redirect", "0") as service:
            port = service.port
            plain = service.wait_for(
                r"clients of http://127\.0\.0\.1:(\d+) on to HTTPS"
            )
            answer = curl(
                place,
                "--write-out",
                "%{redirect_url}",
                f"http://127.0.0.1:{plain[1]}/me?x",
            )
            assert answer.endswith(f"https://127.0.0.1:{port}/me?x")
            followed = ("--location", f"http://127.0.0.1:{plain[1]}/")
            assert curl(place, *followed) == "hello"

    @needs_curl
    def test_clients_show_certificates(self, place: Path) -> None:
        clients = new_authority("Clients")
        clients.write_certificate(place / "clients.pem")
        clients.issue("alice").write(place / "alice.pem")
        new_authority("Others").issue("mallory").write(place / "mallory.pem")
        asking = ("--ssl-ca-certs", "clients.pem", *HTTPS)
        with serving(place, "httpx-tw", *asking) as service:
            url = f"https://127.0.0.1:{service.port}/me"
            answer = curl(place, "--cert", "alice.pem", url)
            assert json.loads(answer)["name"] == "CN=alice"
            for refused in ((), ("--cert", "mallory.pem")):
                assert "curl: (" in curl(place, *refused, url)

    def test_what_cannot_be_served_is_told_in_one_line(self, place: Path) -> None:
        (place / "localhost.pem").write_text("junk")
        with serving(place, "httpx-tw", *HTTPS) as service:
            assert service.wait() == 1
            (line,) = service.errors.splitlines()
            assert "localhost.pem has no certificate" in line


@pytest.fixture(scope="module")
def shared_place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """See prepared."""
    return prepared(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def shared_port(shared_place: Path) -> Iterator[int]:
    """Serve HTTPS to all the tests that change nothing about it."""
    with serving(shared_place, "httpx-tw", *HTTPS) as service:
        yield service.port


@needs_openssl
class TestWhatOpenSSLFinds:
    @pytest.fixture
    def place(self, shared_place: Path) -> Path:
        return shared_place

    @pytest.fixture
    def port(self, shared_port: int) -> int:
        return shared_port

    @pytest.mark.parametrize("version", ["tls1_2", "tls1_3"])
    def test_it_verifies(self, place: Path, port: int, version: str) -> None:
        said = s_client(place, port, f"-{version}", "-verify_return_error")
        assert "Verify return code: 0 (ok)" in said

    @pytest.mark.parametrize("version", ["tls1", "tls1_1"])
    def test_old_versions_are_refused(
        self, place: Path, port: int, version: str
    ) -> None:
        said = s_client(place, port, f"-{version}", "-cipher", "ALL:@SECLEVEL=0")
        assert "Cipher is (NONE)" in said

    @pytest.mark.parametrize(
        "ciphers", ["kRSA", "SHA1:SHA256:SHA384", "aNULL:eNULL", "3DES:RC4", "CAMELLIA"]
    )
    def test_weak_ciphers_are_refused(
        self, place: Path, port: int, ciphers: str
    ) -> None:
        weak = f"{ciphers}:@SECLEVEL=0"
        said = s_client(place, port, "-tls1_2", "-cipher", weak)
        assert "Cipher is (NONE)" in said or "no cipher match" in said

    def test_renegotiation_is_refused(self, place: Path, port: int) -> None:
        said = s_client(place, port, "-tls1_2", given="R\n")
        assert "no renegotiation" in said

    @pytest.mark.parametrize("version", ["tls1_2", "tls1_3"])
    def test_sessions_resume(self, place: Path, port: int, version: str) -> None:
        assert_sessions_resume(place, port, version)

    def test_an_unknown_protocol_of_alpn_fails_nobody(
        self, place: Path, port: int
    ) -> None:
        assert "No ALPN negotiated" in s_client(place, port, "-alpn", "spdy/1")
        assert "ALPN protocol: http/1.1" in s_client(
            place, port, "-alpn", "h2,http/1.1"
        )


@needs_sslscan
def test_sslscan_finds_nothing_weak(shared_place: Path, shared_port: int) -> None:
    assert_nothing_weak(shared_place, shared_port)


class Load:
    """Clients that ask again and again, on connections they keep for a while."""

    def __init__(self, place: Path, port: int, clients: int) -> None:
        self._context = client_context(place)
        self._port = port
        self._is_over = threading.Event()
        self._lock = threading.Lock()
        self.answers = 0
        self.problems: list[str] = []
        self.serials: set[str] = set()
        self._threads = [
            threading.Thread(target=self._ask_until_over) for _ in range(clients)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _ask_until_over(self) -> None:
        while not self._is_over.is_set():
            try:
                self._ask_over_one_connection()
            except (OSError, AssertionError) as problem:
                with self._lock:
                    self.problems.append(repr(problem))
                return

    def _ask_over_one_connection(self) -> None:
        address = "127.0.0.1", self._port
        with (
            socket.create_connection(address, PATIENCE) as plain,
            self._context.wrap_socket(plain, server_hostname="localhost") as secure,
        ):
            certificate = secure.getpeercert()
            assert certificate is not None
            answer = secure.makefile("rb")
            for _ in range(20):
                secure.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert b" 200 " in answer.readline()
                while answer.readline().strip():
                    pass
                assert answer.read(5) == b"hello"
                with self._lock:
                    self.answers += 1
                    self.serials.add(str(certificate["serialNumber"]))
            answer.close()


class TestReplacement:
    def renewed(self, place: Path, issuer: Authority | None = None) -> int:
        issued = (issuer or authority()).issue("localhost", "127.0.0.1")
        new = place / "new.pem"
        issued.write(new)
        new.replace(place / "localhost.pem")
        return issued.certificate.serial_number

    def shown(self, place: Path, port: int) -> int:
        """Return the serial number of the certificate that a new client sees."""
        with (
            socket.create_connection(("127.0.0.1", port), PATIENCE) as plain,
            client_context(place).wrap_socket(
                plain, server_hostname="localhost"
            ) as secure,
        ):
            certificate = secure.getpeercert()
            assert certificate is not None
            return int(str(certificate["serialNumber"]), 16)

    def hang_up(self, service: Foreground, times: int, what: str) -> None:
        """Send SIGHUP, and wait until *what* was said for the *times*-th time."""
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: service.said.count(what) >= times, f"{what}, {times} times")

    def test_under_load_no_request_fails(self, place: Path) -> None:
        # As long as it takes: the load is what may make both sides slow here.
        patient = ("--no-access-log", "--head-timeout", "1m")
        with serving(place, "httpx-tw", *HTTPS, *patient) as service:
            load = Load(place, service.port, clients=64)
            try:
                for number in range(1, 31):
                    serial = self.renewed(place)
                    self.hang_up(service, number, "certificates were replaced")
                    assert self.shown(place, service.port) == serial
            finally:
                load.stop()
            assert load.problems == []
            assert load.answers > 64
            assert len(load.serials) > 1
            service.terminate()
            assert service.wait() == 0

    def test_a_bad_one_is_refused_in_one_line(self, place: Path) -> None:
        with serving(place, "httpx-tw", *HTTPS) as service:
            before = self.shown(place, service.port)
            (place / "localhost.pem").write_text("junk")
            self.hang_up(service, 1, "are refused, the old ones stay: ")
            assert self.shown(place, service.port) == before
            serial = self.renewed(place)
            self.hang_up(service, 1, "certificates were replaced")
            assert self.shown(place, service.port) == serial
            assert "Traceback" not in service.said


def test_an_expired_certificate_is_warned_of(place: Path) -> None:
    authority().issue("localhost", begins=-2 * DAY, ends=-DAY).write(
        place / "localhost.pem"
    )
    with serving(place, "httpx-tw", *HTTPS) as service:
        service.wait_for("HAS EXPIRED")
