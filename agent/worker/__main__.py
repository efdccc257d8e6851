"""`python -I -m agent.worker` is `process.py`, loaded without looking for garbage, which took a third of the time."""

import gc
import sys

if __name__ == "__main__":
    gc.disable()  # until the worker is made
    from agent.worker.process import main

    sys.exit(main(sys.argv[1:]))
