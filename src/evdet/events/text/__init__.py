"""Tables of events as text."""
