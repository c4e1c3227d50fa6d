"""
A table with text and missing values
====================================

Predicted and true prices of rows that the model did not see.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import chainrule as cr

rng = np.random.default_rng(0)
houses = pd.DataFrame(
    {
        "area": rng.uniform(30, 200, 1500),
        "town": rng.choice(["Ayr", "Bath", "Ely", None], 1500),
        "built": rng.integers(1900, 2024, 1500).astype(float),
    }
)
price = houses["area"] * (3 + 2 * (houses["town"] == "Bath")) + 0.02 * (houses["built"] - 1960) ** 2
price += rng.normal(0, 20, 1500)
houses.loc[::9, "built"] = np.nan
model = cr.TableRegressor(random_state=0).fit(houses[:1000], price[:1000])

figure, axes = plt.subplots()
axes.plot(price[1000:], model.predict(houses[1000:]), ".", markersize=4)
axes.axline((0, 0), slope=1, color="0.5", linewidth=0.8)
axes.set(xlabel="price", ylabel="predicted price", title=f"R² = {model.score(houses[1000:], price[1000:]):.3f}")
