"""A file a sample and a POST a file, the way Pimoroni's Enviro boards keep what they could not send yet.

Each sample goes into a file of JSON of its own; then every file is posted by `requests`, which verifies nobody, and
removed when the server has taken it. What the power takes is at most the sample in the making; what a lost answer
takes is sent twice. Written from the description of how it works: no code of theirs.

order["keep"]: they are stored, and that is all. Usage: micropython -c "import peer_files" ORDER.json; prints one line
of JSON. See compare.py.
"""

import gc
import json
import os
import sys
import time

import requests
from counting_flash import kept, mount
from uplink_readings import readings, records

with open(sys.argv[1]) as file:
    order = json.load(file)

FOLDER = "/flash/uploads"


def store(sequence, ms, values):
    with open("%s/%06d.json" % (FOLDER, sequence), "w") as file:
        json.dump(records(sequence, ms, values), file)


def upload():
    headers = {"Device-Token": order["token"], "Content-Type": "application/json"}
    url = "https://127.0.0.1:%d/data" % order["port"]
    for name in sorted(os.listdir(FOLDER)):
        path = FOLDER + "/" + name
        with open(path) as file:
            batch = json.load(file)
        gc.collect()
        answer = requests.post(url, data=json.dumps(batch).encode(), headers=headers)
        if answer.status_code // 100 != 2 or not answer.json()["status"]:
            raise OSError("refused: %s" % answer.text)
        answer.close()
        os.remove(path)


def run():
    us = 0
    flash = mount(order)
    os.mkdir(FOLDER)
    flash.begin()
    for sequence, (ms, values) in enumerate(readings(order["samples"]), 1):
        started = time.ticks_us()
        store(sequence, ms, values)
        if not order["keep"] and sequence % order["turn"] == 0:
            upload()
        us += time.ticks_diff(time.ticks_us(), started)
    said = flash.end()
    said["us"] = us
    said["kept"] = kept()
    return said


print(json.dumps(run()))
