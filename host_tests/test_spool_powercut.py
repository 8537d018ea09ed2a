"""A slice of the power-cut campaign, and the proof that it sees bugs: those seeded here must turn it red."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from campaigns.powercut import SCENARIOS, Job
from campaigns.spool_mutations import MUTATIONS, caught

EVERY = {32: 107, 256: 47}


def test_a_slice_of_the_campaign():
    jobs = [replace(s, first=7, every=EVERY[s.program]) for s in SCENARIOS]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(Job.run, jobs))
    assert [text for r in results for text in r["violations"]] == []
    assert sum(r["cuts"] for r in results) >= 250
    assert all(r["quarantined"] and r["acknowledged"] and r["dropped"] for r in results)


# The rest of them takes minutes: python host_tests/campaigns/spool_mutations.py
QUICK = ("slots are given up", "cursor is not synced", "settled readings are forgotten", "not noted on flash")


@pytest.mark.parametrize("mutation", [m for m in MUTATIONS if any(q in m.name for q in QUICK)], ids=lambda m: m.name)
def test_a_seeded_bug_is_caught(mutation):
    assert caught(mutation)
