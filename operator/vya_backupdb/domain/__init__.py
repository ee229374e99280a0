"""The pure core: models, layout, metadata, retention, schedule, report, exit codes, redaction.

Nothing here does IO or reads the clock, the environment or a random source: all three are arguments.
"""
