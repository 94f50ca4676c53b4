"""Running as written: what else the process runs is not touched."""

from __future__ import annotations

import tensorflow as tf

from gradscope.instrument.tensorflow.framework import call_options
from gradscope.instrument.tensorflow.grappler import as_written


def test_what_random_operations_keep_goes_on_after_a_call_as_written() -> None:
    tf.random.set_seed(1)
    drawn = tf.function(lambda: tf.random.normal(()), autograph=False)
    numbers = [float(drawn()), float(drawn())]
    with as_written():
        float(tf.function(lambda: tf.random.normal(()), autograph=False)())
    numbers += [float(drawn()), float(drawn())]
    assert len({*numbers}) == 4, "the function was built anew, and drew the same numbers again"


def test_the_options_of_calls_are_put_back_and_differ_only_meanwhile() -> None:
    before = call_options().config_proto_serialized
    with as_written():
        meanwhile = tf.compat.v1.ConfigProto.FromString(call_options().config_proto_serialized)
    assert meanwhile.graph_options.rewrite_options.disable_meta_optimizer
    assert call_options().config_proto_serialized == before
