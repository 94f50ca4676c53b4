"""What people say about activation functions, measured on real digits with GradScope.

`measurements` trains networks and turns what GradScope recorded into tables; `claims` judges a table by a criterion
that stands in the code; `page` and `tables` show the verdicts. Run: python examples/activation_study.py --quick.
"""

import logging
import os

# The study is too small for a graphics card, and oneDNN sums in another order on other processors: without both, the
# numbers are the same from run to run. These settings only work before TensorFlow is imported.
os.environ |= {
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "CUDA_VISIBLE_DEVICES": "-1",
}

# TensorFlow warns of many traced functions, as if one model were traced again and again; here it is many models.
logging.getLogger("tensorflow").setLevel(logging.ERROR)
