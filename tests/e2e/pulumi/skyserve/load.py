"""Run by SkyPilot's own interpreter: reads service files as ``sky serve up`` does and prints what it made of each.

Standard library and SkyPilot only. One JSON list comes out, an object for each file: what was read, or SkyPilot's refusal.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import sky
from sky.serve import serve_utils
from sky.utils import yaml_utils


def loaded(path: str) -> dict[str, Any]:
    """What SkyPilot makes of a file."""
    try:
        task = sky.Task.from_yaml_config(yaml_utils.read_yaml(path))
        serve_utils.validate_service_task(task, pool=False)
    except (ValueError, RuntimeError, sky.exceptions.InvalidSkyPilotConfigError) as error:
        return {"refused": str(error)}
    service = task.service
    return {
        "name": task.name,
        "run": task.run,
        "envs": sorted(task.envs),
        "service": {
            "readiness_path": service.readiness_path,
            "initial_delay_s": service.initial_delay_seconds,
            "min_replicas": service.min_replicas,
            "max_replicas": service.max_replicas,
            "requests_per_s_per_replica": service.target_qps_per_replica,
            "on_demand_replicas": service.base_ondemand_fallback_replicas,
            "on_demand_fallback": service.dynamic_ondemand_fallback,
            "upscale_delay_s": service.upscale_delay_seconds,
            "downscale_delay_s": service.downscale_delay_seconds,
            "load_balancing_policy": service.load_balancing_policy,
        },
        "resources": [
            {
                "cloud": str(one.cloud).lower(),
                "region": one.region,
                "accelerators": dict(one.accelerators),
                "on_spot": one.use_spot,
                "ports": one.ports,
                "disk_gib": one.disk_size,
                "image": one.extract_docker_image(),
                "max_usd_per_hour": one.max_hourly_cost,
            }
            for one in task.resources
        ],
    }


sys.stdout.write(json.dumps([loaded(path) for path in sys.argv[1:]]) + "\n")
