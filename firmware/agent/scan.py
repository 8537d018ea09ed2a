"""What a look around says about the networks of the settings. It takes a radio some two seconds, in which nothing else
runs. Loaded for that moment alone.
"""

from micropython import const

_WEAK_DBM = const(-80)  # a connection may break any time
_GOOD_DBM = const(-72)
_MARGIN_DB = const(10)


def heard(wlan, networks) -> list:
    """How strong each network is heard, dBm, None for what is not. Raises what the radio raises."""
    found = [None] * len(networks)
    for row in wlan.scan():
        for index in range(len(networks)):
            if row[0] == networks[index][0].encode() and (found[index] is None or row[3] > found[index]):
                found[index] = row[3]
    return found


def explain(wlan, networks) -> list:
    """[(number of a network, why it is not joined or "")] in the order in which to try them: those that are heard well,
    those that are not, and those that are not heard, for a network may hide its name."""
    found = heard(wlan, networks)
    well, weak, silent = [], [], []
    for index in range(len(found)):
        rssi = found[index]
        if rssi is None:
            silent.append((index, "no such network in reach"))
        elif rssi < _WEAK_DBM:
            weak.append((index, "weak signal, %d dBm: move the node or the access point" % rssi))
        else:
            well.append((index, ""))
    return well + weak + silent


def choice(found, index: int, rssi: int):
    """The network to leave `index` for, on which rssi is received; None to stay.

    A preferred one has to be heard well; any, much better than one that may break any time. Between these limits
    nothing moves, so that nobody is sent to and fro.
    """
    for i in range(len(found)):
        if i != index and found[i] is not None:
            if found[i] >= _GOOD_DBM and i < index:
                return i
            if rssi < _WEAK_DBM and found[i] >= rssi + _MARGIN_DB and found[i] >= _WEAK_DBM:
                return i
    return None


def better(wlan, networks, index: int):
    """As choice. The radio looks around only when that could come of it."""
    rssi = wlan.status("rssi")
    if not index and rssi >= _WEAK_DBM:
        return None
    return choice(heard(wlan, networks), index, rssi)
