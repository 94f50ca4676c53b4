"""Why a request gets no data: a code of HTTP and one sentence for a person."""

from __future__ import annotations


class RequestError(Exception):
    """A request that is answered with a sentence instead of data.

    Attributes:
        code: 400 for a wrong argument, 404 for something that is not there, 405 for another method than GET.
        sentence: What was received, why it cannot work and what to do.
    """

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


def wrong(sentence: str) -> RequestError:
    """Return the refusal of an argument that is missing or makes no sense."""
    return RequestError(400, sentence)


def not_here(sentence: str) -> RequestError:
    """Return the refusal of something that does not exist, or no longer."""
    return RequestError(404, sentence)
