"""How what a program reports reaches the server: queued by the caller, sent by a thread."""
