"""The published rules of other tools, written anew from their definitions, to be judged on the same measurements."""
