# Start the agent. If it cannot even start, or ends, say why, leave time to reach the prompt over USB, and try again.
import gc
import sys
import time

try:
    gc.threshold(4096)  # while modules load, what they leave behind must not cut the heap into pieces
    import agent.app

    agent.app.run()
except Exception as error:  # noqa: BLE001 - this is the last place where it can be said
    sys.print_exception(error)
print("TagoNode could not go on: see the lines above. Restarting in 30 s; Ctrl-C for the prompt.")
time.sleep(30)
import machine  # noqa: E402 - nothing may fail before what went wrong is printed

machine.reset()
