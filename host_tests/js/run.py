"""`make test-js`: the official JavaScript SDK (npm, pinned in package.json) against the local TagoIO."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tagonode.cloud import LocalCloud

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Run the scenario. Returns its exit status."""
    if shutil.which("node") is None:
        print("node is not installed: take version 20 or newer from nodejs.org, then run this again", file=sys.stderr)
        return 1
    with LocalCloud() as cloud:
        environment = {
            **os.environ,
            "NODE_EXTRA_CA_CERTS": str(cloud.ca_file),
            "CLOUD_URL": cloud.url,
            "CLOUD_ACCOUNT_TOKEN": cloud.account_token,
        }
        ended = subprocess.run(["node", "scenario.mjs"], cwd=HERE, env=environment, timeout=300, check=False)
    return ended.returncode


if __name__ == "__main__":
    sys.exit(main())
