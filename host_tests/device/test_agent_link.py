"""The link: networks in their order, what a port's radio may raise, losses, and pauses in between."""

from agentworld import Console, Enough, Pulse

import pytest
from agent import link
from agent.log import Log
from agent.settings import Secret

PASSWORD = "PASSWORD-5678"


class Radio:
    """network.WLAN: each network is a number of looks until it has joined, a negative status, or an exception."""

    def __init__(self, **networks):
        self.networks = networks
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

    def status(self):
        return min(self.networks.get(self.ssid, 0), 1)

    def ifconfig(self):
        return ("10.0.0.7", "255.255.255.0", "10.0.0.1", "10.0.0.1")


class Board:
    WIFI_WAITS = (0, 1)

    def __init__(self, radio):
        self.radio = radio

    def wifi(self):
        return self.radio

    def wifi_problem(self, status):
        return "status " + str(status)


class Made:
    """A link over a radio with these networks. at_sleep(made, ms) is called when the link sleeps."""

    def __init__(self, radio, at_sleep):
        self.radio = radio
        self.console = Console()
        self.wanted = [(ssid, Secret(PASSWORD)) for ssid in ("first", "second") if ssid in radio.networks]
        self.link = link.Link(Board(radio), self.wanted, Log("debug", self.console))
        self.pulse = Pulse(None, lambda ms: at_sleep(self, ms))

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
    assert sum(made.pulse.slept) < 2000


@pytest.mark.parametrize("networks", (("first",), ()), ids=("away", "none"))
async def test_pauses_grow_up_to_a_bound_and_the_radio_rests(networks):
    pauses = []

    def at_sleep(made, ms):
        if made.radio.calls[-1:] == ["off"]:
            pauses.append(ms)
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


async def test_a_loss_is_noticed_and_joined_again():
    def at_sleep(made, ms):
        if made.link.up.is_set():
            if made.link.joins == 3:
                raise Enough
            made.radio.ssid = None

    made = Made(Radio(first=2), at_sleep)
    await made.run()
    assert made.link.joins == 3
    assert made.console.text().count("lost first") == 2
    assert "off" not in made.radio.calls  # nothing is wrong with the radio


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
