"""Virtual boards: real MicroPython in a process of its own, on simulated hardware."""
