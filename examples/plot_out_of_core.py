"""
A file larger than memory
=========================

Six million orders of 20,000 customers lie in a Parquet file. The example allows itself less
memory than the file takes, so that reading it whole fails, and fits a mixed model all the same:
batch by batch, keeping nothing but sums. A DuckDB query is fitted in the same way.
"""

# %%
# Set-up. Besides skmixed the example needs pyarrow; DuckDB is optional.
import os
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from skmixed import RandomInterceptRegressor

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError:
    print("This example reads Parquet files. Install what it needs: pip install pyarrow duckdb")
    sys.exit(0)
try:
    import duckdb
except ImportError:
    duckdb = None
try:
    import resource
except ImportError:  # Windows
    resource = None

N_ROWS, N_GROUPS, BATCH = 6_000_000, 20_000, 100_000
FEATURES = ["discount", "delivery_days", "items", "weekday", "visits", "age"]
COEF = np.array([1.5, -0.8, 2.0, 0.1, 0.0, -0.3])
INTERCEPT, SD_CUSTOMERS, SD_ORDERS = 20.0, 3.0, 8.0
rng = np.random.default_rng(0)
customer_effects = rng.normal(scale=SD_CUSTOMERS, size=N_GROUPS)


# %%
# The file. It is written in parts, so that even here there are never many rows in memory.
def simulate_orders(n_rows):
    customer = rng.integers(0, N_GROUPS, n_rows)
    X = rng.normal(size=(n_rows, len(FEATURES)))
    amount = INTERCEPT + X @ COEF + customer_effects[customer]
    amount += rng.normal(scale=SD_ORDERS, size=n_rows)
    columns = dict(zip(FEATURES, X.T, strict=True))
    return pa.table({"customer": customer.astype(np.int32), **columns, "amount": amount})


folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / "orders.parquet"
part = simulate_orders(BATCH)
with pq.ParquetWriter(path, part.schema, compression="none", use_dictionary=False) as writer:
    writer.write_table(part)
    for _ in range(N_ROWS // BATCH - 1):
        writer.write_table(simulate_orders(BATCH))
file_size = os.path.getsize(path)
print(f"{path.name}: {N_ROWS:,} rows, {file_size / 1e6:.0f} MB")

# %%
# The limit: what the process uses by now, and 300 MB more. A small fit and a small query come
# first, for libraries set memory aside when they are first used.
MEMORY = 300_000_000
assert file_size > MEMORY
small = part.slice(0, 1000).to_pandas()
RandomInterceptRegressor(group_by="customer").fit(small.drop(columns="amount"), small["amount"])
if duckdb is not None:
    database = duckdb.connect(config={"threads": 1, "memory_limit": "100MB"})
    database.sql("SELECT 1").fetchall()
limited = resource is not None and sys.platform == "linux"
if limited:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, hard))
    print(f"Limited to {MEMORY / 1e6:.0f} MB more than the address space in use")
    try:
        pq.ParquetFile(path).read(use_threads=False)
    except MemoryError as error:
        print("Reading it whole fails:", error)
    pa.default_memory_pool().release_unused()
else:
    print("Memory can be limited on Linux only; the fit is the same without a limit.")

# %%
# The fit. ``partial_fit`` sums a batch up and forgets it; the model is solved when something of
# it is asked for, here after 1, 2, 4, 8, ... batches.
model = RandomInterceptRegressor(group_by="customer")
history = []
batches = pq.ParquetFile(path).iter_batches(BATCH, use_threads=False)
for n, batch in enumerate(tqdm(batches, total=N_ROWS // BATCH, desc="batches"), start=1):
    orders = batch.to_pandas()
    model.partial_fit(orders.drop(columns="amount"), orders["amount"])
    if n & (n - 1) == 0 or n * BATCH == N_ROWS:
        variances = model.coef_cov_.iloc[1, 1], model.random_effects_cov_.iloc[0, 0]
        sds = np.sqrt([*variances, model.residual_variance_])
        history.append([n * BATCH, model.coef_[1], *sds])  # after the group's entry, 0
columns = ["rows", "coef", "std_error", "sd_customers", "sd_orders"]
history = pd.DataFrame(history, columns=columns).set_index("rows")
print("\n" + history.round(4).to_string())

# %%
# Does it find the truth that the file was made from? No coefficient may be further from it than
# four standard errors.
std_error = np.sqrt(np.diag(model.coef_cov_))
found = np.append(model.intercept_, model.coef_[1:])
distance = (found - np.append(INTERCEPT, COEF)) / std_error
print("\nStandard errors between estimates and truth:", distance.round(1))
assert np.all(np.abs(distance) < 4)
assert abs(history["sd_customers"].iloc[-1] / SD_CUSTOMERS - 1) < 0.03
assert abs(history["sd_orders"].iloc[-1] / SD_ORDERS - 1) < 0.003

# %%
# The same from a database: DuckDB hands over the rows of a query in batches. Here it reads the
# same file, so the model must be the same.
if duckdb is None:
    print("\nDuckDB is not installed; with it (pip install duckdb) a query is fitted, too.")
else:
    query = database.sql(f"SELECT * FROM '{path}'")
    from_query = RandomInterceptRegressor(group_by="customer")
    for batch in tqdm(query.to_arrow_reader(BATCH), total=N_ROWS // BATCH, desc="DuckDB"):
        orders = batch.to_pandas()
        from_query.partial_fit(orders.drop(columns="amount"), orders["amount"])
    database.close()
    np.testing.assert_allclose(from_query.coef_, model.coef_, rtol=1e-6, atol=1e-9)
    print("\nFitted from a DuckDB query: the same coefficients")

if limited:
    resource.setrlimit(resource.RLIMIT_AS, (before, hard))
folder.cleanup()

# %%
# How the estimates settle as batches come in. What is known of the spread between customers is
# limited by their number, not by that of their orders: one standard error is half a percent.
figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
low, high = (history["coef"] + sign * 1.96 * history["std_error"] for sign in (-1, 1))
axes[0].fill_between(history.index, low, high, alpha=0.25, label="95% interval")
axes[0].plot(history.index, history["coef"], "o-", markersize=4, label="estimate")
axes[0].axhline(COEF[0], color="black", linestyle="--", linewidth=1, label="truth")
axes[0].set(ylabel="coefficient of the discount", title="A coefficient closes in on the truth")
axes[0].legend(frameon=False)
truth = {"sd_customers": SD_CUSTOMERS, "sd_orders": SD_ORDERS}
for name, label in {"sd_customers": "between customers", "sd_orders": "within"}.items():
    axes[1].plot(
        history.index, history[name] / truth[name] - 1, "o-", markersize=4, label=label
    )
axes[1].axhline(0, color="black", linestyle="--", linewidth=1)
limit = 1 / np.sqrt(2 * N_GROUPS)
label = f"standard error of {N_GROUPS:,} customers"
axes[1].axhspan(-limit, limit, alpha=0.12, color="C0", linewidth=0, label=label)
axes[1].yaxis.set_major_formatter("{x:+.2%}")
axes[1].set(ylabel="estimate relative to truth", title="So do standard deviations")
axes[1].set_ylim(-0.011, 0.011)
axes[1].legend(frameon=False, loc="upper right")
for ax in axes:
    ax.set_xscale("log")
    ax.set_xlabel("rows seen")
picture = Path("out_of_core.png")
figure.savefig(picture, dpi=120)
print(f"Picture saved as {picture}")
