"""Performance, measured side by side: we against the client into /dev/null and against what people use instead.

All contenders run in turn, several times round, in one process tree on one machine, and only ratios of medians are
quoted: the machine is small and shared, so that absolute figures differ from day to day. Nothing here is a test.
"""
