"""Trajectories of PyTorch's optimizers, for Tests/OptimizersTests.

Usage: generate.py [--all]   Writes JSON to standard output: by default some steps of each case (the committed
trajectories.json), with --all every step. Needs torch and transformers.

Gradients are computed in double precision and rounded, so that only the optimizers' own arithmetic is compared.
"""
import json
import math
import sys

import torch
from transformers import (
    get_constant_schedule_with_warmup,
    get_cosine_schedule_with_warmup,
    get_linear_schedule_with_warmup,
)

STEPS = 50
KEPT = range(1, STEPS + 1) if "--all" in sys.argv else [1, 2, 3, 5, 8, 13, 21, 34, 50]
ROWS = [[((7 * i + 3 * j * j + i * j) % 17 - 8) / 8 for j in range(5)] for i in range(12)]
LABELS = [1 if (5 * i * i + i) % 7 < 4 else -1 for i in range(12)]
PENALTY = 0.01


def logistic(weight, bias):
    """Mean logistic loss of ROWS and LABELS plus PENALTY/2 of the squared weights."""
    z = torch.tensor(ROWS, dtype=torch.float64) @ weight + bias
    y = torch.tensor(LABELS, dtype=torch.float64)
    return torch.log1p(torch.exp(-y * z)).mean() + PENALTY / 2 * (weight * weight).sum()


def rosenbrock(weight, bias):
    """With a valley of 10, not 100: there PyTorch's own f32 and f64 trajectories differ by 0.2 after 50 steps."""
    x = torch.cat([weight, bias])
    return (10 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


class Problem:
    def __init__(self, name):
        self.loss = {"logistic": logistic, "rosenbrock": rosenbrock}[name]
        self.weight = torch.nn.Parameter(torch.tensor([-0.5, 0.25, 1.0, -1.25, 0.75]))
        self.bias = torch.nn.Parameter(torch.tensor([0.5]))

    def evaluate(self):
        parameters = [self.weight, self.bias]
        wide = [p.detach().double().requires_grad_() for p in parameters]
        with torch.enable_grad():
            loss = self.loss(*wide)
        for p, g in zip(parameters, torch.autograd.grad(loss, wide)):
            p.grad = g.float()
        return loss.detach()

    def values(self):
        return [float(v) for v in torch.cat([self.weight, self.bias]).detach()]


def chat_schedule(step):
    """The schedule of nanoGPT's kind: warm-up over a cosine with a floor of 5%."""
    return min(1, (step + 1) / 10) * (0.5 * (1 + math.cos(math.pi * min(1, step / 40))) * 0.95 + 0.05)


def run(case):
    problem = Problem(case.get("problem", "logistic"))
    options = dict(case.get("options", {}))
    rate = case["rate"]
    make = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "lbfgs": torch.optim.LBFGS}
    if case["algorithm"] == "lbfgs":
        optimizer = torch.optim.LBFGS([problem.weight, problem.bias], lr=rate, **options)
    else:
        groups = [
            {"params": [problem.weight]},
            {"params": [problem.bias], "weight_decay": 0.0, "lr": rate * case.get("bias_rate", 1)},
        ]
        optimizer = make[case["algorithm"]](groups, lr=rate, **options)
    schedule = {
        None: lambda: None,
        "linear": lambda: get_linear_schedule_with_warmup(optimizer, 5, 45),
        "constant": lambda: get_constant_schedule_with_warmup(optimizer, 7),
        "cosine after warm-up": lambda: get_cosine_schedule_with_warmup(optimizer, 8, 50),
        "cosine": lambda: torch.optim.lr_scheduler.LambdaLR(optimizer, chat_schedule),
    }[case.get("schedule")]()
    points, rates, losses = {}, [], []
    for step in range(1, STEPS + 1):
        rates.append(optimizer.param_groups[0]["lr"])
        if case["algorithm"] == "lbfgs":
            loss = optimizer.step(problem.evaluate)
        else:
            loss = problem.evaluate()
            if "clip" in case:
                torch.nn.utils.clip_grad_norm_([problem.weight, problem.bias], case["clip"])
            optimizer.step()
        if schedule:
            schedule.step()
        if step in KEPT:
            points[str(step)] = problem.values()
            losses.append(float(loss))
    row = dict(case, points=points, losses=losses)
    if schedule:
        row["rates"] = [rates[step - 1] for step in KEPT]
    return row


CASES = [
    {"name": "SGD", "algorithm": "sgd", "rate": 0.5},
    {"name": "SGD with momentum, dampening and decay", "algorithm": "sgd", "rate": 0.2,
     "options": {"momentum": 0.9, "dampening": 0.1, "weight_decay": 0.05}},
    {"name": "SGD with Nesterov's momentum, clipped", "algorithm": "sgd", "rate": 0.1, "clip": 0.1,
     "options": {"momentum": 0.8, "nesterov": True, "weight_decay": 0.01}, "schedule": "constant"},
    {"name": "Adam", "algorithm": "adam", "rate": 0.05},
    {"name": "Adam with coupled decay", "algorithm": "adam", "rate": 0.05, "bias_rate": 0.1,
     "options": {"weight_decay": 0.1, "eps": 1e-6}},
    {"name": "AdamW", "algorithm": "adamw", "rate": 0.05},
    {"name": "AdamW, cosine after warm-up", "algorithm": "adamw", "rate": 0.2, "schedule": "cosine after warm-up"},
    {"name": "AdamW, clipped, cosine with warm-up and floor", "algorithm": "adamw", "rate": 0.05, "clip": 0.05,
     "options": {"betas": [0.9, 0.95], "weight_decay": 0.1}, "schedule": "cosine"},
    {"name": "AdamW, linear with warm-up, two rates", "algorithm": "adamw", "rate": 0.1, "clip": 1.0,
     "options": {"weight_decay": 0.5}, "schedule": "linear", "bias_rate": 0.1},
    {"name": "AdamW on Rosenbrock", "algorithm": "adamw", "rate": 0.02, "problem": "rosenbrock", "clip": 1.0},
    {"name": "L-BFGS, fixed length", "algorithm": "lbfgs", "rate": 0.5,
     "options": {"max_iter": 2, "history_size": 4}},
    {"name": "L-BFGS, strong Wolfe", "algorithm": "lbfgs", "rate": 1.0,
     "options": {"max_iter": 1, "max_eval": 10, "history_size": 3, "line_search_fn": "strong_wolfe"}},
    {"name": "L-BFGS, strong Wolfe, several moves a step", "algorithm": "lbfgs", "rate": 0.8,
     "options": {"max_iter": 4, "history_size": 10, "line_search_fn": "strong_wolfe"}},
    {"name": "L-BFGS, strong Wolfe, on Rosenbrock", "algorithm": "lbfgs", "rate": 1.0, "problem": "rosenbrock",
     "options": {"max_iter": 1, "max_eval": 25, "history_size": 3, "line_search_fn": "strong_wolfe"}},
]

if __name__ == "__main__":
    rows = [json.dumps(run(case)) for case in CASES]
    head = json.dumps({"rows": ROWS, "labels": LABELS, "penalty": PENALTY})[1:-1]
    print("{" + head + ',\n"cases": [\n' + ",\n".join(rows) + "\n]}")
