"""The checks of `gradscope.preflight`, one file each: pure functions from a `Subject` to findings."""
