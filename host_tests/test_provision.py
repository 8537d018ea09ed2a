"""tagonode provision against the local TagoIO: what it makes, what it leaves alone, what it says when it cannot."""

import contextlib
import csv
import errno
import io
import json
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import types
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

import pytest
from campaigns import provision as campaign
from harness import commands
from tagonode import account, config, fleet, places, provision
from tagonode.account import Account, AccountError, NoAnswer, NoToken
from tagonode.cloud import LocalCloud, rules
from tagonode.fleet import FleetError, ResultFile, Row
from tagonode.provision import Options, ProvisionError, Storage, WrongUse, storage_of, write_token

TAGONODE = Path(sys.executable).parent / "tagonode"
A_TOKEN = b"0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"
RETRY = "Too many requests (Retry-After: "


class Clock:
    """Unix seconds which pass when somebody sleeps, and not otherwise."""

    def __init__(self):
        self.now = 1_774_960_215.25
        self.slept = []
        self.sdk_slept = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture(scope="module")
def one_clock():
    return Clock()


@pytest.fixture
def clock(one_clock):
    one_clock.__init__()
    return one_clock


@pytest.fixture(scope="module")
def one_cloud(one_clock):
    with LocalCloud(clock=one_clock) as cloud:
        yield cloud


@pytest.fixture
def cloud(one_cloud, clock, monkeypatch):
    """A local TagoIO as it is when it was started."""
    monkeypatch.setenv("TAGOIO_ACCOUNT_TOKEN", one_cloud.account_token)
    for name in (config.ENV_TOKEN, "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    # the SDK rests 1.5 s after each call that failed, even when it tries no other
    rest = types.SimpleNamespace(sleep=clock.sdk_slept.append)
    monkeypatch.setattr("tagoio_sdk.infrastructure.api_request.time", rest)
    intercept = one_cloud.traffic.intercept
    yield one_cloud
    one_cloud.traffic.intercept = intercept
    one_cloud.limits.per_window, one_cloud.quotas.devices = {}, None
    for key in one_cloud.faults.all():
        one_cloud.faults.set(key, None)
    for found in devices(one_cloud).values():
        for device in found:
            one_cloud.store.delete_device(device.id)


@pytest.fixture
def node(tmp_path):
    folder = tmp_path / "greenhouse"
    folder.mkdir()
    (folder / "node.toml").write_text(places.DEFAULT_CONFIG.read_text())
    return folder / "node.toml"


@pytest.fixture
def run(cloud, node, clock, capsys):
    """Run it as the command does: (exit status, JSON, what people read)."""

    def run(**options):
        given = {"config": node, "url": cloud.url, "ca": cloud.ca_file, "yes": True, "json": True, **options}
        status = provision.provision(Options(**given), sleep=clock.sleep)
        out, err = capsys.readouterr()
        return status, json.loads(out) if given["json"] else None, " ".join(err.split())

    return run


def devices(cloud):
    """{name: [rows of the device table]} but for the stand-in's own one."""
    with cloud.store._reader() as db:
        rows = db.execute("SELECT name, id FROM device WHERE name <> ?", (cloud.FIRST_DEVICE,)).fetchall()
    found = {}
    for name, identity in rows:
        found.setdefault(name, []).append(cloud.store.device(identity))
    return found


def tokens(cloud, device):
    with cloud.store._reader() as db:
        return [row[0] for row in db.execute("SELECT token FROM token WHERE device=?", (device.number,))]


def parameters(cloud, device):
    return {row["key"]: row["value"] for row in cloud.store.parameters(device)}


def secret_of(node):
    return config.read_secrets(node)["token"]


# -- one node ----------------------------------------------------------------------------------------------


def test_a_device_is_made_with_all_that_a_node_needs_and_a_second_run_changes_nothing(cloud, node, run):
    status, said, text = run(serial="SN1")
    (device,) = devices(cloud)["greenhouse"]
    assert status == 0
    assert said == {
        "name": "greenhouse", "serial": "SN1", "device_id": device.id, "created": True, "changed": True,
        "parameters": {"sample.every": "60", "upload.every": "300"}, "secrets": str(node.parent / "secrets.toml"),
    }  # fmt: skip
    assert (device.type, device.chunk_period, device.chunk_retention) == ("immutable", "month", 36)
    assert (device.network, device.connector) == (provision.NETWORK, provision.CONNECTOR)
    assert json.loads(device.tags) == [{"key": "serial", "value": "SN1"}]
    assert [(row["key"], row["value"], row["sent"]) for row in cloud.store.parameters(device)] == [
        ("sample.every", "60", False), ("upload.every", "300", False),
    ]  # fmt: skip
    assert tokens(cloud, device) == [secret_of(node)]
    assert cloud.store.access(secret_of(node)).permission == "full"
    assert cloud.store.token_of_serial("SN1") == secret_of(node)
    assert (node.parent / "secrets.toml").stat().st_mode & 0o777 == 0o600
    # said before it is done, in plain words
    assert "immutable (keeps 36 months), with a token that never expires and has full permission on this device" in text
    assert text.index("never expires") < text.index("was made")

    before = (node.parent / "secrets.toml").stat().st_mtime_ns, cloud.traffic.answers.get(201)
    for options in ({"serial": "SN1"}, {}, {"name": "greenhouse"}):
        status, again, text = run(**options)
        assert (status, again["created"], again["changed"], again["parameters"]) == (0, False, False, {})
        assert "Nothing to change: 'greenhouse'" in text
    assert ((node.parent / "secrets.toml").stat().st_mtime_ns, cloud.traffic.answers.get(201)) == before
    assert [len(found) for found in devices(cloud).values()] == [1]


def test_no_token_is_said(cloud, node, run):
    for options in ({}, {}, {"name": "other"}):
        _, said, text = run(**options)
        for token in (secret_of(node), cloud.account_token):
            assert token not in text
            assert token not in json.dumps(said)
    assert cloud.account_token not in repr(Account(cloud.url, cloud.account_token))
    assert "token" not in repr(provision.Outcome("id", cloud.device_token, "n", False)).replace("token_created", "")


def test_a_mutable_device_on_wish(cloud, run):
    _, _, text = run(mutable=True)
    (device,) = devices(cloud)["greenhouse"]
    assert (device.type, device.chunk_period) == ("mutable", None)
    assert "mutable (full after 50,000 records)" in text
    _, _, text = run(mutable=True)
    assert "Note: it is mutable, holds 0 records, and is full at 50,000." in text


def test_a_node_is_found_by_its_serial_number_whatever_its_name(cloud, node, run):
    token = cloud.create_device("made by hand", serie_number="SN5")
    status, said, text = run(serial="SN5")
    assert (status, said["name"], said["created"]) == (0, "made by hand", False)
    assert (secret_of(node), list(devices(cloud))) == (token, ["made by hand"])
    assert parameters(cloud, cloud.device(token)) == {"sample.every": "60", "upload.every": "300"}
    assert "Parameters set: sample.every = 60" in text


def test_names_are_compared_exactly(cloud, run):
    cloud.create_device("Greenhouse")
    cloud.create_device("greenhouse 2")
    _, said, _ = run(name="greenhouse")
    assert said["created"]
    _, said, _ = run(name="green*")
    assert (said["created"], sorted(devices(cloud))) == (True, ["Greenhouse", "green*", "greenhouse", "greenhouse 2"])


def test_parameters_that_are_there_stay(cloud, run):
    token = cloud.create_device("greenhouse")
    cloud.set_parameter(token, "sample.every", "10")
    cloud.set_parameter(token, "other", "x")
    _, said, text = run()
    assert said["parameters"] == {"upload.every": "300"}
    assert parameters(cloud, cloud.device(token)) == {"sample.every": "10", "other": "x", "upload.every": "300"}
    assert "Parameter sample.every is 10 at TagoIO, unlike node.toml: it stays so" in text
    _, said, _ = run()
    assert (said["changed"], said["parameters"]) == (False, {})


def test_a_device_without_a_lasting_token_gets_one(cloud, node, run):
    first = cloud.create_device("greenhouse", serie_number="SN7")
    device = cloud.device(first)
    for permission, expires_at in (("read", None), ("write", None), ("full", 2**43)):
        cloud.store.create_token(device.id, permission=permission, expires_at=expires_at)
    cloud.store.delete_token(first)
    _, said, text = run(serial="SN7", name="greenhouse")
    assert said["changed"] and not said["created"]
    assert "It had no token that never expires and has full permission: one was made." in text
    access = cloud.store.access(secret_of(node))
    assert (access.permission, len(tokens(cloud, device))) == ("full", 4)
    assert cloud.store.token_of_serial("SN7") == secret_of(node)
    _, said, _ = run(serial="SN7", name="greenhouse")
    assert (said["changed"], len(tokens(cloud, device))) == (False, 4)


def test_the_token_that_a_node_has_is_kept_when_it_is_one_of_several(cloud, node, run):
    device = cloud.device(cloud.create_device("greenhouse"))
    second = cloud.store.create_token(device.id)
    (node.parent / "secrets.toml").write_text(f'token = "{second}"\n')
    run()
    assert secret_of(node) == second


# -- what goes wrong on the way ----------------------------------------------------------------------------


class Falls:
    """In place of Traffic.intercept: the first `times` requests of a route are lost `after` or before they are done."""

    def __init__(self, cloud, route, times=1, after=True):
        self.app, self.route, self.times, self.after = cloud.traffic._app, route, times, after
        cloud.traffic.intercept = self

    async def __call__(self, scope, receive, send):
        if (scope["method"], scope["path"]) != self.route or not self.times:
            return False
        self.times -= 1

        async def nothing(message):
            pass

        if self.after:
            await self.app(scope, receive, nothing)
        scope["state"]["connection"].reset()
        while (await receive())["type"] != "http.disconnect":
            pass
        return True


@pytest.mark.parametrize("after", [True, False])
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("serial", ["", "SN1"])
def test_a_lost_answer_to_the_making_of_a_device_makes_none_twice(cloud, node, run, clock, times, after, serial):
    falls = Falls(cloud, ("POST", "/device"), times, after)
    status, said, text = run(serial=serial or None)
    (device,) = devices(cloud)["greenhouse"]
    # where the answer was lost, the device is found at the first look
    assert (status, falls.times) == (0, times - 1 if after else 0)
    assert said["created"] is not after
    assert tokens(cloud, device) == [secret_of(node)]
    assert "no answer to the making of 'greenhouse' (" in text and "), looking for it" in text
    assert clock.slept and min(clock.slept) >= 2


def test_a_lost_answer_to_the_making_of_a_token_makes_none_twice(cloud, node, run):
    first = cloud.create_device("greenhouse")
    device = cloud.device(first)
    cloud.store.delete_token(first)
    Falls(cloud, ("POST", "/device/token"))
    run()
    assert tokens(cloud, device) == [secret_of(node)]


def test_a_server_that_never_answers_is_not_asked_for_ever(cloud, node, run, clock):
    Falls(cloud, ("POST", "/device"), 99, after=False)
    with pytest.raises(AccountError, match=r"gives no answer \(.*\): try again later; nothing is done twice"):
        run()
    assert devices(cloud) == {}
    assert not (node.parent / "secrets.toml").exists()
    Falls(cloud, ("GET", "/device"), 99)
    clock.slept.clear()
    with pytest.raises(AccountError, match="gives no answer"):
        run()
    assert len(clock.slept) == account.TRIES - 1
    Falls(cloud, ("GET", "/device"), account.TRIES - 1)
    assert run()[0] == 0


@pytest.mark.parametrize("kind", ["500", "502", "200_portal", "200_cut", "503"])
def test_answers_that_are_none_of_tagoios_are_asked_for_again(cloud, run, kind):
    from tagonode.cloud.faults import EVERY, Fault

    for times in (1, 3):
        cloud.faults.set(EVERY, Fault(kind, left=times))
        assert run(name=f"after {times}")[0] == 0
    assert sorted(map(len, devices(cloud).values())) == [1, 1]


def test_a_rate_limit_is_waited_out_as_long_as_told(cloud, run, clock):
    cloud.limits.per_window["POST /device"] = 0
    waited = []

    def sleep(seconds):
        waited.append(seconds)
        clock.now += seconds
        if len(waited) == 2:
            cloud.limits.per_window.clear()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "sleep", sleep)
        status, _, text = run()
    assert status == 0
    # 15.25 s into the minute: 45 s are told; then a whole minute
    assert 45.1 <= waited[0] <= 46 and 58 <= waited[1] <= 61
    assert "rate limit reached: going on in 45 s" in text or "rate limit reached: going on in 46 s" in text
    assert [len(found) for found in devices(cloud).values()] == [1]


def test_a_fresh_token_that_is_not_known_yet_is_shown_again(cloud, run, monkeypatch):
    known = cloud.store.access
    refusals = iter([True, True])

    def access(token):
        found = known(token)
        fresh = found and found.device and found.device.name == "greenhouse"
        return None if fresh and next(refusals, False) else found

    monkeypatch.setattr(cloud.store, "access", access)
    status, _, text = run()
    assert status == 0
    assert "TagoIO does not know the new token yet" in text


# -- what stops it: texts ----------------------------------------------------------------------------------


def nothing(cloud):
    pass


def two_of_a_name(cloud):
    cloud.create_device("greenhouse")
    cloud.create_device("greenhouse")


def two_of_a_serial(cloud):
    cloud.create_device("one of them", serie_number="SN1")
    cloud.create_device("other of them", serie_number="SN1")


def another_serial(cloud):
    cloud.create_device("greenhouse", tags=[{"key": "serial", "value": "SN2"}])


def switched_off(cloud):
    cloud.create_device("greenhouse", active=False)


def full(cloud):
    token = cloud.create_device("greenhouse", "mutable")
    record = rules.check_record({"variable": "a"}, 0, "g")
    cloud.store.add(cloud.device(token), [record] * 50_000, 0)


def no_more_devices(cloud):
    cloud.quotas.devices = 1


def wrong_token(cloud):
    os.environ["TAGOIO_ACCOUNT_TOKEN"] = "not-a-token-of-this"


@pytest.mark.parametrize(
    ("prepare", "options", "texts"),
    [
        (two_of_a_name, {}, ["2 devices called 'greenhouse' are there (ids ", "rename the others, or give this"]),
        (two_of_a_serial, {"serial": "SN1"}, ["2 devices with serial number SN1 are there", "take the number"]),
        (another_serial, {"serial": "SN1"}, ["'greenhouse' is there with serial number SN2, not SN1", "another "]),
        (switched_off, {}, ["'greenhouse' is switched off at TagoIO: switch it on there, and run this again"]),
        (full, {}, ["'greenhouse' is a mutable device and full (50,000 records): empty it at TagoIO, or delete it"]),
        (no_more_devices, {}, ["takes no more devices (The limit of 1 devices", "delete some", "larger plan"]),
        (wrong_token, {}, ["refuses the account token (Authorization denied)", "make a new", "TAGOIO_ACCOUNT_TOKEN"]),
        (nothing, {"network": "x" * 101}, ["refuses: network must have 0 to 100 characters"]),
    ],
)  # fmt: skip
def test_what_tagoio_holds_against_it(cloud, node, run, monkeypatch, prepare, options, texts):
    monkeypatch.setenv("TAGOIO_ACCOUNT_TOKEN", os.environ["TAGOIO_ACCOUNT_TOKEN"])
    prepare(cloud)
    with pytest.raises((ProvisionError, AccountError)) as error:
        run(**options)
    for text in texts:
        assert text in str(error.value)
    assert "\n" not in str(error.value)
    assert not (node.parent / "secrets.toml").exists()


@pytest.mark.parametrize("token", ["one\ntwo", "one two", "\u200b" + "x" * 36, "x\r\nHost: y", "t\u00f6ken"])
def test_an_account_token_that_is_none_is_refused_at_once(run, monkeypatch, token):
    waits = []
    monkeypatch.setenv("TAGOIO_ACCOUNT_TOKEN", token)
    monkeypatch.setattr(time, "sleep", waits.append)
    with pytest.raises(NoToken, match="TAGOIO_ACCOUNT_TOKEN holds a line break, a space or another ch") as caught:
        run()
    assert token not in str(caught.value) and waits == []


def test_no_account_token(cloud, run, monkeypatch):
    for value in ("", " ", None):
        monkeypatch.setenv("TAGOIO_ACCOUNT_TOKEN", value or "")
        if value is None:
            monkeypatch.delenv("TAGOIO_ACCOUNT_TOKEN")
        with pytest.raises(AccountError, match=r"TAGOIO_ACCOUNT_TOKEN is not set: make a token at TagoIO"):
            run()


@contextlib.contextmanager
def tls_server(certificate):
    """The port of a server on loopback that does handshakes with this certificate, and nothing else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    plain, _ = listener.accept()
                    with contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as tls:
                        tls.recv(1)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    ca = trustme.CA()
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return ca, path


def refusal(run, **options):
    with pytest.raises(AccountError) as error:
        run(**options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_certificate_for_another_host(run, authority):
    with tls_server(authority[0].issue_cert("api.example.org")) as port:
        text = refusal(run, url=f"https://localhost:{port}", ca=authority[1])
    assert text == f"localhost:{port}: its certificate is not for localhost: use the name that the certificate has"


def test_a_certificate_out_of_date(run, authority):
    then = datetime.now(UTC) - timedelta(days=1)
    certificate = authority[0].issue_cert("localhost", not_before=then - timedelta(days=9), not_after=then)
    with tls_server(certificate) as port:
        text = refusal(run, url=f"https://localhost:{port}", ca=authority[1])
    assert "its certificate is out of date (certificate has expired): check this PC's clock" in text


def test_a_certificate_of_an_unknown_ca(cloud, run, authority):
    for ca in (None, authority[1]):
        text = refusal(run, ca=ca)
        assert text.startswith(f"localhost:{cloud.port}: its certificate is not from a CA that is trusted here (")
        assert "give the server's CA with --ca" in text


def test_no_such_host_no_such_port_and_no_tls(cloud, run):
    assert refusal(run, url="https://tagoio.invalid") == (
        "tagoio.invalid: there is no host of this name: check tagoio.host in node.toml, or --url, and this PC's network"
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert f"localhost:{port} cannot be reached (Connection refused): " in refusal(run, url=f"localhost:{port}")
    plain = cloud.plain_url.replace("http:", "https:")
    assert "does not speak TLS (" in refusal(run, url=plain)
    assert "http://api.example.org is not https: the account token would go in the open" in refusal(
        run, url="http://api.example.org"
    )


def test_ca_files_that_are_none(run, node):
    assert refusal(run, ca=node.parent / "none.pem").endswith(
        "none.pem: no such file: name the PEM file of the server's CA"
    )
    assert "node.toml holds no certificate in PEM form: name the PEM file of the server's CA" in refusal(run, ca=node)


def test_the_address_is_the_configs(node):
    text = node.read_text()
    for lines, address in [
        ("", "https://api.us-e1.tago.io"),
        ('[tagoio]\nhost = "api.eu-w1.tago.io"\n', "https://api.eu-w1.tago.io"),
        ('[tagoio]\nhost = "h"\nport = 8443\nprefix = "/x"\n', "https://h:8443/x"),
        ('[tagoio]\nhost = "localhost"\nport = 80\nssl = false\n', "http://localhost"),
    ]:
        node.write_text(text + lines)
        assert provision._address(Options(node), config.load(node)) == address
    assert provision._address(Options(node, url="localhost:1"), config.load(node)) == "https://localhost:1"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"csv": Path("f.csv"), "name": "abc"}, "--name and --serial are of one node, --csv is of many"),
        ({"out": Path("r.csv")}, "--out goes with --csv"),
        ({"name": "ab"}, "--name has 2 characters: give 3 to 100"),
        ({"name": "a\tb c"}, "--name holds a control character"),
        ({"mutable": True, "chunk_period": "day"}, "--chunk-period and --chunk-retention are of immutable devices"),
        ({"chunk_period": "year"}, "--chunk-period year: choose one of day, week, month, quarter"),
        ({"chunk_period": "week", "chunk_retention": 27}, "--chunk-retention 27: give 1 to 26 for periods of a week"),
        ({"chunk_retention": 0}, "--chunk-retention 0: give 1 to 36"),
        ({"url": "https://localhost:99999"}, "--url https://localhost:99999 is no address: write it as in https://"),
        ({"url": "localhost:port"}, "--url localhost:port is no address"),
        ({"url": "https://[::1"}, "--url https://[::1 is no address"),
        ({"url": "https://:443"}, "--url https://:443 is no address"),
        ({"url": "https://me:hunter2@localhost"}, "--url holds a user or a password: TagoIO takes the account token"),
        ({"yes": False}, "nothing is done yet: say --yes"),
    ],
)
def test_wrong_use(cloud, run, monkeypatch, options, text):
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(WrongUse) as error:
        run(**options)
    assert text in str(error.value) and "hunter2" not in str(error.value)
    assert devices(cloud) == {}


def test_a_folder_whose_name_will_not_do(cloud, run, node):
    short = node.parent.rename(node.parent.parent / "xy")
    with pytest.raises(WrongUse, match=r"the folder's name, which is the device's unless you give --name, has 2 char"):
        run(config=short / "node.toml")


@pytest.mark.parametrize(("answer", "made"), [("y\n", 1), ("YES\n", 1), ("n\n", 0), ("\n", 0)])
def test_it_asks_before_it_makes_something(cloud, run, monkeypatch, answer, made):
    stdin = io.StringIO(answer)
    stdin.isatty = lambda: True
    monkeypatch.setattr(sys, "stdin", stdin)
    if made:
        assert run(yes=False)[0] == 0
    else:
        with pytest.raises(ProvisionError, match="nothing was done"):
            run(yes=False)
    assert len(devices(cloud)) == made


@pytest.mark.parametrize(
    ("a_day", "options", "storage"),
    [
        (1_000, {}, ("month", 36)),
        (29_000, {}, ("month", 36)),
        (30_000, {}, ("week", 26)),
        (200_000, {}, ("day", 31)),
        (200_000, {"chunk_period": "day", "chunk_retention": 5}, ("day", 5)),
        (1_000, {"chunk_period": "quarter"}, ("quarter", 36)),
        (1_000, {"mutable": True}, ("", 0)),
    ],
)
def test_periods_fit_what_a_node_sends(a_day, options, storage):
    assert storage_of(Options(Path(), **options), a_day) == Storage(*storage)


def test_a_period_that_would_overflow_is_refused():
    with pytest.raises(WrongUse, match="sends up to 50,000 records a day, and TagoIO keeps 1,000,000 in one month"):
        storage_of(Options(Path(), chunk_period="month"), 50_000)
    with pytest.raises(WrongUse, match="sample less often"):
        storage_of(Options(Path()), 2_000_000)


def test_records_a_day_are_the_configs(node):
    # five channels a minute
    assert provision._records_a_day(config.load(node)) == pytest.approx(5 * 1440)


# -- secrets.toml ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, "# Secrets of this node: never commit, never send.\ntoken = \"T\"\n"),
        ("", 'token = "T"\n'),
        ('wifi_password = "w" # at home\n', 'wifi_password = "w" # at home\ntoken = "T"\n'),
        ("# top\ntoken = 'old' # the node's\nother = 1\n", "# top\ntoken = \"T\" # the node's\nother = 1\n"),
        ("a = 1\n\n[table]\nb = 2 # two\n", 'a = 1\ntoken = "T"\n\n[table]\nb = 2 # two\n'),
        ("[table]\ntoken = 'kept'\n", 'token = "T"\n\n[table]\ntoken = \'kept\'\n'),
    ],
)  # fmt: skip
def test_other_secrets_and_remarks_stay(tmp_path, before, after):
    file = tmp_path / "secrets.toml"
    if before is not None:
        file.write_text(before)
    assert write_token(file, "T")
    assert (file.read_text(), file.stat().st_mode & 0o777) == (after, 0o600)
    assert not write_token(file, "T")
    assert [path.name for path in tmp_path.iterdir()] == ["secrets.toml"]


def test_a_readable_secrets_file_is_closed(tmp_path):
    file = tmp_path / "secrets.toml"
    file.write_text('token = "T"\n')
    file.chmod(0o644)
    assert write_token(file, "T")
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "safe").mkdir()
    real = tmp_path / "safe" / "s.toml"
    real.write_text("a = 1\n")
    (tmp_path / "secrets.toml").symlink_to(real)
    write_token(tmp_path / "secrets.toml", "T")
    assert (tmp_path / "secrets.toml").is_symlink()
    assert 'token = "T"' in real.read_text()


def test_broken_secrets_stop_it_before_anything_is_made(cloud, node, run):
    (node.parent / "secrets.toml").write_text("token = \n")
    with pytest.raises(config.ConfigError, match=r"secrets\.toml:1"):
        run()
    assert devices(cloud) == {}


def test_secrets_that_cannot_be_written_stop_it_before_anything_is_made(cloud, node, run, monkeypatch):
    def refused(*arguments, **options):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(tempfile, "mkstemp", refused)
    with pytest.raises(
        ProvisionError, match=r"secrets\.toml cannot be written \(Permission denied\): nothing was done"
    ):
        run()
    assert devices(cloud) == {}


def test_a_token_of_the_environment_is_pointed_out(cloud, run, monkeypatch):
    monkeypatch.setenv(config.ENV_TOKEN, "another")
    assert "TAGONODE_TOKEN is set in this shell, and goes before" in run()[2]


# -- fleet.csv ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ("name\nnode 1\n", [Row("node 1", "", {}, 2)]),
        (
            "name,serial,site\nnode 1,S1,north\n\nnode 2,,\n",
            [Row("node 1", "S1", {"site": "north"}, 2), Row("node 2", "", {}, 4)],
        ),
        ("\ufeffSite;Name;SERIAL\r\nnord,süd;node 1;S1\r\n", [Row("node 1", "S1", {"Site": "nord,süd"}, 2)]),
        ('serial,name\nS1,"node, 1"\n', [Row("node, 1", "S1", {}, 2)]),
        ("name , serial\n  node 1 , S1 \n", [Row("node 1", "S1", {}, 2)]),
        ("name,serial,site\nnode 1\n", [Row("node 1", "", {}, 2)]),
    ],
)  # fmt: skip
def test_fleets(tmp_path, content, rows):
    path = tmp_path / "fleet.csv"
    path.write_text(content, newline="")
    assert fleet.read(path) == rows


@pytest.mark.parametrize(
    ("content", "problems"),
    [
        (b"", ["f.csv: no node in it: give a heading with `name`, and one line for each node"]),
        (b"name\n", ["f.csv: no node in it"]),
        (b"nme,serial\nnode 1,S1\n", ["f.csv:1: there is no column `name`; did you mean 'nme'?"]),
        (b"serial\nS1\n", ["f.csv:1: there is no column `name`; there are serial"]),
        (b"name,site,site\nnode 1,a,b\n", ["f.csv:1: site: this column is there twice: take one of them out"]),
        (b"name,,site\nnode 1,a,b\n", ["f.csv:1: column 2 has no heading: name it, or take it out"]),
        (b"name\nnode 1\nab\n", ["f.csv:3: name: has 2 characters: give 3 to 100"]),
        (b"name,serial\n,S1\n", ["f.csv:2: name: is empty: give each node a name"]),
        (b"name\nnode 1\nnode 2\nnode 1\n", ["f.csv:4: name: 'node 1' stands in line 2, too: give each node its own"]),
        (b"name,serial\nabc,S1\ndef,S1\n", ["f.csv:3: serial: 'S1' stands in line 2, too: give each node its own"]),
        (b"name,serial\nabc,S1,x,y\n", ["f.csv:2: 2 more than the 2 columns: quote a text that holds the separator"]),
        (b'name\n"abc"d\n', ["f.csv:2: ", "check the quotes of this line"]),
        (b'name\n"abc\n', ["f.csv:2: ", "check the quotes of this line"]),
        (b"name,site\nabc,\xff\n", ["f.csv:2: not UTF-8: save the table as CSV UTF-8"]),
        (b'name,site\nabc,"x\ny"\n', ["f.csv:2: site: holds a control character: take it out"]),
        (b"name,site\nabc," + b"x" * 101, ["f.csv:2: site: has 101 characters: shorten it to 100"]),
        (b"name," + b",".join(b"t%d" % n for n in range(30)) + b"\nabc\n", ["f.csv:1: too many columns: TagoIO tak"]),
        (b"name,Token\nabc,x\n", ["f.csv:1: Token: would be a tag that is called so at TagoIO: take this column out"]),
        (b"name,Device Token,password\nabc,x,y\n", ["f.csv:1: Device Token: ", "f.csv:1: password: would be"]),
        (b"name,WIFI_PASSWORD\nabc,x\n", ["f.csv:1: WIFI_PASSWORD: would be a tag"]),
        (b"name,device_id,result\nabc,x,y\n", ["f.csv:1: device_id: would be", "f.csv:1: result: would be"]),
        (b"name,site\nabc,a\ndef,<token>\n", ["f.csv:3: site: looks like a token, and tags are no place for it"]),
        (b"name,site\nabc,at-<token>\n", ["f.csv:2: site: looks like a token"]),
        (b"abc,<token>\n", ["f.csv:1: the heading of column 2 looks like a token: take this column out"]),
        (b"name,serial\nab,S1\nabc,S1\n", ["f.csv:2: name: has 2", "f.csv:3: serial: 'S1' stands in line 2"]),
    ],
)  # fmt: skip
def test_fleets_that_are_wrong_are_told_by_line_and_column(tmp_path, monkeypatch, content, problems):
    monkeypatch.chdir(tmp_path)
    Path("f.csv").write_bytes(content.replace(b"<token>", A_TOKEN))
    with pytest.raises(FleetError) as error:
        fleet.read(Path("f.csv"))
    for problem in problems:
        assert problem in str(error.value)
    assert A_TOKEN[:8].decode() not in str(error.value).lower()
    assert len(error.value.problems) == max(1, sum(problem.startswith("f.csv") for problem in problems))


def test_no_fleet_file(tmp_path):
    with pytest.raises(FleetError, match=r"none\.csv: no such file: give a CSV file with a column `name`"):
        fleet.read(tmp_path / "none.csv")
    with pytest.raises(FleetError, match="cannot be read"):
        fleet.read(tmp_path)


# -- the result file ---------------------------------------------------------------------------------------

ROWS = [Row("node 1", "S1"), Row('the "second", one', ""), Row("ünïcode", "S3")]


def write_results(path, rows=ROWS):
    with ResultFile(path) as results:
        for n, row in enumerate(rows):
            if (row.name, row.serial) not in results.done:
                results.add(row, f"id{n}", f"t{n}", "created")
        return dict(results.done)


def test_a_result_file_that_is_cut_anywhere_goes_on(tmp_path):
    path = tmp_path / "r.csv"
    whole = write_results(path)
    content = path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(whole) == 3
    for cut in range(len(content) + 1):
        path.write_bytes(content[:cut])
        with ResultFile(path) as results:
            lines = content[:cut].count(b"\n")
            assert len(results.done) == max(0, lines - 1), cut
        assert write_results(path) == whole
        assert path.read_bytes() == content, cut


def test_half_a_row_leaves_nothing_behind(tmp_path):
    path = tmp_path / "r.csv"
    write_results(path, ROWS[:1])
    whole = path.read_bytes()
    path.write_bytes(whole + b"a node with a long name,SN000000001,012345")
    with ResultFile(path) as results:
        assert path.read_bytes() == whole
        results.add(Row("abc"), "i", "t", "found")
    assert path.read_bytes() == whole + b"abc,,i,t,found\n"


@pytest.mark.parametrize(
    "content",
    [b"a,b\n1,2\n", b"name,serial\n", b"dear diary", b"\xff\xfe\n", b'name,serial,device_id,token,result\n"x\n'],
)
def test_other_files_are_not_touched(tmp_path, content):
    path = tmp_path / "r.csv"
    path.write_bytes(content)
    path.chmod(0o644)
    with pytest.raises(FleetError, match="is no result file of provision: name another one with --out"):
        ResultFile(path)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (content, 0o644)


def test_a_disk_that_is_full_from_the_beginning(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(FleetError, match=r"r\.csv: cannot be written \(No space left .*\): make room, and run it"):
            ResultFile(tmp_path / "r.csv")
    assert len(write_results(tmp_path / "r.csv")) == 3


def test_two_at_once_are_told(tmp_path):
    with ResultFile(tmp_path / "r.csv"), pytest.raises(FleetError, match="another `tagonode provision` writes it now"):
        ResultFile(tmp_path / "r.csv")
    ResultFile(tmp_path / "r.csv").__exit__(None, None, None)
    with pytest.raises(FleetError, match="cannot be written"):
        ResultFile(tmp_path / "no" / "r.csv")


def test_a_row_is_on_the_disk_when_it_was_added(tmp_path, monkeypatch):
    synced = []
    with ResultFile(tmp_path / "r.csv") as results:
        monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
        results.add(Row("abc"), "id", "t", "created")
        assert synced == [(tmp_path / "r.csv").stat().st_size]


# -- a fleet -----------------------------------------------------------------------------------------------


@pytest.fixture
def table(node):
    """Write a fleet.csv; its path."""

    def table(text):
        path = node.parent / "fleet.csv"
        path.write_text(text)
        return path

    return table


def results_of(path):
    with path.with_name("fleet.result.csv").open(newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def test_a_fleet_is_made_and_a_second_run_changes_nothing(cloud, run, table):
    there = cloud.create_device("node 2")
    path = table("name,serial,site\nnode 1,S1,north\nnode 2,,\nnode 3,S3,\n")
    status, said, text = run(csv=path)
    assert status == 0
    assert said == {
        "rows": 3, "before": 0, "created": 2, "found": 1, "failed": [], "out": str(path.with_name("fleet.result.csv")),
    }  # fmt: skip
    found = devices(cloud)
    results = results_of(path)
    assert {name: row["result"] for name, row in results.items()} == {
        "node 1": "created", "node 2": "found", "node 3": "created",
    }  # fmt: skip
    for name, row in results.items():
        (device,) = found[name]
        assert (row["device_id"], [row["token"]]) == (device.id, tokens(cloud, device))
        assert len(parameters(cloud, device)) == 2
    assert results["node 2"]["token"] == there
    assert json.loads(found["node 1"][0].tags) == [
        {"key": "site", "value": "north"}, {"key": "serial", "value": "S1"},
    ]  # fmt: skip
    assert "never expires and has full permission" in text
    assert not any(row["token"] in text for row in results.values())
    before = cloud.requests
    status, said, text = run(csv=path)
    assert (status, said["before"], said["created"], said["found"]) == (0, 3, 0, 0)
    assert "Nothing to change: all 3 are done" in text
    assert cloud.requests == before
    # without its result file, too
    path.with_name("fleet.result.csv").unlink()
    status, said, text = run(csv=path)
    assert (status, said["created"], said["found"]) == (0, 0, 3)
    assert {row["token"] for row in results.values()} == {row["token"] for row in results_of(path).values()}


def test_a_row_that_fails_is_told_and_the_others_go_on(cloud, run, table):
    two_of_a_name(cloud)
    path = table("name\nnode 1\ngreenhouse\nnode 3\n")
    status, said, text = run(csv=path)
    assert (status, said["created"], len(said["failed"])) == (1, 2, 1)
    assert said["failed"][0].startswith("line 3: greenhouse: 2 devices called 'greenhouse' are there")
    assert "2 of 3 are done: 2 made, 0 found, 0 before; 1 failed." in text
    cloud.store.delete_device(devices(cloud)["greenhouse"][0].id)
    status, said, _ = run(csv=path)
    assert (status, said["before"], said["found"], said["failed"]) == (0, 2, 1, [])


def test_what_concerns_all_stops_a_fleet(cloud, run, table):
    path = table("name\nnode 1\nnode 2\nnode 3\n")
    cloud.quotas.devices = 3
    status, said, text = run(csv=path)
    assert (status, said["created"], said["failed"]) == (1, 2, [])
    assert "takes no more devices (The limit of 3 devices of your plan has been reached)" in text
    assert "Run the same command again to go on" in text
    cloud.quotas.devices = None
    status, said, _ = run(csv=path)
    assert (status, said["before"], said["created"]) == (0, 2, 1)
    assert sorted(map(len, devices(cloud).values())) == [1, 1, 1]


def test_a_device_that_somebody_made_by_hand_is_found_by_its_serial_number(cloud, run, table):
    token = cloud.create_device("made by hand", serie_number="S2")
    path = table("name,serial\nnode 1,S1\nnode 2,S2\n")
    run(csv=path)
    assert results_of(path)["node 2"]["token"] == token
    assert sorted(devices(cloud)) == ["made by hand", "node 1"]


def test_a_big_profile_is_read_page_by_page(cloud, run, table, monkeypatch):
    monkeypatch.setattr(account, "PAGE", 10)
    made = {f"node {n:03}": cloud.create_device(f"node {n:03}") for n in range(45)}
    names = random.Random(1).sample(sorted(made), 3)
    path = table("name\n" + "\n".join(names) + "\n")
    _, said, _ = run(csv=path)
    assert (said["created"], said["found"]) == (0, 3)
    assert {row["token"] for row in results_of(path).values()} == {made[name] for name in names}


def test_ctrl_c_is_no_error(cloud, run, table, clock, monkeypatch):
    path = table("name\nnode 1\nnode 2\nnode 3\n")
    once = iter([None])
    create = Account.create_device

    def interrupted(self, fields):
        if fields["name"] == "node 2" and next(once, 1) is None:
            create(self, fields)
            raise KeyboardInterrupt
        return create(self, fields)

    monkeypatch.setattr(Account, "create_device", interrupted)
    status, said, text = run(csv=path)
    assert (status, said["created"]) == (130, 1)
    assert "Run the same command again to go on: what is done is not done twice." in text
    status, said, _ = run(csv=path)
    assert (status, said["before"], said["created"], said["found"]) == (0, 1, 1, 1)
    assert sorted(map(len, devices(cloud).values())) == [1, 1, 1]


def test_a_fleet_that_is_killed_interrupted_and_throttled_is_made_once(tmp_path):
    outcome = campaign.play(tmp_path, rows=10, stops=2, window_s=2, seed=5, lost=4, tighter=3)
    assert outcome.wrong == []
    assert outcome.stops[:2] == ["SIGKILL", "SIGINT"]
    assert outcome.throttled and outcome.lost


def test_the_campaign_sees_what_is_wrong(cloud, tmp_path):
    campaign.write_fleet(tmp_path / "fleet.csv", 2)
    out = tmp_path / "fleet.result.csv"
    rows = fleet.read(tmp_path / "fleet.csv")
    with ResultFile(out) as results:
        for row in rows:
            tags = [{"key": "site", "value": row.tags["site"]}]
            identity, token = cloud.store.create_device(row.name, serie_number=row.serial, tags=tags)
            results.add(row, identity, token, "created")
    assert campaign.breaches(cloud, tmp_path / "fleet.csv", out) == []
    cloud.store.create_token(identity)
    assert "has 2 tokens" in campaign.breaches(cloud, tmp_path / "fleet.csv", out)[0]
    cloud.store.create_device("node 0000")
    assert "'node 0000' was made 2 times" in campaign.breaches(cloud, tmp_path / "fleet.csv", out)


# -- the command -------------------------------------------------------------------------------------------


def test_the_command(cloud, node):
    said = commands.run(TAGONODE, "provision", "--help").stdout
    assert "Example: tagonode provision" in said
    begin = [TAGONODE, "provision", node, "--url", cloud.url]
    environment = {**os.environ, "COLUMNS": "200"}
    for arguments, status, text in [
        ([*begin, "--ca", cloud.ca_file], 2, "nothing is done yet: say --yes"),
        ([*begin, "--csv", node.parent / "none.csv"], 1, "none.csv: no such file"),
        ([*begin, "--chunk-period", "year"], 2, "--chunk-period year: choose one of "),
        ([*begin, "--ca", cloud.ca_file, "--yes"], 0, "'greenhouse' (id "),
    ]:
        ended = commands.run(*arguments, env=environment, stdin=subprocess.DEVNULL, timeout=60)
        assert (ended.returncode, ended.stdout) == (status, ""), ended.stderr
        assert text in ended.stderr
        assert "Traceback" not in ended.stderr
    del environment["TAGOIO_ACCOUNT_TOKEN"]
    ended = commands.run(*begin, env=environment, stdin=subprocess.DEVNULL, timeout=60)
    assert (ended.returncode, "TAGOIO_ACCOUNT_TOKEN is not set" in ended.stderr) == (2, True)


def test_ctrl_c_at_the_command_is_one_line(cloud, node):
    from tagonode.cloud.faults import EVERY, Fault

    cloud.faults.set(EVERY, Fault("slow", seconds=30))
    command = [TAGONODE, "provision", node, "--url", cloud.url, "--ca", cloud.ca_file, "--yes"]
    process = subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, text=True)
    asked, before = threading.Event(), cloud.requests

    def watch():
        while not asked.wait(0.02):
            if cloud.requests > before:
                asked.set()

    thread = threading.Thread(target=watch)
    thread.start()
    assert asked.wait(30)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    thread.join()
    commands.show(said)
    assert (process.returncode, said.splitlines()[-1]) == (130, "stopped: run it again to go on")


def test_account_leaves_no_trace_in_the_process(cloud):
    from tagoio_sdk import config as sdk

    before = dict(sdk.tagoSDKconfig), os.environ.get("REQUESTS_CA_BUNDLE")
    with Account(cloud.url, cloud.account_token, cloud.ca_file) as owner:
        assert sdk.tagoSDKconfig["requestAttempts"] == 1
        assert len(owner.all_devices()) == 1
    assert (dict(sdk.tagoSDKconfig), os.environ.get("REQUESTS_CA_BUNDLE")) == before
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with Account(f"https://localhost:{port}", "x") as owner, pytest.raises(NoAnswer, match="Connection refused"):
        owner.create_device({"name": "abc"})
