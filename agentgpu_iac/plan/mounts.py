"""Where an engine's container finds its models, its settings and room for what it compiles."""

from __future__ import annotations

from typing import Final

MODELS_MOUNT: Final = "/models"
"""Where the node's model cache appears in the engine's container."""
ENGINE_CACHE_MOUNT: Final = "/var/cache/engine"
"""Where an engine keeps what it compiles. It lies on the node's model cache volume, a folder per workload, so that a
restarted replica need not compile again; the models beside it are mounted read-only."""
SETTINGS_MOUNT: Final = "/etc/engine"
"""Where the files appear that an engine reads beside its arguments."""
