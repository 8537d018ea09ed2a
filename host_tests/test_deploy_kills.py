"""Deployments killed at random moments: a slice of campaigns/deploy.py."""

import random

from campaigns import deploy as campaign
from deployrig import rig

ROUNDS = 3


def test_a_killed_deployment_leaves_the_old_version_or_the_new_one(tmp_path):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    with rig(tmp_path) as bench:
        violations, books = campaign.rounds(bench, ROUNDS, seed)
    assert violations == []
    assert books["old"] + books["new"] == ROUNDS
