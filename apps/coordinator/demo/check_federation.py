"""Federated tuning of the demo base in PyTorch: an independent check of what the product's demo run should show.

    python3 check_federation.py --model DIR [--data data] [--settings demo-run.json] [--seeds 1 2 3]

For each seed it prints the greedy exact-match accuracy on the test set before tuning, for each participant alone
(same number of steps, no exchange; then their mean) and after FedAvg. The base is rounded to row-wise int8 first,
as the product does. DIR is what train_base.py wrote.
"""

import argparse
import copy
import json
import math
import random
from pathlib import Path

import sentencepiece
import torch
from torch import nn
from torch.nn import functional

from base_model import Llama, load_model, quantise_rows
from tokenizer import BOS, EOS

IGNORED = -100


class LoraLinear(nn.Module):
    """y = W x + (alpha / rank) B A x with W frozen; A as PEFT draws it, B zero (Hu et al. 2021, section 4.1)."""

    def __init__(self, linear: nn.Linear, rank: int, alpha: float, dropout: float):
        super().__init__()
        self.base, self.scaling, self.dropout = linear, alpha / rank, nn.Dropout(dropout)
        bound = 1 / math.sqrt(linear.in_features)
        self.lora_a = nn.Parameter(torch.empty(rank, linear.in_features).uniform_(-bound, bound))
        self.lora_b = nn.Parameter(torch.zeros(linear.out_features, rank))

    def forward(self, x):
        low = functional.linear(self.dropout(x), self.lora_a)
        return self.base(x) + self.scaling * functional.linear(low, self.lora_b)


def with_lora(base: Llama, seed: int, rank: int, alpha: float, dropout: float, targets: list[str]) -> Llama:
    torch.manual_seed(seed)
    model = copy.deepcopy(base).requires_grad_(False)
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if name in targets:
                setattr(module, name, LoraLinear(child, rank, alpha, dropout))
    return model


def adapter_of(model: Llama) -> list[nn.Parameter]:
    return [weight for weight in model.parameters() if weight.requires_grad]


def read_rows(path: Path, tokenizer) -> list[tuple[list[int], list[int]]]:
    """(prompt ids with bos, response ids with eos) of each row, in the `plain` template."""
    rows = []
    for line in path.read_text().splitlines():
        row = json.loads(line)
        prompt = [BOS, *tokenizer.encode(row['instruction'])]
        full = [BOS, *tokenizer.encode(f'{row["instruction"]} {row["output"]}'), EOS]
        rows.append((prompt, full[len(prompt) :]))
    return rows


def padded(rows) -> tuple[torch.Tensor, torch.Tensor]:
    """ids and targets (rows, longest), targets on the response tokens alone."""
    longest = max(len(prompt) + len(response) for prompt, response in rows) - 1
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    targets = torch.full((len(rows), longest), IGNORED)
    for i, (prompt, response) in enumerate(rows):
        full = prompt + response
        ids[i, : len(full) - 1] = torch.tensor(full[:-1])
        targets[i, len(prompt) - 1 : len(full) - 1] = torch.tensor(response)
    return ids, targets


def train_round(model: Llama, rows, steps: int, batch_size: int, lr: float, rng: random.Random) -> None:
    """`steps` of AdamW with fresh state on a seeded order of the rows, wrapping."""
    optimiser = torch.optim.AdamW(adapter_of(model), lr=lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
    order = rng.sample(rows, len(rows))
    model.train()
    for step in range(steps):
        ids, targets = padded([order[(step * batch_size + i) % len(order)] for i in range(batch_size)])
        optimiser.zero_grad()
        functional.cross_entropy(model(ids).flatten(0, 1), targets.flatten(), ignore_index=IGNORED).backward()
        nn.utils.clip_grad_norm_(adapter_of(model), 1.0)
        optimiser.step()


@torch.no_grad()
def evaluate(model: Llama, rows) -> tuple[float, float]:
    """Loss in nats per response token, and the share of rows whose greedy continuation is the response, to the eos."""
    model.eval()
    ids, targets = padded(rows)
    logits = model(ids)
    loss = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
    right = ((logits.argmax(-1) == targets) | (targets == IGNORED)).all(1)
    return float(loss), float(right.float().mean())


def round_learning_rate(t: int, settings: dict) -> float:
    """Cosine over rounds t = 0 … rounds − 1, constant within one."""
    low, high = settings['minLearningRate'], settings['learningRate']
    return low + 0.5 * (high - low) * (1 + math.cos(math.pi * t / settings['rounds']))


def tune(model: Llama, shards: list, settings: dict, seed: int, label: str) -> Llama:
    """FedAvg over `shards`, which hold equally many rows; with a single shard it is local training."""
    for t in range(settings['rounds']):
        adapters = []
        for k, rows in enumerate(shards):
            client = copy.deepcopy(model)
            rng = random.Random(f'{seed}/{label}/{t}/{k}')
            train_round(client, rows, settings['steps'], settings['batchSize'], round_learning_rate(t, settings), rng)
            adapters.append(adapter_of(client))
        with torch.no_grad():
            for weight, *updates in zip(adapter_of(model), *adapters):
                weight.copy_(torch.stack(updates).mean(0))
    return model


def main() -> None:
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--model', type=Path, required=True)
    parser.add_argument('--data', type=Path, default=here / 'data')
    parser.add_argument('--settings', type=Path, default=here / 'demo-run.json')
    parser.add_argument('--seeds', type=int, nargs='+', default=[1, 2, 3])
    args = parser.parse_args()

    torch.set_num_threads(1)
    settings = json.loads(args.settings.read_text())
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(args.model / 'tokenizer.model'))
    shards = [read_rows(path, tokenizer) for path in sorted(args.data.glob('participant-*.jsonl'))]
    test = read_rows(args.data / 'test.jsonl', tokenizer)
    base = load_model(args.model)
    quantise_rows(base)
    print('| seed | before (loss) | alone | local mean | federated (loss) |\n|---|---|---|---|---|')
    for seed in args.seeds:
        start = with_lora(base, seed, **settings['lora'])
        loss_before, before = evaluate(start, test)
        alone = [
            evaluate(tune(copy.deepcopy(start), [shard], settings, seed, f'alone-{k}'), test)[1]
            for k, shard in enumerate(shards)
        ]
        loss_after, after = evaluate(tune(copy.deepcopy(start), shards, settings, seed, 'federated'), test)
        each = ' / '.join(f'{accuracy:.3f}' for accuracy in alone)
        mean = sum(alone) / len(alone)
        print(
            f'| {seed} | {before:.3f} ({loss_before:.2f}) | {each} | {mean:.3f} | {after:.3f} ({loss_after:.2f}) |',
            flush=True,
        )


if __name__ == '__main__':
    main()
