# Nothing to set up before main.py: buses, radio and clock belong to the board's module and the agent.
