"""What `import skmixed` costs beside scikit-learn's linear models."""

import subprocess
import sys
from statistics import median

N_RUNS = 10


def seconds(module):
    script = f"import time; start = time.process_time(); import {module}; "
    script += "print(time.process_time() - start)"
    return float(subprocess.check_output([sys.executable, "-c", script], text=True))


def test_import(record_ratio):
    runs = [(seconds("skmixed"), seconds("sklearn.linear_model")) for _ in range(N_RUNS)]
    ratio = median(ours for ours, _ in runs) / median(theirs for _, theirs in runs)
    record_ratio("import skmixed / import sklearn.linear_model", ratio)
    assert ratio < 1.3
