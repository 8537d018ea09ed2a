"""The light: what is shown when, and that a dead light harms nobody."""

from agentworld import Enough, Pulse

import pytest
from agent import light

BLINK, FLASH, DARK, PAUSE = 100, 60, 240, 3000


class Led:
    """Keeps when it went on and off, in the world's milliseconds."""

    def __init__(self, world, error=None):
        self.world = world
        self.error = error
        self.switched = []

    def __call__(self, on):
        if self.error:
            raise self.error
        self.switched.append((self.world.ms, on))


class Rig:
    """A light that shows these states, one after the other, and then stops the test."""

    def __init__(self, *states, error=None):
        self.states = list(states)
        self.pulse = Pulse()
        self.led = Led(self.pulse.world, error)

    def look(self):
        if not self.states:
            raise Enough
        return self.states.pop(0)

    async def run(self):
        with pytest.raises(Enough):
            await light.run(self.pulse, self.led, self.look)
        return self.led.switched


PRIORITY = (
    ((False, False, False, False), light.SEARCHING),
    ((False, True, True, True), light.SEARCHING),
    ((True, False, True, True), light.NO_TIME),
    ((True, True, True, True), light.UPLOAD),
    ((True, True, False, True), light.SENSOR),
    ((True, True, False, False), light.WELL),
)


@pytest.mark.parametrize("facts, shown", PRIORITY, ids=[str(i) for i in range(len(PRIORITY))])
def test_the_trouble_that_hides_the_others_comes_first(facts, shown):
    assert light.state(*facts) == shown


def test_states_differ_by_their_number_of_flashes():
    assert (light.WELL, light.NO_TIME, light.UPLOAD, light.SENSOR, light.SAFE) == (1, 2, 3, 4, 5)


@pytest.mark.parametrize("count", (1, 2, 3, 4, 5))
async def test_flashes_can_be_counted(count):
    switched = await Rig(count, count).run()
    assert len(switched) == 4 * count
    first, second = switched[: 2 * count], switched[2 * count :]
    for shown in (first, second):
        ons, offs = shown[0::2], shown[1::2]
        assert [on for _, on in ons] == [True] * count and [on for _, on in offs] == [False] * count
        assert [off - on for (on, _), (off, _) in zip(ons, offs)] == [FLASH] * count
        assert [b - a for (a, _), (b, _) in zip(ons, ons[1:])] == [FLASH + DARK] * (count - 1)
    # dark long enough that nobody runs two counts together
    assert second[0][0] - first[-1][0] == DARK + PAUSE


async def test_no_network_blinks_without_a_pause():
    switched = await Rig(0, 0, 0, 1).run()
    assert switched[:6] == [(i * BLINK, i % 2 == 0) for i in range(6)]
    assert switched[6] == (600, True)


async def test_what_is_shown_follows_the_node():
    switched = await Rig(0, 2, 1).run()
    assert [on for _, on in switched] == [True, False] * 4


@pytest.mark.parametrize("error", (OSError(5), ValueError("invalid pin"), RuntimeError("radio")))
async def test_a_light_that_cannot_be_switched_is_given_up(error):
    rig = Rig(1, 1, error=error)
    await light.run(rig.pulse, rig.led, rig.look)
    assert rig.states == [1]


async def test_promises_are_short():
    rig = Rig(*[i % 5 for i in range(40)])
    await rig.run()
    assert max(rig.pulse.slept) == PAUSE
