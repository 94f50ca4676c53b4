"""The store: records to and from the event file, and frames made of them.

The event file is the one truth; nothing else is written while a training runs. Only `gradscope.store.frames` and
`gradscope.store.read` load pandas, and nothing here loads a framework.
"""
