"""TagoIO's rules as pure functions: records, verdicts, calls, regions. Import the module you need."""
