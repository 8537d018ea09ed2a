"""`tagonode deploy` on virtual boards: only what changed is sent, other files stay, every error names its remedy."""

import json
import os
import re
import tomllib

from mpremote.transport import TransportExecError

import pytest
from deployrig import PASSWORD, TAGONODE, Rig, rig
from harness import boards, commands
from tagonode import config, deploy, port
from tagonode import console as printed
from tagonode.virtual import image
from test_config_mistakes import BASE

TOKEN = "5ca11ab1-0000-4000-8000-00000badcafe"


# ---- a board


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    with rig(tmp_path_factory.mktemp("node")) as made:
        yield made


def off(bench: Rig) -> dict[str, bytes]:
    bench.board.board.power_cut()
    return bench.version()


def test_a_blank_board_delivers_and_then_nothing_is_left_to_send(bench):
    done = bench.run("--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["sent"], result["error"]) == (len(bench.files()), None)
    assert re.fullmatch(r"humidity [\d.]+ %, pressure [\d.]+ hPa, temperature [\d.-]+ °C", result["delivered"])
    assert bench.cloud.count(bench.cloud.device_token) >= 3
    for words in ("connecting", f"sending {result['sent']} files", "switching", "waiting for the first delivery"):
        assert words in done.stderr
    again = bench.deployed(60)
    assert (again.sent, again.size, again.removed) == (0, 0, 0) and again.delivered
    assert off(bench) == bench.files()
    assert not [path for path in bench.flash() if path.startswith("/incoming")]
    bench.board.restart()


def test_only_what_changed_is_sent_and_what_is_obsolete_goes(bench):
    own = {"/notes/mine.txt": b"mine", "/lib/drivers/other.mpy": b"M", "/queue/kept": b"kept"}
    bench.fresh(more=own)
    before = bench.files()
    bench.write_node("sht4x", every=0.4)
    after = bench.files()
    result = bench.deployed(60)
    changed = {path for path in after if after[path] != before.get(path)}
    assert changed == {
        "/lib/drivers/sht4x.mpy",
        "/lib/drivers/sensirion.mpy",
        "/settings.json",
        "/settings.2.json",
        "/manifest.json",
    }
    assert result.sent == len(changed) and result.size == sum(len(after[path]) for path in changed)
    assert result.removed == len(before.keys() - after.keys()) == 2
    assert "humidity" in result.delivered and "pressure" not in result.delivered
    bench.board.board.power_cut()
    flash = bench.flash()
    assert own.items() <= flash.items()
    assert off(bench) == after | {path: data for path, data in own.items() if not path.startswith("/queue")}
    bench.board.restart()


def test_folders_that_nothing_is_in_any_more_go_too(bench):
    bench.write_node()
    manifest = json.loads(bench.files()["/manifest.json"])
    old = {"/lib/old/deep/a.mpy": b"a", "/lib/old/b.mpy": b"b", "/lib/shared/c.mpy": b"c"}
    manifest["files"] |= dict.fromkeys([*old, "/queue/0001", "../etc", "relative"], {})
    kept = {"/lib/shared/mine.txt": b"mine", "/queue/0001": b"kept"}
    bench.fresh(more=old | kept | {"/manifest.json": json.dumps(manifest)})
    assert bench.deployed().removed == 3
    bench.board.board.power_cut()
    flash = bench.flash()
    assert not set(old) & set(flash) and kept.items() <= flash.items()
    with image.mounted(bench.board.flash, bench.board.geometry) as filesystem:
        assert {"shared", "drivers"} < set(filesystem.listdir("/lib")) and "old" not in filesystem.listdir("/lib")
    bench.board.restart()


def test_a_deployment_that_was_interrupted_is_taken_up(bench):
    """What has arrived whole is not sent again; what has arrived in part, or is of another version, goes."""
    bench.write_node("bh1750", every=0.7)
    files = bench.files()
    bench.fresh(
        more={
            "/incoming/|lib|drivers|bh1750.mpy": files["/lib/drivers/bh1750.mpy"],
            "/incoming/|settings.json": files["/settings.json"][:100],
            "/incoming/|lib|older.mpy": b"older",
            "/incoming/commit.new": b"+/half",
        }
    )
    bench.write_node("bh1750", every=0.7)
    assert bench.deployed().sent == 3  # the settings, twice, and the manifest
    assert off(bench) == files and not [path for path in bench.flash() if path.startswith("/incoming")]
    bench.board.restart()


def test_a_committed_one_that_no_boot_py_finished_is_finished_first(bench):
    own = {"/boot.py": b"print('mine')\n", "/incoming/|extra.txt": b"x", "/incoming/commit": b"+/extra.txt\n"}
    bench.fresh(more=own)
    assert bench.deployed().sent == 0  # boot.py had come before
    assert off(bench) == {**bench.files(), "/extra.txt": b"x"}
    bench.board.restart()


def test_the_board_starts_by_itself_when_the_pc_falls_silent(bench):
    boots = len(bench.board.boots)
    with port.board_at(bench.board.port) as transport:
        deploy.Prompt(transport, bench.board.port)
        bench.board.wait(lambda: 3 in bench.board.boots[boots:])


def test_the_token_is_nowhere_in_what_it_says(bench):
    done = bench.run("--wait", 0)
    assert bench.cloud.device_token not in done.stdout + done.stderr
    assert repr(deploy.Secrets(TOKEN, PASSWORD)) == "<secrets>"


def test_several_boards_side_by_side(bench, tmp_path):
    bench.write_node()
    with boards.board(serial="second") as second, boards.board(name="esp32", serial="third") as third:
        done = commands.run(
            *bench.command("--port", second.port, "--port", third.port, "--wait", 0, "--json"), timeout=90
        )
        outcomes = [json.loads(line) for line in done.stdout.splitlines()]
        assert done.returncode == 1
        assert [outcome["port"] for outcome in outcomes] == [bench.board.port, second.port, third.port]
        assert [outcome["error"] is None for outcome in outcomes] == [True, True, False]
        assert "is a Generic ESP32 module with ESP32, and node.toml is for pico_w" in outcomes[2]["error"]
        assert len({outcome["serial"] for outcome in outcomes}) == 3
        assert "3 boards: 2 deployed, 1 failed" in done.stderr


def test_all_ports_are_those_on_usb(bench, monkeypatch, capsys):
    monkeypatch.setattr(port, "on_usb", lambda: [bench.board.port])
    assert deploy.deploy(bench.node, [], all_ports=True, ca=bench.ca, wait=0) == 0
    assert f"{bench.board.port}: nothing to send" in capsys.readouterr().out
    monkeypatch.setattr(port, "on_usb", list)
    with pytest.raises(deploy.DeployError, match="no board is found on USB: plug them in, with cables that carry data"):
        deploy.deploy(bench.node, [], all_ports=True, ca=bench.ca)


# ---- what keeps it from deploying


def fails(bench: Rig) -> str:
    outcome = bench.job().run(bench.board.port, lambda *said: None)
    assert outcome.error
    return outcome.error


def test_the_flash_is_full(bench):
    bench.fresh()
    bench.board.board.power_cut()
    with image.mounted(bench.board.flash, bench.board.geometry) as files:
        free = files.block_count - files.used_block_count
    bench.fresh(more={"/mine": os.urandom((free - 8) * image.BLOCK)})
    bench.write_node("bme280", "bh1750")
    said = fails(bench)
    found = re.search(
        r"is too full: (\d+) KiB are needed and (\d+) KiB are free: remove files of your own from it", said
    )
    assert found and int(found[1]) > int(found[2])
    bench.fresh()


def test_the_flash_gets_full_while_it_is_written(bench, monkeypatch):
    def no_space(self, function, *arguments):
        if function == "put":
            raise TransportExecError(b"", "Traceback\nOSError: [Errno 28] ENOSPC\n")
        return whole(self, function, *arguments)

    whole = deploy.Prompt.call
    monkeypatch.setattr(deploy.Prompt, "call", no_space)
    bench.write_node(every=0.9)
    outcome = bench.job().run(bench.board.port, lambda *said: None)
    assert outcome.error and "is too full: " in outcome.error


@pytest.mark.parametrize(
    "function, answer, words",
    [
        ("end", "0" * 64, "did not arrive at PORT as it was sent: try another cable or USB port, and deploy again"),
        ("there", ["/agent/app.py"], "/agent/app.py on the board at PORT would be taken in place of what is deployed"),
        (
            "staged",
            ["commit"],
            "the board at PORT cannot finish the deployment before this one: look what boot.py prints",
        ),
        (
            "who",
            ["Raspberry Pi Pico with RP2040", "micropython", [1, 28, 0], 6, ""],
            "is a Raspberry Pi Pico with RP2040, and node.toml is for pico_w: if it is one, it has the MicroPython of "
            "a board without Wi-Fi: tagonode flash",
        ),
    ],
)
def test_what_the_board_answers(bench, monkeypatch, function, answer, words):
    whole = deploy.Prompt.call

    def call(self, asked, *arguments):
        return answer if asked == function else whole(self, asked, *arguments)

    monkeypatch.setattr(deploy.Prompt, "call", call)
    bench.write_node(every=0.8)
    outcome = bench.job().run(bench.board.port, lambda *said: None)
    assert outcome.error and words.replace("PORT", bench.board.port) in outcome.error


def test_what_is_on_the_board_afterwards_is_not_what_was_sent(bench, monkeypatch):
    monkeypatch.setattr(deploy.Prompt, "soft_reset", lambda self: None)
    bench.write_node(every=0.6)
    outcome = bench.job().run(bench.board.port, lambda *said: None)
    assert outcome.error and re.search(r"/\S+ is not on the board at \S+ as it was sent: deploy again", outcome.error)


def test_no_board(bench):
    done = commands.run(TAGONODE, "deploy", bench.node, "--port", "/dev/ttyNOWHERE9", "--ca", bench.ca, timeout=60)
    assert done.returncode == 1 and "there is no port /dev/ttyNOWHERE9: " in done.stdout


def test_the_port_is_in_use(bench):
    with port.board_at(bench.board.port):
        said = fails(bench)
    assert (
        said
        == f"{bench.board.port} is in use by another program: close it (a monitor, Thonny, mpremote), and try again"
    )


def test_no_permission(bench, monkeypatch):
    def refused(*arguments, **options):
        raise PermissionError

    monkeypatch.setattr(port.SerialTransport, "__init__", refused)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    outcome = bench.job().run(bench.board.port, lambda *said: None)
    assert outcome.error and re.search(r"no permission to open .*: join its group \(sudo usermod -aG", outcome.error)


@pytest.mark.parametrize(
    "secrets, words",
    [
        ("", "the node has no device token yet: run tagonode provision 'FOLDER/node.toml', or write token = "),
        (
            f'token = "{TOKEN}"\n',
            "there is no password for the Wi-Fi network 'field', 'barn': write wifi_password = \"…\" into "
            "FOLDER/secrets.toml, or set ",
        ),
        (
            f'token = "{TOKEN}"\n[wifi_passwords]\nfield = ""\n',
            "there is no password for the Wi-Fi network 'barn': write ",
        ),
    ],
    ids=["token", "Wi-Fi", "one of two"],
)
def test_secrets_that_are_missing(tmp_path, secrets, words):
    folder = tmp_path / "a node"
    folder.mkdir()
    (folder / "secrets.toml").write_text(secrets)
    with pytest.raises(deploy.DeployError) as caught:
        deploy.find_secrets(folder / "node.toml", two_networks())
    assert str(caught.value).startswith(words.replace("FOLDER", str(folder)))


def two_networks():
    return config.check(tomllib.loads(BASE.replace('["field"]', '["field", "barn"]')), "node.toml")


@pytest.mark.parametrize(
    "secrets, environment, passwords",
    [
        ('wifi_password = "all-1"\n', None, ["all-1", "all-1"]),
        ('wifi_password = ""\n', None, ["", ""]),
        ('wifi_password = "all-1"\n[wifi_passwords]\nbarn = "own-1"\n', None, ["all-1", "own-1"]),
        ('wifi_password = "all-1"\n[wifi_passwords]\nbarn = "own-1"\n', "env-1", ["env-1", "own-1"]),
        ('[wifi_passwords]\n"barn" = ""\nfield = "own-2"\n', None, ["own-2", ""]),
        ("", "", ["", ""]),
    ],
    ids=["one for all", "open networks", "one has its own", "the environment's for all", "each its own", "open by env"],
)
def test_wifi_passwords(tmp_path, monkeypatch, secrets, environment, passwords):
    monkeypatch.delenv(config.ENV_TOKEN, raising=False)
    monkeypatch.delenv(config.ENV_WIFI, raising=False)
    if environment is not None:
        monkeypatch.setenv(config.ENV_WIFI, environment)
    (tmp_path / "secrets.toml").write_text(f'token = "{TOKEN}"\n{secrets}')
    found = deploy.find_secrets(tmp_path / "node.toml", two_networks())("any serial")
    settings = two_networks().device_settings(found.token, found.wifi_passwords)
    assert settings["wifi.networks"] == [["field", passwords[0]], ["barn", passwords[1]]]


@pytest.mark.parametrize(
    "secrets, environment, mistake",
    [
        ("", {config.ENV_TOKEN: "a-token-1\n"}, "TAGONODE_TOKEN: holds a line break or another control character"),
        (
            '[wifi_passwords]\nbran = "own-1"\n',
            {},
            "secrets.toml:2: wifi_passwords: node.toml has no such network; did",
        ),
        ("wifi_password = 12345678\n", {}, "secrets.toml:1: wifi_password: has to be a text, in quotes"),
    ],
    ids=["of the environment", "of no network", "a number"],
)
def test_secrets_that_check_would_refuse_reach_no_board(tmp_path, monkeypatch, secrets, environment, mistake):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "secrets.toml").write_text(secrets)
    with pytest.raises(config.ConfigError) as caught:
        deploy.find_secrets(tmp_path / "node.toml", two_networks())
    assert mistake in str(caught.value) and "12345678" not in str(caught.value) and "own-1" not in str(caught.value)


def test_secrets_of_the_environment_come_first_and_an_open_network_has_none(tmp_path, monkeypatch):
    (tmp_path / "secrets.toml").write_text('token = "11111111-2222-3333-4444-555555555555"\nwifi_password = ""\n')
    monkeypatch.setenv(config.ENV_TOKEN, TOKEN)
    monkeypatch.setenv(config.ENV_WIFI, "")
    found = deploy.find_secrets(tmp_path / "node.toml", two_networks())("any serial")
    assert (found.token, found.wifi_passwords) == (TOKEN, {"field": "", "barn": ""})


def test_tokens_of_a_fleet(tmp_path, monkeypatch):
    monkeypatch.setenv(config.ENV_WIFI, PASSWORD)
    result = tmp_path / "result.csv"
    result.write_text(f"name,serial,device_id,token,result\none,E66A,1,{TOKEN},made\ntwo,,2,x,made\n")
    secrets = deploy.find_secrets(tmp_path / "node.toml", two_networks(), result)
    assert secrets("e66a").token == TOKEN
    with pytest.raises(
        deploy.DeployError, match="result.csv has the serial number e66b, which this board has: provision it"
    ):
        secrets("e66b")
    result.write_text("something else\n1\n")
    with pytest.raises(deploy.DeployError, match="is no result file of provision --csv: name that"):
        deploy.find_secrets(tmp_path / "node.toml", two_networks(), result)
    with pytest.raises(deploy.DeployError, match="No such file or directory: name the result file of provision --csv"):
        deploy.find_secrets(tmp_path / "node.toml", two_networks(), tmp_path / "nothing.csv")


BOARDS = [
    ("pico_w", "Raspberry Pi Pico W with RP2040"),
    ("pico2_w", "Raspberry Pi Pico 2 W with RP2350"),
    ("esp32", "Generic ESP32 module with ESP32"),
    ("esp32s3", "Generic ESP32S3 module with ESP32S3"),
    ("esp32c3", "Generic ESP32C3 module with ESP32C3"),
]


@pytest.mark.parametrize("wanted, machine", BOARDS)
def test_each_board_is_known_and_no_other_taken_for_it(wanted, machine):
    deploy.check_board(wanted, "PORT", machine, "micropython", [1, 24, 0], 6)
    for other, _ in BOARDS:
        if other != wanted:
            with pytest.raises(deploy.DeployError, match="connect the right board, or correct `board`"):
                deploy.check_board(other, "PORT", machine, "micropython", [1, 24, 0], 6)


OTHERS = {
    "the board at PORT runs circuitpython, no MicroPython: tagonode flash": {"implementation": "circuitpython"},
    "has MicroPython 1.23.0, and TagoNode needs 1.24 or newer: tagonode flash": {"version": [1, 23, 0]},
    "reads .mpy files of version 7, and these have 6: update TagoNode": {"version": [2, 1, 0], "mpy": 7},
    "it has the MicroPython of a board without Wi-Fi: tagonode flash": {"machine": "Raspberry Pi Pico with RP2040"},
    "PORT is a Generic ESP32C6 module with ESP32C6, and node": {"machine": "Generic ESP32C6 module with ESP32C6"},
}


@pytest.mark.parametrize("words", OTHERS)
def test_another_board_or_another_micropython(words):
    right = {"machine": BOARDS[0][1], "implementation": "micropython", "version": [1, 28, 0], "mpy": 6}
    deploy.check_board("pico_w", "PORT", **right)
    with pytest.raises(deploy.DeployError, match=re.escape(words)):
        deploy.check_board("pico_w", "PORT", **(right | OTHERS[words]))


@pytest.mark.parametrize("more", [(), ("--port", "PORT", "--all-ports")], ids=["none", "both"])
def test_wrong_use(bench, more):
    done = commands.run(TAGONODE, "deploy", bench.node, *more, timeout=60)
    assert (done.returncode, done.stderr) == (2, "give --port PORT, or --all-ports for every board on USB\n")


@pytest.mark.parametrize("wait", ["inf", "nan"])
def test_a_wait_that_is_no_time(bench, wait):
    done = commands.run(TAGONODE, "deploy", bench.node, "--port", "PORT", "--wait", wait, timeout=60)
    assert done.returncode == 2 and "--wait" in done.stderr and "Traceback" not in done.stderr


def test_a_port_that_is_named_twice(bench, tmp_path):
    (tmp_path / "link").symlink_to(bench.board.port)
    for name in (bench.board.port, tmp_path / "link"):
        done = commands.run(TAGONODE, "deploy", bench.node, "--port", bench.board.port, "--port", name, timeout=60)
        text = f"--port {name} is the same as --port {bench.board.port}: name each board once\n"
        assert (done.returncode, done.stderr) == (2, text)


# ---- waiting for the first delivery


def state(**values: object) -> str:
    return "@" + json.dumps({"samples": 3, "clock": 2, "error": "", "verdict": "", **values})


def waited(*events: object, seconds: float = 60) -> printed.StateLine:
    """Each event comes ten seconds after the one before."""
    moments = iter(range(0, 10000, 10))
    return deploy.wait_for_delivery(events, "PORT", seconds, lambda *said: None, lambda: next(moments))


def test_the_first_delivery_ends_the_waiting():
    found = waited("boot", state(), "1.000 info link: joined field", state(verdict="accepted", acknowledged=4))
    assert found.count("acknowledged") == 4


@pytest.mark.parametrize(
    "events, words",
    [
        ([None] * 9, "says nothing: press its reset button; tagonode monitor --port PORT"),
        (
            [state()] * 9,
            "works, but has delivered nothing after 60 s: tagonode monitor --port PORT shows how it goes on",
        ),
        (
            [state(error="unauthorised: Authorization denied", verdict="unauthorised"), state(verdict="accepted")],
            "delivers nothing: unauthorised: Authorization denied: give it a token that is valid: tagonode provision",
        ),
        (
            [state(error="misconfigured: redirected to elsewhere.example"), state(verdict="accepted")],
            "delivers nothing: misconfigured: redirected to elsewhere.example: correct [tagoio] in node.toml",
        ),
        ([state(error="unavailable: no connection")] * 9, "unavailable: no connection: nothing, if it passes"),
        (
            ["2.000 warning link: could not join field: wrong password"] * 9,
            "wrong password: check the network's password",
        ),
        (
            [
                "Traceback (most recent call last):",
                '  File "agent.app"',
                "ValueError: no settings",
                "TagoNode could not go on",
            ],
            "the node at PORT cannot start: ValueError: no settings: report it",
        ),
        (["TagoNode could not go on"], "the node at PORT cannot start: it does not say why"),
    ],
)
def test_no_delivery(events, words):
    with pytest.raises(deploy.DeployError, match=re.escape(words)):
        waited(*events)


def test_an_error_that_passes_is_waited_out():
    assert waited(state(error="unavailable: no connection"), None, state(verdict="accepted with warning"))


def test_it_waits_as_long_as_the_intervals_make_it():
    assert deploy.patience_s({"sample.every": 60000, "upload.every": 300000}) == 420


# ---- the journal


def test_the_journal_moves_then_removes_boot_and_manifest_last():
    files = ["/manifest.json", "/boot.py", "/lib/a/x.mpy", "/agent/app.mpy"]
    lines = deploy.journal(files, ["/lib/b/deep/y.mpy", "/lib/a/z.mpy"], files)
    assert lines == [
        *("+/agent/app.mpy", "+/lib/a/x.mpy", "+/boot.py", "+/manifest.json"),
        *("-/lib/a/z.mpy", "-/lib/b/deep/y.mpy", "-/lib/b/deep", "-/lib/b"),
    ]
