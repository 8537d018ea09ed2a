"""Puts a node together from its settings. Used once at boot and then dropped, so that its code costs no heap: nothing
that outlives it may be defined here, for a function keeps its whole module alive.
"""

import gc
import sys
from time import ticks_ms

import drivers
from agent import settings
from agent.app import Node, roots
from agent.clock import Clock
from agent.link import Link
from agent.log import Log
from agent.sampler import Sampler, Sensor
from agent.uplink import BUFFER, Uplink
from session.client import Deadlines, Session
from session.resolver import Resolver
from spool import Spool

# not /spool: a folder of that name would hide the package, since / comes first on the search path
_QUEUE = "/queue"


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


def load_pipeline(config: dict, log):
    """What the settings do with readings before they are stored, None when that is nothing."""
    rows = []
    for sensor in config["sensors"]:
        rows.extend(sensor["channels"])
    derived = config.get("derived", ())
    if not derived and all([len(row) < 4 for row in rows]):
        return None
    from agent.pipeline import Pipeline

    return Pipeline(rows, derived, log)


def assemble() -> Node:
    """The node that this board's settings describe, ready to run. Raises ValueError or ImportError, saying what for."""
    journal = Log()
    config = settings.load(journal)
    journal.set_level(config["log.level"])
    board = load_board(config["board"])
    clock = Clock(config["build.time"], board.set_rtc, journal)
    journal.mono = clock.mono
    link = Link(board, config["wifi.networks"], journal)
    # what needs large pieces of the heap comes first, while it is in one piece
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
    buffer = bytearray(BUFFER)
    sensors = [load_sensor(row, board) for row in config["sensors"]]
    gc.collect()
    pipeline = load_pipeline(config, journal)
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
    node = Node(config, board, journal, clock, link, spool)
    uplink = Uplink(spool, session, clock, link, config, node.status, journal, board.unique_id(), buffer)
    every, samples, time_ms = config["sample.every"], config["run.samples"], config["run.time"]
    node.attach(
        resolver, uplink, Sampler(sensors, spool, clock, every, samples, time_ms, journal, node.committed, pipeline)
    )
    journal.info("app", "TagoNode on %s, %d readings queued" % (config["board"], spool.queued))
    return node
