"""The link: what comes next (Joining), and what a port's radio may do to who does it (Link)."""

import sys

from agentworld import Console, Enough, Pulse

import pytest
from agent import joining as rules
from agent import link, scan
from agent.log import Log
from agent.notes import Notes
from agent.settings import Secret

PASSWORD = "PASSWORD-5678"


class Radio:
    """network.WLAN: each network is a number of looks until it has joined, a negative status, or an exception.

    rssi: {network: dBm} of what can be heard.
    """

    def __init__(self, **networks):
        self.networks = networks
        self.rssi = {}
        self.scans = 0
        self.calls = []
        self.keys = []
        self.on = False
        self.ssid = None
        self.looks = 0

    def active(self, on):
        self.on = on
        self.calls.append("on" if on else "off")
        self.ssid = None

    def connect(self, ssid, key):
        assert self.on
        self.calls.append(ssid)
        self.keys.append(key)
        self.looks = 0
        what = self.networks[ssid]
        if isinstance(what, Exception):
            raise what
        self.ssid = ssid

    def disconnect(self):
        self.ssid = None
        if self.networks.get("disconnect"):
            raise self.networks["disconnect"]

    def isconnected(self):
        self.looks += 1
        return self.ssid is not None and 0 <= self.networks[self.ssid] < self.looks

    def status(self, what=None):
        if what == "rssi":
            return self.rssi[self.ssid]
        return min(self.networks.get(self.ssid, 0), 1)

    def scan(self):
        self.scans += 1
        return [(ssid.encode(), b"", 6, rssi, 4, 0) for ssid, rssi in self.rssi.items()]

    def ifconfig(self):
        return ("10.0.0.7", "255.255.255.0", "10.0.0.1", "10.0.0.1")


class Board:
    WIFI_WAITS = (0, 1)

    def __init__(self, radio):
        self.radio = radio
        self.resets = 0

    def wifi(self):
        return self.radio

    def wifi_off(self):
        self.radio.calls.append("deinit")

    def reset(self):
        raise Enough("reset")

    def wifi_problem(self, status):
        return "status " + str(status)


class Made:
    """A link over a radio with these networks. at_sleep(made, ms) is called when the link sleeps."""

    def __init__(self, radio, at_sleep, notes=None):
        self.radio = radio
        self.console = Console()
        self.wanted = [(ssid, Secret(PASSWORD)) for ssid in ("first", "second", "third") if ssid in radio.networks]
        self.pulse = Pulse(None, lambda ms: at_sleep(self, ms))
        world = self.pulse.world
        self.link = link.Link(Board(radio), self.wanted, Log("debug", self.console), lambda: world.ms, notes)

    async def run(self):
        with pytest.raises(Enough):
            await self.link.run(self.pulse)
        assert PASSWORD not in self.console.text()


def until_joined(made, ms):
    if made.link.up.is_set():
        raise Enough


@pytest.mark.parametrize("looks", (0, 1, 7, 900))
async def test_joins(looks):
    made = Made(Radio(first=looks), until_joined)
    await made.run()
    assert made.radio.calls == ["on", "first"]
    assert made.radio.keys == [PASSWORD]
    assert made.link.joins == 1
    assert made.link.name_servers() == ["10.0.0.1"]
    assert "joined first" in made.console.text()


async def test_an_open_network_has_no_key():
    made = Made(Radio(first=1), until_joined)
    made.wanted[0] = ("first", Secret(""))
    await made.run()
    assert made.radio.keys == [None]


@pytest.mark.parametrize(
    "trouble",
    (-3, 10**9, OSError(1, "Wifi Internal Error"), ValueError("bad key"), RuntimeError("Wifi Unknown Error")),
    ids=("refused", "silent", "OSError", "ValueError", "RuntimeError"),
)
async def test_the_second_network_serves(trouble):
    made = Made(Radio(first=trouble, second=3), until_joined)
    await made.run()
    assert made.radio.calls == ["on", "first", "on", "second"]
    assert "could not join first: " in made.console.text()
    assert sum(made.pulse.slept[:-1]) <= 20100


async def test_disconnecting_may_fail_too():
    made = Made(Radio(first=-2, second=3, disconnect=OSError(12290, "Wifi Not Started")), until_joined)
    await made.run()
    assert made.link.up.is_set()


async def test_a_failure_that_has_a_number_is_not_waited_out():
    made = Made(Radio(first=-3, second=3), until_joined)
    await made.run()
    assert "could not join first: status -3" in made.console.text()
    assert sum(made.pulse.slept) <= 2200


@pytest.mark.parametrize("networks", (("first",), ()), ids=("away", "none"))
async def test_pauses_grow_up_to_a_bound_and_the_radio_rests(networks):
    pauses = []

    def at_sleep(made, ms):
        if made.radio.calls[-1:] in (["off"], ["deinit"]) or not networks:
            pauses.append(ms)
            made.console.lines.clear()
            if len(pauses) == 60:
                raise Enough

    made = Made(Radio(**dict.fromkeys(networks, -2)), at_sleep)
    await made.run()
    for i, pause in enumerate(pauses):
        assert 1000 <= pause < 1000 + min(1000 << i, 300000)
    assert len(set(pauses[20:])) > 20
    assert max(pauses) > 150000  # jitter over the whole bound
    assert not made.link.up.is_set()
    assert made.link.name_servers() == []
    offs = [call for call in made.radio.calls if call in ("off", "deinit")]
    if networks:
        assert offs == ["off", "off", "off", "deinit"] * 15
        assert made.radio.scans == 8  # at the first failure, and now and then


@pytest.mark.parametrize("held, pauses", ((70000, 0), (10000, 2)))
async def test_a_loss_is_noticed_and_joined_again(held, pauses):
    def at_sleep(made, ms):
        if made.link.up.is_set():
            if made.link.joins == 3:
                raise Enough
            made.left = getattr(made, "left", held) - ms
            if made.left <= 0:
                made.left = held
                made.radio.ssid = None

    made = Made(Radio(first=2), at_sleep)
    await made.run()
    assert made.link.joins == 3
    assert made.console.text().count("lost first") == 2
    # what lasts only moments is no reason to hurry, and nothing is wrong with the radio otherwise
    assert made.radio.calls.count("off") == pauses


async def test_down_while_it_is_lost():
    seen = []

    def at_sleep(made, ms):
        if made.link.joins == 1 and made.link.up.is_set():
            made.radio.ssid = None
            made.radio.networks["first"] = -2
        elif made.link.joins == 1:
            seen.append(made.link.up.is_set())
            if len(seen) == 5:
                raise Enough

    made = Made(Radio(first=2), at_sleep)
    await made.run()
    assert seen == [False] * 5


async def test_a_task_that_starts_again_does_not_believe_in_the_old_link():
    made = Made(Radio(first=2), until_joined)
    await made.run()
    assert made.link.up.is_set()
    made.radio.ssid = None
    made.radio.networks["first"] = -2
    seen = []

    def at_sleep(ms):
        seen.append(made.link.up.is_set())
        raise Enough

    made.pulse = Pulse(None, at_sleep)
    await made.run()
    assert seen == [False]


# what comes next


def upper(count):
    """The longest pause that chance may choose."""
    return count - 1


def play(joining, script):
    """What came next, for a script: "f" the network that is tried fails, "m" the radio does not answer, "j60" joined,
    and lost after 60 s, "-" a pause passes."""
    now = 0
    seen = []
    for word in script.split():
        what, argument = joining.next(now)
        seen.append("%s%d" % ("TRCX"[what], argument))
        now += 20000 if what == rules.TRY else argument
        if what == rules.TRY:
            if word[0] == "j":
                joining.joined()
                joining.lost(int(word[1:]) * 1000)
            else:
                joining.failed(now, word == "m")
    return seen


TABLE = (
    # (networks, best, script, what came next)
    (2, 0, "f f - f f -", "T0 T1 R1999 T0 T1 R2999"),
    (3, 1, "f f f - f", "T1 T0 T2 R1999 T1"),
    (3, 9, "f f f -", "T0 T1 T2 R1999"),  # the one that worked last is not in the settings any more
    (1, 0, "f - f - f - f - f -", "T0 R1999 T0 R2999 T0 R4999 T0 C8999 T0 R16999"),
    (1, 0, "m - m - m -", "T0 C1999 T0 C2999 T0 C4999"),
    (1, 0, "m - f - m -", "T0 C1999 T0 R2999 T0 C4999"),
    (2, 0, "f j60 f f", "T0 T1 T1 T0"),  # what worked last comes first
    (2, 0, "f j5 - f f", "T0 T1 R1999 T1 T0"),
    (0, 0, "- - -", "R1999 R2999 R4999"),
)


@pytest.mark.parametrize("count, best, script, wanted", TABLE)
def test_what_comes_next(count, best, script, wanted):
    assert " ".join(play(rules.Joining(count, best, upper), script)) == wanted


def test_a_link_that_flaps_is_no_reason_to_hurry():
    joining = rules.Joining(1, 0, upper)
    pauses = []
    for _ in range(6):
        what, argument = joining.next(0)
        if what != rules.TRY:
            pauses.append(argument)
            what, _ = joining.next(0)
        joining.joined()
        joining.lost(5000)
    assert pauses == [1999, 2999, 4999, 8999, 16999]
    joining.next(0)
    joining.next(0)
    joining.joined()
    joining.lost(60000)
    assert joining.next(0) == (rules.TRY, 0)
    joining.failed(0, False)
    assert joining.next(0) == (rules.REST, 1999)


def test_the_board_is_reset_for_a_radio_that_does_not_answer_and_for_nothing_else():
    for mute in (True, False):
        joining = rules.Joining(2, 0, upper)
        now = resets = 0
        moments = []
        while now < 4 * 3600000:
            what, argument = joining.next(now)
            if what == rules.TRY:
                joining.failed(now, mute)
            elif what == rules.RESET:
                resets += 1
                moments.append(now)
            else:
                now += argument
        assert bool(resets) == mute
        assert all([b - a >= 900000 for a, b in zip([0] + moments, moments)])


# the last resort


@pytest.mark.parametrize(
    "trouble", (OSError(5, "EIO"), RuntimeError("Wifi Unknown Error")), ids=("OSError", "RuntimeError")
)
async def test_a_radio_that_does_not_answer(trouble):
    made = Made(Radio(first=trouble, second=trouble), lambda made, ms: None)
    with pytest.raises(Enough, match="reset"):
        await made.link.run(made.pulse)
    assert 900000 <= made.pulse.world.ms < 1500000
    assert "deinit" in made.radio.calls
    assert "the radio does not answer" in made.link.problem


async def test_a_key_that_can_be_none_is_no_fault_of_the_radio():
    def at_sleep(made, ms):
        made.pulse.slept.clear()
        made.console.lines.clear()
        if made.pulse.world.ms > 5 * 3600000:
            raise Enough("no reset")

    made = Made(Radio(first=ValueError("key too short")), at_sleep)
    with pytest.raises(Enough, match="no reset"):
        await made.link.run(made.pulse)


# looking around


FOUND = (
    # (heard, order, reasons)
    ({"first": -60, "second": -70}, [0, 1, 2], {2: "no such"}),
    ({"first": -85, "second": -70}, [1, 0, 2], {0: "weak signal, -85 dBm", 2: "no such"}),
    ({"third": -60, "elsewhere": -30}, [2, 0, 1], {0: "no such", 1: "no such"}),
    ({}, [0, 1, 2], {0: "no such", 1: "no such", 2: "no such"}),
)


@pytest.mark.parametrize("rssi, order, reasons", FOUND)
def test_why_and_in_which_order(rssi, order, reasons):
    radio = Radio()
    radio.rssi = rssi
    found = scan.explain(radio, [(name, None) for name in ("first", "second", "third")])
    assert [index for index, _ in found] == order
    for index, problem in found:
        assert reasons.get(index, "") in problem and bool(problem) == (index in reasons)


CHOICES = (
    # (heard, joined, its dBm, to)
    ((-60, -50), 0, -60, None),
    ((-60, -50), 0, -80, None),  # not that weak
    ((-85, -50), 0, -85, 1),
    ((-85, -76), 0, -85, None),  # not that much better
    ((-85, -75), 0, -85, 1),
    ((-95, -82), 0, -95, None),  # better, and weak as well
    ((None, -50), 0, -85, 1),
    ((-72, -50), 1, -50, 0),  # the preferred one is back
    ((-73, -50), 1, -50, None),
    ((-73, -90), 1, -90, 0),
    ((-70, -60, -40), 2, -40, 0),
    ((-90, -60, -40), 2, -40, 1),
    ((None, None), 1, -90, None),
)


@pytest.mark.parametrize("found, joined, rssi, to", CHOICES)
def test_the_better_network(found, joined, rssi, to):
    assert scan.choice(list(found), joined, rssi) == to


def test_nobody_is_sent_to_and_fro():
    for a in range(-100, -30):
        for b in range(-100, -30):
            there = scan.choice([a, b], 0, a)
            assert there is None or scan.choice([a, b], 1, b) is None, (a, b)


async def test_leaves_a_weak_network_and_comes_back_to_the_preferred_one(tmp):
    notes = Notes(tmp + "/notes.json")
    radio = Radio(first=2, second=2)
    radio.rssi = {"first": -88, "second": -60}
    seen = []

    def at_sleep(made, ms):
        now = made.pulse.world.ms
        made.pulse.slept.clear()
        if made.link.up.is_set() and seen[-1:] != [radio.ssid]:
            seen.append(radio.ssid)
        made.link.busy = lambda: now < 1500000 and len(seen) < 2
        if len(seen) == 2 and now > 3000000:
            radio.rssi["first"] = -60
        if len(seen) == 3 or now > 6000000:
            raise Enough

    made = Made(radio, at_sleep, notes)
    await made.run()
    assert seen == ["first", "second", "first"]
    # every ten minutes, but not before the connection is free, after 25
    assert radio.scans == 4
    assert "leaving first for second" in made.console.text()
    assert "off" not in radio.calls
    assert Notes(tmp + "/notes.json").get("network") == "first"
    assert "agent.scan" not in sys.modules


async def test_one_network_never_looks_around_while_it_works():
    def at_sleep(made, ms):
        made.pulse.slept.clear()
        if made.pulse.world.ms > 10000000:
            raise Enough

    radio = Radio(first=2)
    radio.rssi = {"first": -95}
    made = Made(radio, at_sleep)
    await made.run()
    assert radio.scans == 0


async def test_begins_with_the_network_that_worked_last(tmp):
    notes = Notes(tmp + "/notes.json")
    for first, calls in ((-3, ["on", "first", "on", "second"]), (2, ["on", "second"])):
        made = Made(Radio(first=first, second=2), until_joined, notes)
        await made.run()
        assert made.radio.calls == calls
        notes = Notes(tmp + "/notes.json")


@pytest.mark.parametrize("content", ("", "[1]", '{"network": 5}', "\x00nonsense"))
async def test_notes_that_are_nonsense(tmp, content):
    with open(tmp + "/notes.json", "w") as file:
        file.write(content)
    made = Made(Radio(first=1), until_joined, Notes(tmp + "/notes.json"))
    await made.run()
    assert made.link.up.is_set()
