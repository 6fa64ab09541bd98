def evaluate(params, seed, device):
    if params["norm"] > 600:
        raise ValueError("the norm is too large")
    return {
        "objective": 1 / (1 + abs(params["norm"] - 200) / 100) + 0.1 * len(repr(params["mode"])),
        "constraints": [params["epochs"] - 2.5],
        "metrics": {"spikes": params["norm"] / 10},
    }
