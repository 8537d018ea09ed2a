"""Does to a counting flash what its diary says, so that the instructions of the PC's flash can be counted by
themselves: `micropython -c "import replay_flash" ORDER.json`. With order["samples"] 0 it only reads the diary."""

import json
import sys

from counting_flash import CountingFlash

with open(sys.argv[1]) as file:
    order = json.load(file)

flash = CountingFlash(order["image"], 64)
buffers = {}
with open(order["diary"]) as diary:
    for line in diary:
        kind, one, two, three = line.split()
        one, two, three = int(one), int(two), int(three)
        if kind == "i":
            if order["samples"]:
                flash.ioctl(one, two)
            continue
        if two not in buffers:
            buffers[two] = bytearray(two)
        buffer = buffers[two]
        if order["samples"]:
            if kind == "r":
                flash.readblocks(one, buffer, three)
            else:
                flash.writeblocks(one, buffer, three)
print("{}")
