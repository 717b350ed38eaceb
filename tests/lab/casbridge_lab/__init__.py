"""A stand-in Exchange organisation on loopback, for trying and testing casbridge. Shares no code with it."""
