"""What a node takes of a battery: mAh a day, days of a battery, with the arithmetic.

Typical currents of chip and radio at 25 °C, as their makers give them: datasheets' tables of power modes and of Wi-Fi
(the radio on: receiving, some of it sending). What else is on a board comes on top, and on a development board that is
most of it: regulator, USB chip, lights (an ESP32-DevKitC: 5 to 20 mA for ever). Measure yours.
"""

from dataclasses import dataclass

DAY_S = 86400
# Of a cell of 2,600 mAh (an 18650), what cold, age and the end of its discharge leave.
BATTERY_MAH = 2000
# Of the time in which a node is joined and waits, that in which its radio listens: to beacons, with MicroPython's own
# power-save mode.
_LISTENS = 1 / 8


@dataclass(frozen=True)
class Supply:
    """Currents in mA: asleep with its timer on; awake, the radio off; the radio on, sending now and then. In seconds:
    from the end of a sleep until a sample is taken; to join, resolve, shake hands, send and leave. source: of these."""

    sleep_ma: float
    awake_ma: float
    radio_ma: float
    wake_s: float
    link_s: float
    source: str


# Times: an ESP32's start from deep sleep to main.py takes 0.64 s (github.com/glenn20/upy-esp32-experiments), the node's
# modules about as long again; a Pico goes on where it was. Joining takes 2 to 4 s, a Pico's radio gets its firmware
# first; a TLS handshake about 1.2 s on an ESP32, 2 to 7 s on an RP2040. Not measured on boards of ours.
# A Pico's light sleep is as measured by MicroPython's author (its commit b004e7e: 1.5 mA), near to the datasheet's 1.3.
_PICO = "RP2040, CYW43439 datasheets"
SUPPLIES = {
    "pico_w": Supply(1.5, 25, 70, 0.1, 9, _PICO),
    "pico2_w": Supply(1.5, 25, 70, 0.1, 7, _PICO.replace("RP2040", "RP2350")),
    "esp32": Supply(0.010, 44, 100, 1.3, 5, "ESP32 datasheet"),
    "esp32s3": Supply(0.008, 40, 95, 1.3, 5, "ESP32-S3 datasheet"),
    "esp32c3": Supply(0.005, 23, 87, 1.3, 5, "ESP32-C3 datasheet"),
}


@dataclass(frozen=True)
class Energy:
    """mAh a day, and the days that BATTERY_MAH last; of a node that sleeps, or of one that does not."""

    mah_a_day: float
    sleeping: bool
    asleep_mah: float
    samples_mah: float
    links_mah: float

    @property
    def days(self) -> float:
        return BATTERY_MAH / self.mah_a_day


def energy(supply: Supply, sleeping: bool, sample_s: float, upload_s: float, conversion_s: float) -> Energy:
    """sample_s, upload_s: seconds between samples, and between uploads; conversion_s: for which a sample's sensors
    keep the board awake."""
    wakes, links = DAY_S / sample_s, DAY_S / upload_s
    linked = min(links * supply.link_s, DAY_S)
    links_mah = linked * supply.radio_ma / 3600
    if sleeping:
        awake = min(wakes * (supply.wake_s + conversion_s), DAY_S - linked)
        samples_mah = awake * supply.awake_ma / 3600
        asleep_mah = (DAY_S - linked - awake) * supply.sleep_ma / 3600
    else:
        rest_ma = supply.awake_ma + (supply.radio_ma - supply.awake_ma) * _LISTENS
        samples_mah = 0.0
        # one that is joined all the time has only to send
        asleep_mah = DAY_S * rest_ma / 3600
        links_mah = links * (supply.radio_ma - rest_ma) / 3600
    return Energy(asleep_mah + samples_mah + links_mah, sleeping, asleep_mah, samples_mah, links_mah)


def lines(
    supply: Supply, sleeping: bool, sample_s: float, upload_s: float, conversion_s: float
) -> list[tuple[str, str, str]]:
    """(what, figure, the arithmetic behind it), for people."""
    found = energy(supply, sleeping, sample_s, upload_s, conversion_s)
    wakes, links = DAY_S / sample_s, DAY_S / upload_s
    if sleeping:
        how = (
            f"asleep at {supply.sleep_ma:g} mA: {_mah(found.asleep_mah)}; {wakes:,.0f} samples × "
            f"{supply.wake_s + conversion_s:.2g} s × {supply.awake_ma:g} mA: {_mah(found.samples_mah)}; {links:,.0f} "
            f"links × {supply.link_s:g} s × {supply.radio_ma:g} mA: {_mah(found.links_mah)}"
        )
    else:
        less = energy(supply, True, sample_s, upload_s, conversion_s)
        how = (
            f"awake and joined at {found.asleep_mah * 3600 / DAY_S:.0f} mA, {links:,.0f} uploads; "
            f"with duty.on = true it would be {_mah(less.mah_a_day)}"
        )
    return [
        ("energy a day", _mah(found.mah_a_day), f"{how} ({supply.source})"),
        (
            "battery lasts",
            f"{found.days:,.0f} days" if found.days >= 10 else f"{found.days:.1f} days",
            f"{BATTERY_MAH:,} mAh ÷ {_mah(found.mah_a_day)}: chip and radio alone; sensors, your board's regulator, "
            "USB chip and lights come on top",
        ),
    ]


def _mah(amount: float) -> str:
    return f"{amount:,.0f} mAh" if amount >= 100 else f"{amount:.2g} mAh"
