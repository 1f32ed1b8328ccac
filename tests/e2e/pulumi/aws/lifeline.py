"""A plugin goes when its engine goes, as the real ones do, so that none outlives the tests."""

from __future__ import annotations

import os
import threading
import time

_LOOK_EVERY_S = 0.5


def leave_with_the_engine() -> None:
    """Watch the process that started this one, and end without a word when it is gone."""
    engine = os.getppid()

    def watch() -> None:
        while os.getppid() == engine:
            time.sleep(_LOOK_EVERY_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
