"""The application: tasks, policy, settings. Knows lib and the board it is handed."""
