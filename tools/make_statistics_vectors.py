#!/usr/bin/env python3
"""Writes crates/eval/tests/data/statistics.json: intervals and agreement of raters by Python's packages.

Needs scipy, scikit-learn, statsmodels and krippendorff 0.8.
"""

import json
import math
import pathlib

import krippendorff
import numpy as np
from scipy import stats
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import fleiss_kappa
from statsmodels.stats.proportion import proportion_confint

rng = np.random.default_rng(20)


def binomial():
    cases = [(0, 93), (64, 93), (93, 93), (1, 10), (5, 10), (1, 1), (0, 1), (526, 4183), (17, 1273)]
    return [
        {
            "successes": successes,
            "n": n,
            "clopper_pearson": proportion_confint(successes, n, method="beta"),
            "wilson": proportion_confint(successes, n, method="wilson"),
        }
        for successes, n in cases
    ]


def cohen():
    first = rng.integers(0, 5, 60)
    second = np.where(rng.random(60) < 0.55, first, rng.integers(0, 5, 60))
    return {
        "ratings": [first.tolist(), second.tolist()],
        **{str(weights): cohen_kappa_score(first, second, weights=weights) for weights in (None, "linear", "quadratic")},
    }


def fleiss():
    table = rng.multinomial(14, [0.1, 0.2, 0.3, 0.3, 0.1], size=10)
    # Fleiss 1971, the example of Wikipedia: 0.210.
    known = [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]
    return [{"table": np.asarray(t).tolist(), "kappa": fleiss_kappa(t)} for t in (table, np.array(known))]


def alpha():
    # Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", data C: nominal 0.743, ordinal 0.815, interval
    # 0.849, ratio 0.797.
    nan = math.nan
    known = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, nan, nan, nan],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, nan, 3],
        [nan, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, nan],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, nan],
    ]
    made = rng.integers(1, 6, (3, 40)).astype(float)
    made[1] = np.where(rng.random(40) < 0.6, made[0], made[1])
    made[rng.random((3, 40)) < 0.15] = nan
    levels = ["nominal", "ordinal", "interval", "ratio"]
    return [
        {
            "raters": [[None if math.isnan(x) else x for x in row] for row in np.asarray(data, float)],
            **{level: krippendorff.alpha(np.asarray(data, float), level_of_measurement=level) for level in levels},
        }
        for data in (known, made)
    ]


def kendall():
    x = rng.integers(0, 8, 50)
    y = x + rng.integers(-2, 3, 50)
    untied = rng.permutation(30)
    cases = [(x, y), (untied, np.argsort(untied)), (np.arange(6), np.arange(6)[::-1])]
    return [{"x": a.tolist(), "y": b.tolist(), "tau": stats.kendalltau(a, b).statistic} for a, b in cases]


def bca():
    # The interval of a paired difference of means, by scipy's BCa.
    first = rng.gamma(2.0, 1.0, 80)
    second = first * 0.8 + rng.gamma(1.0, 0.5, 80)
    interval = stats.bootstrap(
        (second - first,), np.mean, n_resamples=200_000, method="BCa", rng=np.random.default_rng(1), batch=2000
    ).confidence_interval
    return {"base": first.tolist(), "tuned": second.tolist(), "interval": list(interval)}


def main():
    vectors = {
        "binomial": binomial(), "cohen": cohen(), "fleiss": fleiss(), "alpha": alpha(), "kendall": kendall(), "bca": bca(),
    }
    folder = pathlib.Path(__file__).parent.parent / "crates/eval/tests/data"
    (folder / "statistics.json").write_text(json.dumps(vectors, indent=1) + "\n")


main()
