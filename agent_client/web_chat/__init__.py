"""The agent in a browser: conversations whose runs are watched live (`seekling web`)."""
