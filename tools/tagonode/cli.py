"""The command line: options and their help. The work is done in the module of each command's name."""

import math
import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from tagonode import places

app = typer.Typer(
    help="Sensor nodes for TagoIO: try them on this PC, build them, put them on boards.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _main() -> None:
    pass


@app.command(epilog="Example: tagonode new greenhouse --yes --board esp32 --sensor bme280 --sensor battery")
def new(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to; made when it is not there.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask: take the defaults.")] = False,
    board: Annotated[str | None, typer.Option(help=f"Board: {', '.join(places.boards())}.")] = None,
    region: Annotated[
        str | None, typer.Option(help="TagoIO region, us-e1 or eu-w1, or https://HOST of a server of your own.")
    ] = None,
    wifi: Annotated[str | None, typer.Option(metavar="NAME", help="The Wi-Fi network's name.")] = None,
    sensor: Annotated[list[str] | None, typer.Option(metavar="NAME", help="A sensor's driver; again for more.")] = None,
) -> None:
    """Write a commented node.toml, a secrets.toml to be filled in, and what editors complete by.

    Asks for what is not given. Never overwrites a file. Exit status: 0 written, 1 not, 2 wrong use.
    """
    from tagonode.new import Answers, NewError, WrongUse
    from tagonode.new import new as run

    try:
        status = run(folder, Answers(board, region, wifi, sensor), yes)
    except WrongUse as error:
        _wrong_use(str(error))
    except typer.Abort as left:
        if isinstance(left.__context__, KeyboardInterrupt):
            _stopped("nothing was written")
        raise
    except NewError as error:
        _fail(error)
    raise typer.Exit(status)


@app.command(epilog="Example: tagonode check greenhouse/node.toml")
def check(
    config: Annotated[Path, typer.Argument(help="A node.toml; secrets.toml beside it is looked at, too.")],
    json: Annotated[bool, typer.Option("--json", help="One line of JSON on stdout.")] = False,
) -> None:
    """Every mistake of a config with file and line; records, requests, bytes, flash life and outage it comes to.

    Exit status: 0 no mistake, 1 mistakes, 2 wrong use.
    """
    from tagonode.check import check as run

    raise typer.Exit(run(config, json))


@app.command(epilog="Example: tagonode build greenhouse/node.toml --out build")
def build(
    config: Annotated[Path, typer.Argument(help="A node.toml.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to: a new or empty folder, or that of a build.")],
    ca: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.pem",
            help="Root certificate(s) that the node is to trust; left out: those of the server's chain, as it is now, "
            "and the likely next ones.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON on stdout in place of the tables.")] = False,
) -> None:
    """Make all files of a node, as they lie on its board, but for its secrets. Two builds are byte-identical.

    Asks the server for its certificates, unless --ca names them. Exit status: 0 built, 1 not, 2 wrong use.
    """
    from tagonode.build import BuildError
    from tagonode.build import build as run

    try:
        status = run(config, out, ca, json)
    except BuildError as error:
        _fail(error)
    raise typer.Exit(status)


@app.command(
    epilog="Example: tagonode provision greenhouse/node.toml --name greenhouse --serial SN0001",
)
def provision(
    config: Annotated[Path, typer.Argument(help="A node.toml; the token is written into secrets.toml beside it.")],
    name: Annotated[
        str | None, typer.Option(help="The device's name at TagoIO; left out: that of the config's folder.")
    ] = None,
    serial: Annotated[str | None, typer.Option(help="The node's serial number: it is looked up by this first.")] = None,
    csv: Annotated[
        Path | None,
        typer.Option(metavar="FLEET.csv", help="Many nodes: columns name, serial; every other column is a tag."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="RESULT.csv", help="With --csv: ids and tokens go here; it goes on where it was cut."),
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Another server than the config's: for practice, tagonode cloud's.")
    ] = None,
    ca: Annotated[Path | None, typer.Option(metavar="FILE.pem", help="Trust this CA in place of public ones.")] = None,
    mutable: Annotated[
        bool, typer.Option("--mutable", help="Make mutable devices: their records can be edited; full at 50,000.")
    ] = False,
    chunk_period: Annotated[
        str | None,
        typer.Option(metavar="day|week|month|quarter", help="Of immutable devices; left out: by the config's records."),
    ] = None,
    chunk_retention: Annotated[
        int | None, typer.Option(metavar="N", help="How many of these periods are kept; left out: the most.")
    ] = None,
    network: Annotated[str | None, typer.Option(metavar="ID", help="TagoIO network; left out: HTTPS.")] = None,
    connector: Annotated[str | None, typer.Option(metavar="ID", help="Connector; left out: Custom HTTPS.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON on stdout; without tokens.")] = False,
) -> None:
    """Make a node's device at TagoIO, or find it, and keep its token; with --csv those of a fleet.

    The account token comes from the environment variable TAGOIO_ACCOUNT_TOKEN alone. A second run changes nothing; an
    interrupted one goes on. Exit status: 0 done, 1 not all of it, 2 wrong use, 130 stopped by Ctrl-C.
    """
    from tagonode.account import AccountError, NoToken
    from tagonode.fleet import FleetError
    from tagonode.provision import CONNECTOR, NETWORK, Options, ProvisionError, WrongUse
    from tagonode.provision import provision as run

    try:
        status = run(
            Options(
                config=config,
                name=name,
                serial=serial,
                csv=csv,
                out=out,
                url=url,
                ca=ca,
                mutable=mutable,
                chunk_period=chunk_period,
                chunk_retention=chunk_retention,
                network=network or NETWORK,
                connector=connector or CONNECTOR,
                yes=yes,
                json=json,
            )
        )
    except (WrongUse, NoToken) as error:
        _wrong_use(str(error))
    except (ProvisionError, AccountError, FleetError) as error:
        _fail(error)
    except KeyboardInterrupt:
        _stopped("run it again to go on")
    raise typer.Exit(status)


@app.command(
    epilog="Example: tagonode flash --board pico_w --image RPI_PICO_W-20251209-v1.27.0.uf2",
)
def flash(
    port: Annotated[str | None, typer.Option(help="The board's serial port; left out: the one board there is.")] = None,
    drive: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where the drive of a Pico's bootloader is mounted.")
    ] = None,
    board: Annotated[str | None, typer.Option(help="Which board it is; left out: as it says itself.")] = None,
    image: Annotated[
        str | None, typer.Option(metavar="FILE|URL", help="MicroPython: a .uf2 or .bin, or its https URL.")
    ] = None,
    sha256: Annotated[str | None, typer.Option(metavar="HEX", help="What the image's SHA-256 has to be.")] = None,
    erase: Annotated[bool, typer.Option("--erase", help="Erase the whole board first, its queue, too.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Put MicroPython on a board: ESP32 by its serial port, Pico by the drive that comes with BOOTSEL held.

    Without --image it says where to get one. Exit status: 0 written, 1 not, 2 wrong use.
    """
    from tagonode.firmware_image import ImageError
    from tagonode.flash import FlashError, Options, WrongUse
    from tagonode.flash import flash as run
    from tagonode.port import PortError

    try:
        status = run(Options(port, drive, board, image, sha256, erase, yes))
    except WrongUse as error:
        _wrong_use(str(error))
    except (FlashError, ImageError, PortError) as error:
        _fail(error)
    raise typer.Exit(status)


@app.command(
    epilog="Example: tagonode deploy greenhouse/node.toml --port /dev/ttyACM0",
)
def deploy(
    config: Annotated[Path, typer.Argument(help="A node.toml.")],
    port: Annotated[
        list[str] | None, typer.Option(metavar="PORT", help="The board's serial port; several for several boards.")
    ] = None,
    all_ports: Annotated[
        bool,
        typer.Option("--all-ports", help="Every board that is on USB, side by side."),
    ] = False,
    ca: Annotated[
        Path | None, typer.Option(metavar="FILE.pem", help="Root certificate(s) to trust, as for `tagonode build`.")
    ] = None,
    fleet: Annotated[
        Path | None,
        typer.Option(
            metavar="RESULT.csv",
            help="Tokens of several boards: the result file of `tagonode provision --csv`, by serial number.",
        ),
    ] = None,
    wait: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            min=0,
            help="Seconds to wait for the first delivered reading; 0: not at all; left out: as long as node.toml's "
            "intervals make it, and a minute.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON a board on stdout.")] = False,
) -> None:
    """Put a node on its board: MicroPython is there already (tagonode flash), the board is on a serial port.

    Sends the files that differ, and switches to them at once: whenever it is interrupted, the board has the old version
    or the new one. The token and the Wi-Fi password come from secrets.toml beside node.toml, or the environment. The
    queue stays; boot.py and main.py of another program are replaced.
    Exit status: 0 the board delivers, 1 it does not, 2 wrong use.
    """
    from tagonode.build import BuildError
    from tagonode.deploy import DeployError
    from tagonode.deploy import deploy as run

    if bool(port) == all_ports:
        _wrong_use("give --port PORT, or --all-ports for every board on USB")
    if wait is not None and not math.isfinite(wait):
        _wrong_use(f"--wait {wait}: give a number of seconds, 0 for not at all")
    seen: dict[str, str] = {}
    for each in port or []:
        other = seen.setdefault(os.path.realpath(each), each)
        if other is not each:
            _wrong_use(f"--port {each} is the same as --port {other}: name each board once")
    try:
        status = run(config, port or [], all_ports, ca, wait, json, fleet)
    except (BuildError, DeployError) as error:
        _fail(error)
    raise typer.Exit(status)


@app.command(epilog="Example: tagonode monitor --port /dev/ttyACM0 --plot temperature")
def monitor(
    port: Annotated[str, typer.Option(help="The board's serial port.")],
    plot: Annotated[
        str | None,
        typer.Option(metavar="VAR", help="Draw this variable; the node prints its readings with log level debug."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line, in place of text.")] = False,
) -> None:
    """Follow a running board: its log, its state, what to do about its errors. Only listens; Ctrl-C ends it.

    A board that restarts, or whose cable is pulled, is waited for; a /dev/pts port is not, as another program may get
    its name. Exit status: 0, 1 no board, 2 wrong use.
    """
    from tagonode.monitor import monitor as run
    from tagonode.port import PortError

    try:
        status = run(port, plot, json)
    except PortError as error:
        _fail(error)
    raise typer.Exit(status)


@app.command(epilog="Example: tagonode scan --port /dev/ttyACM0")
def scan(
    port: Annotated[str, typer.Option(help="The board's serial port.")],
    board: Annotated[
        str | None,
        typer.Option(help=f"Which board it is, before it has been deployed to: {', '.join(places.boards())}."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One line of JSON on stdout in place of the table.")] = False,
) -> None:
    """List the chips on a connected board's I2C buses, with the lines of node.toml that name them.

    Interrupts the program that runs on the board, and starts the board again afterwards.
    Exit status: 0 chips found, 1 none, or no board, 2 wrong use.
    """
    from tagonode.port import PortError
    from tagonode.scan import ScanError
    from tagonode.scan import scan as run

    try:
        status = run(port, board, json)
    except ScanError as error:
        _wrong_use(str(error))
    except PortError as error:
        sys.stderr.write(f"{error}\n")
        status = 1
    raise typer.Exit(status)


@app.command(epilog="Example: tagonode spool --port /dev/ttyACM0 --save queue-of-node-7")
def spool(
    path: Annotated[
        Path | None, typer.Argument(help="A flash image, a copy of a board's folder /queue, or one segment.")
    ] = None,
    port: Annotated[
        str | None, typer.Option(help="Copy the queue of the board on this serial port; interrupts its program.")
    ] = None,
    save: Annotated[Path | None, typer.Option(metavar="FOLDER", help="With --port: keep the copy here.")] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON lines instead of a table.")] = False,
) -> None:
    """What is in a node's queue: readings, quarantined ones, damage, the books.

    Reads the format as lib/spool/FORMAT.md describes it, on its own: nothing of the device's code is used.
    Exit status: 0 read, 1 not, 2 wrong use.
    """
    if (path is None) == (port is None):
        _wrong_use("give PATH, or --port PORT for a connected board: one of them")
    if save is not None and port is None:
        _wrong_use("--save goes with --port: what is at PATH is a copy already")
    if path is not None:
        from tagonode.spoolreader import show

        raise typer.Exit(show(path, json))
    from tagonode.port import PortError
    from tagonode.spool import SpoolError, of_board

    try:
        status = of_board(port or "", save, json)
    except (PortError, SpoolError) as error:
        _fail(error)
    raise typer.Exit(status)


@app.command(
    epilog="Example: tagonode simulate --samples 20 --sample-every 0.2 --upload-every 1",
)
def simulate(
    config: Annotated[
        Path | None,
        typer.Argument(help="A node.toml; left out: BME280, battery and Wi-Fi signal on a Pico W."),
    ] = None,
    nodes: Annotated[int, typer.Option(min=1, max=1000, help="How many nodes to run.")] = 1,
    board: Annotated[str | None, typer.Option(help=f"Board to stand for: {', '.join(places.boards())}.")] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="Stop after so many samples a node.")] = None,
    seconds: Annotated[
        float | None, typer.Option("--for", metavar="SECONDS", min=0.001, help="Stop sampling after so many seconds.")
    ] = None,
    sample_every: Annotated[float | None, typer.Option(metavar="S", help="Seconds between samples.")] = None,
    upload_every: Annotated[
        float | None, typer.Option(metavar="S", help="Seconds between uploads; 0: after every sample.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="Send to this server instead of a local TagoIO.")] = None,
    token: Annotated[str | None, typer.Option(help="Device token for --url.")] = None,
    ca: Annotated[Path | None, typer.Option(metavar="FILE.pem", help="Root certificate(s) for --url.")] = None,
    heap: Annotated[
        int | None,
        typer.Option(metavar="KIB", min=64, max=65536, help="The board's heap; left out: the board's own."),
    ] = None,
    flash: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Keep the node's flash in this file; a second run goes on, and so do its books.",
        ),
    ] = None,
    drain: Annotated[
        float,
        typer.Option(metavar="S", min=0, help="How long to wait for the queue to empty after the last sample."),
    ] = 60.0,
    terminal: Annotated[
        bool,
        typer.Option(
            "--terminal",
            help="Give each node a serial port, and say which: `mpremote connect PORT` finds there what it finds on a "
            "board. What is interrupted starts again by its watchdog.",
        ),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="End with one line of JSON on stdout.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show what the nodes print.")] = False,
) -> None:
    """Run virtual nodes: real MicroPython, littlefs and TLS on simulated hardware.

    Without options: one Pico W that samples and sends to a local TagoIO until Ctrl-C.
    Exit status: 0 every reading delivered, 1 not, 2 wrong use.
    """
    from tagonode.simulate import Options
    from tagonode.simulate import simulate as run

    if samples is not None and seconds is not None:
        _wrong_use("--samples and --for exclude each other: give one of them")
    if url is None and (token or ca):
        _wrong_use("--token and --ca go with --url: give the server's URL, or leave them out")
    raise typer.Exit(
        run(
            Options(
                config=config,
                nodes=nodes,
                board=board,
                samples=samples,
                seconds=seconds,
                sample_every=sample_every,
                upload_every=upload_every,
                url=url,
                token=token,
                ca=ca,
                heap=heap,
                flash=flash,
                drain=drain,
                terminal=terminal,
                json=json,
                verbose=verbose,
            )
        )
    )


@app.command(epilog="Example: tagonode cloud --port 8443 --db bench.db")
def cloud(
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port; 0 for any free one.")] = 0,
    db: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep data, tokens and CA in and beside this file.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            help="Requests a minute that POST /data and GET /data take each, all devices together; more are answered "
            "429. TagoIO's free plan has 250; left out: any number.",
        ),
    ] = None,
    plan: Annotated[
        str | None,
        typer.Option(
            metavar="free|starter|scale",
            help="Take what this plan of TagoIO's takes: requests a minute of every route, and devices.",
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            help="Where to listen: 0.0.0.0 opens it to the networks this machine is in, so that boards can reach it; "
            "the page then needs the key in its address."
        ),
    ] = "127.0.0.1",
    page_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="TCP port of the live page; left out: 8090, or any where that is taken."),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="First line: url, ca, account_token, device_token, page as JSON.")
    ] = False,
) -> None:
    """A local TagoIO for the bench, with a live page: HTTPS with its own CA, SQLite, NTP. Runs until Ctrl-C.

    It stands in for TagoIO while you develop; a fleet belongs on TagoIO's own cloud.
    """
    if plan not in (None, "free", "starter", "scale"):
        _wrong_use(f"--plan {plan}: choose one of free, starter, scale")
    from tagonode.cloud.command import start_cloud_command

    raise typer.Exit(start_cloud_command(port, db, json, limit, host, page_port, plan))


def _fail(error: Exception) -> NoReturn:
    sys.stderr.write(f"{error}\n")
    raise typer.Exit(1)


def _stopped(remedy: str) -> NoReturn:
    """By Ctrl-C, with the exit status that shells know for it."""
    sys.stderr.write(f"stopped: {remedy}\n")
    raise typer.Exit(130)


def _wrong_use(text: str) -> NoReturn:
    sys.stderr.write(text + "\n")
    raise typer.Exit(2)


def main() -> None:
    """Entry point: errors that name their remedy come out as plain lines, with exit status 2."""
    try:
        app()
    except BrokenPipeError:
        sys.exit(1)
    except Exception as error:
        # only now: what these modules load takes longer than many a command
        from tagonode.build import BuildError
        from tagonode.config import ConfigError
        from tagonode.simulate import SimulateError

        if not isinstance(error, (BuildError, ConfigError, SimulateError)):
            raise
        problems = error.problems if isinstance(error, ConfigError) else [str(error)]
        sys.stderr.write("".join(f"{problem}\n" for problem in problems))
        sys.exit(2)


if __name__ == "__main__":
    main()
