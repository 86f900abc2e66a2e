"""The gateway: what is sent to it and received from it, without models."""
