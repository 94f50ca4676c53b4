"""Looking at a compiled model and one batch before the training begins.

The package is not called after its function `gradscope.preflight`: a module of that name would take the function's
place on the root package as soon as it is imported.
"""
