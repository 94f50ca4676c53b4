"""The checks of `gradscope.preflight`, one file each: pure functions from a `Subject` to findings.

A file's one public function has the file's name. Every file is asked; `gradscope.rule` says what a check explains.
"""
