"""
A new customer: how soon does personalisation pay?
==================================================

A model is fitted to customers known for long. New ones arrive, of whom nothing is known: they
are predicted by the population line. Every order they place tells something, and
``update_groups`` learns from it at once, without fitting anew. How many orders does it take
until a new customer's own line is worth something, and when would a regression of the
customer's own do as well?
"""

# %%
# Simulated, so that the truth is known: 500 known customers with 40 orders each, and 400 new
# ones. Customers differ in level and in how they respond to a discount. The first 30 orders of
# new customers are seen one by one, the next 30 are to be predicted.
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skmixed import RandomSlopeRegressor

N_KNOWN, N_NEW, N_SEEN, N_TEST = 500, 400, 30, 30
SD = {"level": 4.0, "slope": 1.5, "order": 5.0}
rng = np.random.default_rng(0)


def simulate_orders(customers, n_orders):
    n = len(customers)
    own = np.array([20.0, 2.0]) + rng.normal(scale=[SD["level"], SD["slope"]], size=(n, 2))
    discount = rng.uniform(0, 5, size=(n, n_orders))
    amount = own[:, :1] + own[:, 1:] * discount
    amount += rng.normal(scale=SD["order"], size=amount.shape)
    return pd.DataFrame(
        {
            "customer": np.repeat(customers, n_orders),
            "order": np.tile(np.arange(n_orders), n),
            "discount": discount.ravel(),
            "amount": amount.ravel(),
        }
    )


known = simulate_orders(np.arange(N_KNOWN), 40)
new = simulate_orders(np.arange(10_000, 10_000 + N_NEW), N_SEEN + N_TEST)
test = new[new["order"] >= N_SEEN]

# %%
# The model, fitted once to the known customers.
model = RandomSlopeRegressor("discount").fit(
    known[["discount"]], known["amount"], groups=known["customer"]
)
print(model.summary())


# %%
# One order of each new customer at a time: learn it, then predict the test orders. Beside it
# the population line, which never learns, and a regression for each customer on its own orders,
# which needs two to have a line and has nothing to hold on to at first.
def rmse(prediction):
    return np.sqrt(np.mean((test["amount"] - prediction) ** 2))


def own_regressions(orders):
    """Least squares for each customer, all at once."""
    means = orders.groupby("customer")[["discount", "amount"]].transform("mean")
    x, y = (orders[name] - means[name] for name in means)
    sums = pd.DataFrame({"xy": x * y, "xx": x * x}).groupby(orders["customer"]).sum()
    slope = sums["xy"] / sums["xx"]
    means = means.groupby(orders["customer"]).first()
    return means["amount"] - slope * means["discount"], slope


population = rmse(model.predict_population(test[["discount"]]))
curve = {0: {"population line": population, "update_groups": population}}
one = new["customer"].iloc[0]
snapshots, grid = {}, pd.DataFrame({"discount": np.linspace(0, 5, 21)})
seconds = 0.0
for n_seen in range(1, N_SEEN + 1):
    orders = new[new["order"] == n_seen - 1]
    start = time.perf_counter()
    model.update_groups(orders[["discount"]], orders["amount"], groups=orders["customer"])
    seconds += time.perf_counter() - start
    prediction = model.predict(test[["discount"]], groups=test["customer"])
    curve[n_seen] = {"population line": population, "update_groups": rmse(prediction)}
    if n_seen >= 3:
        level, slope = own_regressions(new[new["order"] < n_seen])
        own = test["customer"].map(level) + test["customer"].map(slope) * test["discount"]
        curve[n_seen]["own regression"] = rmse(own)
    if n_seen in (1, 5, 30):
        labels = np.full(len(grid), one)
        line = model.predict(grid, groups=labels)
        snapshots[n_seen] = line, model.predict_interval(grid, groups=labels, kind="mean")
curve = pd.DataFrame.from_dict(curve, orient="index").rename_axis("orders seen")
print("\nRoot mean squared error of the next orders of new customers:")
print(curve.loc[[0, 1, 2, 3, 5, 10, 20, 30]].round(2).to_string())
print(f"\nLearning an order: {seconds / (N_SEEN * N_NEW) * 1e6:.0f} microseconds")

# %%
# The result. The model is never worse than the population line, is far ahead of a regression of
# the customer's own while there are few orders, and not behind it when there are many.
assert (curve["update_groups"].diff().dropna() < 0.05).all()
assert (curve["update_groups"] <= curve["population line"]).all()
assert (curve["update_groups"].loc[3:] < curve["own regression"].loc[3:]).all()

figure, axes = plt.subplots(1, 2, figsize=(11, 4.3), layout="constrained")
styles = {"population line": "--", "update_groups": "-", "own regression": "-"}
colors = {"population line": "0.4", "update_groups": "C0", "own regression": "C1"}
for name, style in styles.items():
    axes[0].plot(curve.index, curve[name], style, color=colors[name], label=name)
axes[0].axhline(SD["order"], color="black", linewidth=1, linestyle=":", label="noise of orders")
axes[0].set(
    xlabel="orders seen of each new customer",
    ylabel="RMSE of their next orders",
    ylim=(SD["order"] - 0.4, population * 1.35),
    title="Few orders go a long way",
)
axes[0].legend(frameon=False)

seen = new[(new["customer"] == one) & (new["order"] < N_SEEN)]
axes[1].plot(seen["discount"], seen["amount"], ".", color="0.6", label="orders")
axes[1].plot(
    grid["discount"], model.predict_population(grid), "--", color="0.4", label="population line"
)
for shade, (n_seen, (line, limits)) in zip((0.75, 0.5, 0.15), snapshots.items(), strict=True):
    color = plt.colormaps["viridis"](shade)
    axes[1].fill_between(grid["discount"], *limits.T, color=color, alpha=0.15, linewidth=0)
    axes[1].plot(grid["discount"], line, color=color, label=f"orders seen: {n_seen}")
axes[1].set(xlabel="discount", ylabel="amount", title="One customer's line, with 95% intervals")
axes[1].set_ylim(top=seen["amount"].max() + 15)
axes[1].legend(frameon=False, ncols=2, loc="upper left")
picture = Path("new_groups.png")
figure.savefig(picture, dpi=120)
print(f"Picture saved as {picture}")
