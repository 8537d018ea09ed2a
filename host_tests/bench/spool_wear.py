"""One wear run of the spool under real MicroPython: appends records to littlefs and prints what that did to the flash.

Usage: micropython spool_wear.py LIB PORT CHANNELS COMMIT_SAMPLES ACK_SAMPLES RECORDS BLOCKS
"""

import json
import os
import random
import sys

import vfs

LIB, PORT = sys.argv[1:3]
CHANNELS, COMMIT, ACK, RECORDS, BLOCKS = [int(a) for a in sys.argv[3:8]]
sys.path.insert(0, LIB)

from flash import GEOMETRY, Flash  # noqa: E402

from spool import Spool  # noqa: E402

ALL = (
    ("temperature", "°C", 2),
    ("humidity", "%", 2),
    ("pressure", "hPa", 2),
    ("battery", "V", 3),
    ("rssi", "dBm", 0),
    ("temperature_2", "°C", 2),
    ("co2", "ppm", 0),
    ("pm2_5", "µg/m³", 1),
)
START = (21.0, 55.0, 1013.25, 3.9, -65, 4.0, 600, 8.0)
STEP = (0.1, 0.5, 0.2, 0.004, 4, 0.3, 20, 0.6)


def walk(values):
    for i in range(CHANNELS):
        v = values[i] + (random.random() * 2 - 1) * STEP[i]
        values[i] = round(v, ALL[i][2]) if ALL[i][2] else int(v)
    values[0] = min(max(values[0], -20), 45)
    return values


read, program = GEOMETRY[PORT]
flash = Flash(BLOCKS)
vfs.VfsLfs2.mkfs(flash, readsize=read, progsize=program)
vfs.mount(vfs.VfsLfs2(flash, readsize=read, progsize=program), "/flash")
flash.erases = flash.programmed = 0
random.seed(CHANNELS)
spool = Spool("/flash/spool", ALL[:CHANNELS], limit=BLOCKS * 4096 - 65536, commit_samples=COMMIT)
values = list(START[:CHANNELS])
samples = RECORDS // CHANNELS
time = 1767322800000
for n in range(1, samples + 1):
    spool.append(walk(values), time + random.randrange(12))
    time += 60000
    if ACK and n % ACK == 0:
        spool.begin(n)
        spool.ack(n)
spool.close()
stat = os.statvfs("/flash")
print(
    json.dumps(
        {
            "port": PORT,
            "channels": CHANNELS,
            "commit_samples": COMMIT,
            "ack_samples": ACK,
            "records": samples * CHANNELS,
            "erases": flash.erases * 1000 / (samples * CHANNELS),
            "programmed": flash.programmed * 1000 / (samples * CHANNELS),
            "kept": stat[0] * (stat[2] - stat[3]),
            "files": sum(os.stat("/flash/spool/" + f)[6] for f in os.listdir("/flash/spool")),
            "dropped": spool.counters.dropped,
            "queued": spool.queued,
        }
    )
)
