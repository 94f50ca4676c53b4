"""The batches kept from the beginning of a training."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from gradscope.recording.kept_batches import BYTES, SAMPLES, KeptBatches


def batch(samples: int, features: int = 3) -> tuple[tf.Tensor, tf.Tensor]:
    return tf.zeros((samples, features)), tf.zeros(samples, tf.int32)


def test_batches_are_kept_until_the_samples_suffice() -> None:
    kept = KeptBatches()
    count = 0
    while kept.wants_more:
        kept.add(batch(64))
        count += 1
    assert count == len(kept.batches) == -(-SAMPLES // 64)


def test_a_batch_too_many_is_not_kept() -> None:
    kept = KeptBatches()
    kept.add(batch(SAMPLES))
    kept.add(batch(SAMPLES))
    assert len(kept.batches) == 1


def test_batches_too_large_to_be_kept_are_forgotten_and_no_more_are_wanted() -> None:
    kept = KeptBatches()
    kept.add(batch(1))
    kept.add(batch(1, BYTES // 4 + 1))
    assert not kept.wants_more
    assert kept.batches == []


def test_a_closed_census_keeps_nothing() -> None:
    kept = KeptBatches()
    kept.add(batch(1))
    kept.close()
    kept.add(batch(1))
    assert not kept.wants_more
    assert kept.batches == []


def test_ragged_and_sparse_batches_count_by_the_values_they_store() -> None:
    large = BYTES // 8 + 1
    ragged = tf.RaggedTensor.from_row_lengths(np.zeros(large), [large - 1, 1])
    sparse = tf.sparse.from_dense(np.eye(4))
    kept = KeptBatches()
    kept.add(({"words": sparse}, None))
    assert len(kept.batches) == 1
    kept.add((ragged, tf.zeros(2)))
    assert not kept.wants_more
