"""Reads dashboards as Grafana's own types have them and prints what they make of them; run by ``grafana-python``."""

from __future__ import annotations

import json
import sys

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

if __name__ == "__main__":
    made = [Dashboard.from_json(each) for each in json.load(sys.stdin)]
    sys.stdout.write(JSONEncoder(sort_keys=True).encode(made))
