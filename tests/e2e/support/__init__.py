"""What the stories on the real cluster share: namespaces, servers, volumes and the node, reached as a user would."""
