"""The operator as a process: kopf rings, the queue works. The only place that imports kopf."""
