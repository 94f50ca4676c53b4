"""Which word is taken for the one that was meant."""

from gradscope.nearest import nearest


def test_a_beginning_comes_before_what_is_only_alike() -> None:
    assert nearest("grad", ["read", "gradient_rms", "grid"], count=2) == ["gradient_rms", "read"]


def test_each_word_is_named_once_and_no_more_than_asked_for() -> None:
    assert nearest("mean", ["mean_square", "means", "meant"], count=2) == ["mean_square", "means"]
    assert nearest("mean", ["means"], count=3) == ["means"]


def test_what_is_like_nothing_and_nothing_itself_have_no_nearest_word() -> None:
    assert nearest("zzz", ["low", "high"]) == nearest("", ["low"]) == nearest("low", []) == []


def test_less_likeness_finds_more() -> None:
    assert nearest("dead", ["dying_relu"]) == []
    assert nearest("dead", ["dying_relu"], likeness=0.1) == ["dying_relu"]
