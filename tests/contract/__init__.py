"""The promises of the Gateway, kept by the real API server and by the fake that faster tests stand on."""
