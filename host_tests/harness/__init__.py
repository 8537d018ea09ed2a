"""The test harness: device tests on two runtimes, scripted networks, simulated chips. See ../README.md.

This is the side that runs in pytest's process. What device tests themselves import as `harness` and `pytest`
is guest/harness.py and guest/pytest.py.
"""
