"""Puts a node together from its settings. Used once at boot and then dropped, so that its code costs no heap: nothing
that outlives it may be defined here, for a function keeps its whole module alive.
"""

import gc
import os
import sys
from time import ticks_ms

from micropython import const

import drivers
from agent import settings
from agent.app import Node, roots
from agent.clock import Clock
from agent.log import Log
from agent.notes import Notes
from agent.sampler import Sampler, Sensor
from spool import Spool

# not /spool: a folder of that name would hide the package, since / comes first on the search path
_QUEUE = "/queue"
_SAFE_AFTER = const(5)  # crashes


def load_board(name: str):
    """The module boards/<name>.py."""
    module = "boards." + name
    __import__(module)
    return sys.modules[module]


def load_sensor(row: dict, board) -> Sensor:
    """The sensor that a row of the settings describes: {"driver", "bus", "address"?, "every"?, "options"?, "channels"}.

    Its module is imported here, so a driver that is not on the board raises ImportError now and not in a year.
    """
    name = row["driver"]
    driver = drivers.driver_class(name)
    channels = tuple([tuple(channel[:3]) for channel in row["channels"]])
    kind: type = Sensor
    if getattr(driver, "COUNTS", False):
        from agent.totals import Counter as kind
    return kind(name, driver, board, row["bus"], row.get("address"), channels, row.get("every", 0), row.get("options"))


def load_pipeline(config: dict, log, health=None):
    """What the settings do with readings before they are stored, None when that is nothing."""
    rows = []
    for sensor in config["sensors"]:
        rows.extend(sensor["channels"])
    if health:
        rows.extend(health.channels)
    derived = config.get("derived", ())
    if not derived and all([len(row) < 4 for row in rows]):
        return None
    from agent.pipeline import Pipeline

    return Pipeline(rows, derived, log)


def load_settle(config: dict):
    """What switches the radio on as the settings want it, None when MicroPython's way will do."""
    for name in ("country", "hostname", "address"):
        if config["wifi." + name]:
            break
    else:
        if config["wifi.power_save"] == "auto":
            return None
    from boards._wifi import Wifi

    return Wifi(config).settle


def why(board):
    """(why the board started, how often it has crashed since it was healthy)."""
    cause = board.reset_cause()
    try:
        os.stat("/crashes")  # of agent.crash, which is loaded only when there is something to count
    except OSError:
        if cause != "watchdog":
            return cause, 0
    from agent import crash

    return crash.started(cause)


def load_events(config: dict, node):
    """What tells TagoIO of things that happen."""
    from agent.events import Events

    secrets = [config["tagoio.token"]]
    secrets.extend([row[1] for row in config["wifi.networks"]])
    events = node.events = Events(node.clock, node.spool.tag, secrets, node.log)
    node.uplink.errands.append(events.send)
    node.uplink.flush.set()


def load_remote(config: dict, node):
    """What takes remote settings."""
    if not config["remote.every"]:
        return
    from agent.remote import Remote

    stage = config.get("remote.stage", "")
    remote = node.remote = Remote(node, config["remote.every"], config["upload.every"], stage)
    node.uplink.errands.append(remote.errand)
    node.uplink.rescue = remote.errand
    node.uplink.until_errand = remote.until_due
    if stage:
        node.uplink.flush.set()  # there is something to confirm, or to tell


def reach(config: dict, board, journal, clock, notes) -> tuple:
    """(link, resolver, session, buffer): of the way to TagoIO what needs large pieces of the heap."""
    from agent.link import Link
    from agent.uplink import BUFFER
    from session.client import Deadlines, Session
    from session.resolver import Resolver

    link = Link(board, config["wifi.networks"], journal, clock.mono, notes, load_settle(config))
    patience = config["upload.patience"]
    resolver = Resolver(link.name_servers, patience // 10)
    verified = config["tagoio.ssl"]
    session = Session(
        config["tagoio.host"], config["tagoio.port"], roots if verified else None, resolver, Deadlines(patience)
    )
    try:
        if verified:
            session.trust()
        else:
            journal.warning("uplink", "tagoio.ssl is false: token and readings travel in the open")
    except (OSError, ValueError) as error:
        journal.error("uplink", str(error))  # every attempt will say so again; sampling goes on
    return link, resolver, session, bytearray(BUFFER)


def join(node, config: dict, notes, link, resolver, session, buffer) -> None:
    """The rest of that way."""
    from agent.uplink import Uplink

    board, journal = node.board, node.log
    unique_id = board.unique_id()
    uplink = Uplink(node.spool, session, node.clock, link, config, node.status, journal, unique_id, buffer, notes)
    node.attach(link, resolver, uplink, session)
    if config["health.every"]:
        load_events(config, node)
    load_remote(config, node)


def assemble() -> Node:
    """The node that this board's settings describe, ready to run. Raises ValueError or ImportError, saying what for."""
    journal = Log()
    config = settings.load(journal, settings.FILES, load_board)
    journal.set_level(config["log.level"])
    journal.keep(config["log.keep"])
    board = load_board(config["board"])
    cause, crashes = why(board)
    notes = Notes()
    sleeps = config["duty.on"] and crashes < _SAFE_AFTER
    kept = parts = None
    if sleeps:
        from agent import duty

        kept = duty.recall(board, cause)
    clock = Clock(config["build.time"], bool if kept else board.set_rtc, journal, notes)
    journal.mono = clock.mono
    if kept:
        cause = kept["cause"]
        duty.resume(clock, board, kept)
    if not kept or duty.due(kept, clock.mono()):
        # what needs large pieces of the heap comes first, while it is in one piece
        parts = reach(config, board, journal, clock, notes)
    version = sys.implementation.version
    about = "started by %s: TagoNode %s on %s, MicroPython %d.%d.%d" % (
        cause, config.get("build.version", "?"), config["board"], version[0], version[1], version[2]
    )  # fmt: skip
    if crashes >= _SAFE_AFTER:
        from agent.safe import SafeNode

        link, resolver, session, buffer = parts
        safe = SafeNode(config, board, journal, clock, link, session, resolver, buffer, cause, crashes)
        load_events(config, safe)
        load_remote(config, safe)
        safe.events.add("event", about)
        safe.events.add("event", safe.said)
        return safe
    sensors: list = [load_sensor(row, board) for row in config["sensors"]]
    health = None
    if config["health.every"]:
        from agent.health import Health

        taken = []
        for sensor in sensors:
            taken.extend([channel[0] for channel in sensor.channels])
        health = Health(config["health.every"], taken)
        sensors.append(health)
    gc.collect()
    pipeline = load_pipeline(config, journal, health)
    channels = []
    for sensor in sensors:
        channels.extend(sensor.channels)
    if pipeline:
        channels = pipeline.channels
    spool = Spool(
        _QUEUE,
        tuple(channels),
        limit=config["queue.bytes"],
        policy=config["queue.policy"],
        commit_samples=config["queue.commit_samples"],
        commit_ms=config["queue.commit_every"],
        ticks=ticks_ms,
        every=config["sample.every"],
        log=journal.spool,
    )
    node: Node
    if sleeps:
        node = duty.DutyNode(config, board, journal, clock, spool, cause, crashes, notes, health, pipeline)
    else:
        node = Node(config, board, journal, clock, spool, cause, crashes)
    every, samples, time_ms = config["sample.every"], config["run.samples"], config["run.time"]
    node.sampler = Sampler(sensors, spool, clock, every, samples, time_ms, journal, node.committed, pipeline)
    if health:
        health.node = node
    if kept:
        duty.recover(node, kept)
    if parts:
        join(node, config, notes, *parts)
    if kept:
        return node
    if health:
        node.events.add("event", about)
    if cause == "watchdog":
        node.crashed("reset by the watchdog: something blocked, or a task gave no sign of life")
    journal.info("app", "%s; %d readings queued" % (about, spool.queued))
    return node
