"""The Kubernetes API, and nothing else: the only place that imports its client."""
