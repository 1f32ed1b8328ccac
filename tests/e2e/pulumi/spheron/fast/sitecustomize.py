"""Makes the clock of Spheron's provider run fast, in every process that has this folder on its path.

Polls, limits and minimum runtimes are minutes long there; the server of these tests runs as fast.
"""

import os
import time

from agentgpu_iac.provisioning.spheron import clock

SPEED = float(os.environ["AGENTGPU_TEST_SPEED"])
clock.CLOCK = clock.Clock(now_s=lambda: time.monotonic() * SPEED, sleep=lambda seconds: time.sleep(seconds / SPEED))
