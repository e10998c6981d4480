"""The server of pages: it answers this machine's own pages, and nothing else."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from synthaug.errors import SynthaugError
from synthaug.page_server import Answer, PageServer, way_from_elsewhere


class Echo:
    """Shows paths, and remembers what it was sent."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, dict[str, Any]]] = []

    def show(self, path: str) -> Answer | None:
        if path == "broken":
            raise ValueError("a fault")
        return None if path == "nothing" else Answer(f"shown {path}".encode())

    def take(self, path: str, message: dict[str, Any]) -> Answer | None:
        if path == "refused":
            raise SynthaugError("not so", "do it otherwise")
        self.taken.append((path, message))
        return Answer.of(message)


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[PageServer, Echo]]:
    server, site = PageServer(None), Echo()
    with server.serving(site):
        yield server, site


def ask(
    server: PageServer, path: str = "", *, method: str = "GET", body: str | None = None, secret: bool = True,
    **headers: str,
) -> tuple[int, str, dict[str, str]]:  # fmt: skip
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    own = server.url.partition(str(server.port))[2] if secret else "/"
    connection.putrequest(method, own + path, skip_host=True)
    given = {"Host": f"127.0.0.1:{server.port}", **{name.replace("_", "-"): value for name, value in headers.items()}}
    if body is not None:
        given |= {
            "Content-Length": str(len(body.encode())),
            "Content-Type": given.get("Content-Type", "application/json"),
        }
    for name, value in given.items():
        connection.putheader(name, value)
    connection.endheaders(None if body is None else body.encode())
    answer = connection.getresponse()
    return answer.status, answer.read().decode(), dict(answer.getheaders())


def test_a_page_may_load_nothing_from_elsewhere(server: tuple[PageServer, Echo]) -> None:
    status, text, headers = ask(server[0], "a/b.png")
    assert (status, text) == (200, "shown a/b.png")
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy
    assert "frame-ancestors 'none'" in policy
    assert ask(server[0], "a/b.png", If_None_Match=headers["ETag"])[:2] == (304, "")
    assert ask(server[0], "nothing")[0] == 404
    assert server[0]._server.server_address[0] == "127.0.0.1"  # no other machine can connect


@pytest.mark.parametrize(
    "host", ["evil.example:{port}", "evil.example", "127.0.0.1.evil.example:{port}", "", "[::1", "x y"]
)
def test_a_page_opened_under_another_name_is_refused(server: tuple[PageServer, Echo], host: str) -> None:
    status, text, _ = ask(server[0], Host=host.format(port=server[0].port))
    assert status == 403
    assert text.startswith("error: this page is only for the machine that it runs on")
    assert server[0].url.split("/")[3] not in text  # a rebound page may read the answer


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "localhost:9999"])
def test_this_machine_s_names_are_answered_also_through_a_tunnel(server: tuple[PageServer, Echo], host: str) -> None:
    assert ask(server[0], Host=host.format(port=server[0].port))[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1:{port}"])
def test_what_another_page_sends_is_refused(server: tuple[PageServer, Echo], origin: str) -> None:
    before = list(server[1].taken)
    status, text, _ = ask(server[0], "stop", method="POST", body="{}", Origin=origin.format(port=server[0].port))
    assert status == 403
    assert text.startswith("error: another page asked")
    assert server[1].taken == before


@pytest.mark.parametrize("path", ["", "stop", "wrong/stop", "%00/"])
def test_an_address_without_the_secret_is_refused(server: tuple[PageServer, Echo], path: str) -> None:
    for method, body in (("GET", None), ("POST", "{}")):
        status, text, _ = ask(server[0], path, method=method, body=body, secret=False)
        assert status == 403
        assert "error: the address is not complete" in text


def test_messages_are_small_json_objects(server: tuple[PageServer, Echo]) -> None:
    own = f"http://127.0.0.1:{server[0].port}"
    assert ask(server[0], "stop", method="POST", body='{"a": 1}', Origin=own)[:2] == (200, '{"a": 1}')
    assert server[1].taken[-1] == ("stop", {"a": 1})
    count = len(server[1].taken)
    for body in ("[]", "{", '{"a": ' + "[" * 900 + "]" * 900 + "}", json.dumps({"a": "x" * 70_000})):
        status, text, _ = ask(server[0], "stop", method="POST", body=body)
        assert (status, text[:7]) == (400, "error: "), body[:20]
    assert ask(server[0], "stop", method="POST", body="a=1", Content_Type="text/plain")[0] == 400  # as forms send it
    assert ask(server[0], "stop", method="POST")[0] == 400
    assert len(server[1].taken) == count


def test_faults_of_a_site_are_one_clear_error_each(
    server: tuple[PageServer, Echo], capfd: pytest.CaptureFixture[str]
) -> None:
    assert ask(server[0], "refused", method="POST", body="{}")[:2] == (400, "error: not so\nhint: do it otherwise\n")
    assert ask(server[0], "broken")[:2] == (500, "error: unexpected ValueError: a fault\n")
    assert ask(server[0], method="DELETE")[0] == 501
    with socket.create_connection(("127.0.0.1", server[0].port)) as rude:
        rude.sendall(b"GET")
    assert ask(server[0])[0] == 200
    assert capfd.readouterr().err == ""  # stderr belongs to the bars


def test_a_port_in_use_is_an_error_and_free_again_afterwards() -> None:
    first = PageServer(None)
    with pytest.raises(SynthaugError, match=f"--port {first.port} is in use") as error:
        PageServer(first.port)
    assert "--port" in error.value.hint
    with first.serving(Echo()):
        pass
    PageServer(first.port).close()


def test_the_way_from_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    assert way_from_elsewhere(8000) is None
    monkeypatch.setattr("getpass.getuser", lambda: "me")
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.1 5000 10.0.0.2 22")
    assert way_from_elsewhere(8000) == "ssh -N -L 8000:127.0.0.1:8000 me@10.0.0.2"
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.1 5000 10.0.0.2 2222")
    assert way_from_elsewhere(8000) == "ssh -N -L 8000:127.0.0.1:8000 -p 2222 me@10.0.0.2"
