"""A TagoIO that can do everything wrong that a server and a network can, and a virtual board that has to cope.

`tagoio.TagoIO` keeps the readings and answers as TagoIO does, `server.Hostile` puts it behind TLS and plays a
`server.Fault`, `rig.Rig` runs a virtual board against it and checks what a fault did. The faults: ../faults.py.
"""
