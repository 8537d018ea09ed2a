"""From nothing to a node that delivers and back with a change, by the commands themselves and the real mpremote, on a
virtual board's serial port and a local TagoIO."""

import json
import os
import re
import subprocess

import pytest
from deployrig import PASSWORD, TAGONODE, Rig, rig
from harness import commands
from tagonode import build

DEVICE = "end to end"


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    with rig(tmp_path_factory.mktemp("rig")) as made:
        yield made


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    done = commands.run(TAGONODE, *arguments, timeout=120, env={**os.environ, **environment})
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def edit(path, *changes: tuple[str, str]) -> None:
    """As somebody does in an editor: each pattern is found once."""
    text = path.read_text()
    for pattern, new in changes:
        text, found = re.subn(pattern, new, text, flags=re.MULTILINE)
        assert found == 1, pattern
    path.write_text(text)


def test_new_check_build_provision_deploy_monitor_change_deploy(bench: Rig, tmp_path):
    cloud, board, folder = bench.cloud, bench.board, tmp_path / "greenhouse"
    node = folder / "node.toml"
    run("new", folder, "--yes", "--board", "pico_w", "--wifi", "field", "--sensor", "bme280", "--region", cloud.url)
    edit(
        node,
        (r"^every = 60 .*", "every = 0.5"),
        (r"^every = 300 .*", "every = 1"),
        (r"^# servers = .*", f'servers = ["{cloud.ntp_address}"]'),
    )
    run("check", node)
    run("build", node, "--out", tmp_path / "out", "--ca", bench.ca)
    manifest = json.loads((tmp_path / "out/manifest.json").read_bytes())["files"]

    account = {"TAGOIO_ACCOUNT_TOKEN": cloud.account_token}
    run("provision", node, "--name", DEVICE, "--url", cloud.url, "--ca", bench.ca, "--yes", **account)
    edit(folder / "secrets.toml", ("^# wifi_password = .*", f'wifi_password = "{PASSWORD}"'))
    token = re.search('^token = "(.+)"', (folder / "secrets.toml").read_text(), re.MULTILINE)
    assert token and token[1] != cloud.device_token

    def deploy() -> dict:
        done = run("deploy", node, "--port", board.port, "--ca", bench.ca, "--json")
        assert token[1] not in done.stdout + done.stderr
        return json.loads(done.stdout)

    first = deploy()
    assert first["sent"] == len(manifest) + 1 and "temperature" in first["delivered"]
    variables = {record["variable"] for record in cloud.records(token[1])}
    assert {"temperature", "humidity", "pressure"} <= variables and cloud.connections > 0

    # somebody looks on, and the board is left alone
    boots = len(board.boots)
    with subprocess.Popen([TAGONODE, "monitor", "--port", board.port], stdout=subprocess.PIPE, text=True) as monitor:
        lines = commands.lines(monitor.stdout)
        assert any("acknowledged" in line for line in lines)
        monitor.terminate()
    assert len(board.boots) == boots

    # what lies there is what was built, as the real mpremote sees it
    paths = [path for path in manifest if path.startswith(("/agent", "/boot", "/main", "/roots"))]
    seen = board.mpremote("sha256sum", *(f":{path}" for path in paths))
    assert re.findall("[0-9a-f]{64}", seen.stdout) == [manifest[path]["sha256"] for path in paths]

    edit(node, (r"^every = 0.5", "every = 0.4"))
    node.write_text(node.read_text() + '[[sensors]]\ndriver = "bh1750"\nbus = "i2c0"\n')
    second = deploy()
    # the interval and another sensor: settings, twice, its driver, the manifest
    assert second["sent"] == 4 and second["removed"] == 0 and second["delivered"]
    board.board.power_cut()
    flash = bench.flash()
    wanted = build.make(node, bench.ca).files(token[1], PASSWORD)
    assert {path: flash.get(path) for path in wanted} == wanted
    since = len(board.lines)
    board.board.power_on()
    board.wait(lambda: any(state["this_run"] and not state["queued"] for state in bench.states(since)))
    assert any(record["variable"] == "illuminance" for record in cloud.records(token[1]))


def test_the_real_mpremote_puts_a_build_on_a_board(bench: Rig, tmp_path):
    """Its folder is a board's root as it is: what deploy adds are the secrets."""
    bench.board.board.power_cut()
    bench.board.flash.unlink()
    bench.board.restart()
    bench.write_node()
    build.write(build.make(bench.node, bench.ca), tmp_path / "out")
    done = bench.board.mpremote("fs", "cp", "-r", f"{tmp_path / 'out'}/.", ":")
    assert done.returncode == 0, done.output
    result = bench.deployed(60)
    assert result.sent == 3 and result.delivered  # both copies of the settings, and the manifest
    bench.board.board.power_cut()
    assert bench.version() == bench.files()


@pytest.mark.parametrize("name", ["esp32", "pico2_w"])
def test_another_board(name, tmp_path):
    with rig(tmp_path, name) as bench:
        assert bench.deployed(60).delivered
        bench.board.board.power_cut()
        assert bench.version() == bench.files()
