"""Reads what ``pulumi stack export`` says and writes what ``pulumi import --file`` reads: the creates that were cut off.

How to tell which of them exist, and their ids where only AWS knows them, goes to standard error.
"""

import json
import sys

from agentgpu_iac.provisioning.aws.pending import import_file, instructions, pending_creates

pending = pending_creates(json.load(sys.stdin))
sys.stdout.write(json.dumps(import_file(pending), indent=2) + "\n")
sys.stderr.write("".join(f"{line}\n" for line in instructions(pending)))
