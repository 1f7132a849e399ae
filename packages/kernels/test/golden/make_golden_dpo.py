#!/usr/bin/env python3
"""Golden values of Direct Preference Optimisation, made by plain PyTorch in float64.

    python3 make_golden_dpo.py    # rewrites dpo.json beside this file, always the same bytes on the same PyTorch

Model, weights, adapters and encodings are those of make_golden.py (the weights are in tiny.json). The loss is written from
Rafailov et al. 2023, arXiv 2305.18290, equation 7: with r = beta * (log pi(y|x) - log pi_ref(y|x)), the mean over pairs of
-log sigmoid(r(chosen) - r(rejected)); log pi is the sum over the response's tokens; pi_ref is the model without adapter.
"""
import json
import pathlib

import torch

from make_golden import (
    BASE,
    IGNORED,
    LEARNING_RATES,
    LLAMA3,
    TARGETS,
    TRAINING,
    Llama,
    encode,
    flat,
    make_adapter,
    make_weights,
    quantize,
)


def make_pairs(vocab, generator):
    """Pairs of unequal lengths: a response of one token, a hole in the labels, two responses that begin alike."""
    ids = lambda n: torch.randint(3, vocab, (n,), generator=generator).tolist()
    pairs = []
    for prompt_length, alike, chosen, rejected in ((4, 0, 6, 3), (2, 0, 1, 9), (6, 2, 3, 3), (3, 1, 4, 0)):
        prompt, start = [1, *ids(prompt_length - 1)], ids(alike)
        row = lambda response: {"inputIds": prompt + response, "labels": [IGNORED] * prompt_length + response}
        pairs.append({"chosen": row(start + ids(chosen)), "rejected": row(start + ids(rejected))})
    pairs[0]["chosen"]["labels"][6] = IGNORED
    return pairs


def log_prob(model, row):
    """Sum over the labelled tokens of one sequence."""
    logits = model.logits(row["inputIds"])[:-1]
    labels = torch.tensor(row["labels"][1:])
    return -torch.nn.functional.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum")


def log_probs(model, pairs):
    """(pairs, 2): chosen, rejected."""
    return torch.stack([torch.stack([log_prob(model, pair[side]) for side in ("chosen", "rejected")]) for pair in pairs])


def dpo(model, pairs, reference, beta):
    """Mean loss over pairs, and the reward margin of every pair."""
    rewards = beta * (log_probs(model, pairs) - reference)
    margins = rewards[:, 0] - rewards[:, 1]
    return -torch.nn.functional.logsigmoid(margins).mean(), margins


def train(model, pairs, reference, beta, clip_norm):
    """Five steps of AdamW after clipping, with a learning rate of its own each."""
    parameters = list(model.adapter.values())
    options = {"betas": (TRAINING["beta1"], TRAINING["beta2"]), "eps": TRAINING["eps"]}
    optimizer = torch.optim.AdamW(parameters, weight_decay=TRAINING["weightDecay"], **options)
    steps = []
    for rate in LEARNING_RATES:
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        loss, margins = dpo(model, pairs, reference, beta)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, clip_norm).item()
        optimizer.step()
        measured = {"lossNats": loss.item(), "rewardMargin": margins.mean().item(), "gradNorm": norm}
        accuracy = (margins > 0).double().mean().item()
        steps.append({"learningRate": rate, **measured, "rewardAccuracy": accuracy})
    return steps


def make_case(name, config, weights, rank, beta, clip_norm, seed):
    generator = torch.Generator().manual_seed(seed)
    alpha = 2 * rank
    initial = make_adapter(config, rank, generator)
    adapter = {key: value.double().requires_grad_() for key, value in initial.items()}
    weights = {key: value.double() for key, value in weights.items()}
    model = Llama(config, weights, adapter, alpha / rank)
    pairs = make_pairs(config["vocab_size"], generator)
    reference = log_probs(Llama(config, weights, adapter, 0.0), pairs).detach()
    loss, margins = dpo(model, pairs, reference, beta)
    loss.backward()
    case = {
        "name": name,
        "config": config,
        "lora": {"rank": rank, "alpha": alpha, "dropout": 0, "targets": TARGETS},
        "adapter": encode(flat(initial)),
        "pairs": pairs,
        "beta": beta,
        "logProbs": log_probs(model, pairs).tolist(),
        "referenceLogProbs": reference.tolist(),
        "lossNats": loss.item(),
        "margins": margins.tolist(),
        "gradients": {key: encode(value.grad) for key, value in adapter.items()},
    }
    # The same pairs against another reference model's log-probabilities.
    given = reference + 4 * torch.randn(reference.shape, generator=generator, dtype=torch.float64)
    for value in adapter.values():
        value.grad = None
    loss, margins = dpo(model, pairs, given, beta)
    loss.backward()
    gradient = encode(torch.cat([value.grad.reshape(-1) for value in adapter.values()]))
    results = {"lossNats": loss.item(), "margins": margins.tolist(), "gradient": gradient}
    case["given"] = {"referenceLogProbs": given.tolist(), **results}
    steps = train(model, pairs, reference, beta, clip_norm)
    case["training"] = {"clipNorm": clip_norm, **TRAINING, "steps": steps, "adapter": encode(flat(adapter))}
    return case


def main():
    weights = make_weights(BASE, torch.Generator().manual_seed(1))
    matrices = {name: quantize(weight) for name, weight in weights.items() if weight.dim() == 2}
    dequantized = {**weights, **{name: q.double() * scale.double() for name, (q, scale) in matrices.items()}}
    tied = {**BASE, "tie_word_embeddings": True, "rope_scaling": LLAMA3}
    golden = {
        "source": f"make_golden_dpo.py, PyTorch {torch.__version__}, float64",
        "cases": [
            make_case("untied", BASE, weights, rank=4, beta=0.1, clip_norm=1.0, seed=12),
            make_case("tied", tied, weights, rank=3, beta=0.3, clip_norm=100.0, seed=13),
            make_case("int8", BASE, dequantized, rank=2, beta=0.05, clip_norm=0.4, seed=14),
        ],
    }
    path = pathlib.Path(__file__).with_name("dpo.json")
    path.write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    for case in golden["cases"]:
        steps = [f"{step['lossNats']:.4f} (norm {step['gradNorm']:.3f})" for step in case["training"]["steps"]]
        print(f"{case['name']}: margins {[round(margin, 3) for margin in case['margins']]}, steps {', '.join(steps)}")
    print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
