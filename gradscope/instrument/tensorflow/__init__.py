"""The instrument for Keras on TensorFlow."""
