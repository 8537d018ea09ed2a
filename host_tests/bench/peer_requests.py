"""What most people write: `requests` of micropython-lib, a POST for so many samples, nothing verified or stored.

What is given as `json` gets a Content-Length in characters, which is too short as soon as a unit is "°C": hence `data`.

Usage: micropython -c "import peer_requests" ORDER.json; prints one line of JSON. See compare.py.
"""

import gc
import json
import sys
import time

import requests
from uplink_readings import readings, records

with open(sys.argv[1]) as file:
    order = json.load(file)


def run():
    """Microseconds of all but taking the samples."""
    us = 0
    url = "https://127.0.0.1:%d/data" % order["port"]
    headers = {"Device-Token": order["token"], "Content-Type": "application/json"}
    batch = []
    for sequence, (ms, values) in enumerate(readings(order["samples"]), 1):
        started = time.ticks_us()
        batch += records(sequence, ms, values)
        if sequence % order["turn"] == 0:
            gc.collect()
            answer = requests.post(url, data=json.dumps(batch).encode(), headers=headers)
            if answer.status_code // 100 != 2 or not answer.json()["status"]:
                raise OSError("refused: %s" % answer.text)
            answer.close()
            batch = []
        us += time.ticks_diff(time.ticks_us(), started)
    return us


print(json.dumps({"us": run()}))
