"""The batches kept from the beginning of a training."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from gradscope.census import BYTES, SAMPLES, Census


def batch(samples: int, features: int = 3) -> tuple[tf.Tensor, tf.Tensor]:
    return tf.zeros((samples, features)), tf.zeros(samples, tf.int32)


def test_batches_are_kept_until_the_samples_suffice() -> None:
    census = Census()
    count = 0
    while census.wants_more:
        census.add(batch(64))
        count += 1
    assert count == len(census.batches) == -(-SAMPLES // 64)


def test_a_batch_too_many_is_not_kept() -> None:
    census = Census()
    census.add(batch(SAMPLES))
    census.add(batch(SAMPLES))
    assert len(census.batches) == 1


def test_batches_too_large_to_be_kept_are_forgotten_and_no_more_are_wanted() -> None:
    census = Census()
    census.add(batch(1))
    census.add(batch(1, BYTES // 4 + 1))
    assert not census.wants_more
    assert census.batches == []


def test_a_closed_census_keeps_nothing() -> None:
    census = Census()
    census.add(batch(1))
    census.close()
    census.add(batch(1))
    assert not census.wants_more
    assert census.batches == []


def test_ragged_and_sparse_batches_count_by_the_values_they_store() -> None:
    large = BYTES // 8 + 1
    ragged = tf.RaggedTensor.from_row_lengths(np.zeros(large), [large - 1, 1])
    sparse = tf.sparse.from_dense(np.eye(4))
    census = Census()
    census.add(({"words": sparse}, None))
    assert len(census.batches) == 1
    census.add((ragged, tf.zeros(2)))
    assert not census.wants_more
