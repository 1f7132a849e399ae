"""Trains the demo base model and its tokenizer and writes a Hugging Face directory.

    python3 train_base.py --out DIR [--steps 4500] [--seed 1] [--threads 1]

Needs PyTorch (1.13 or newer), sentencepiece and numpy; on Debian 12: python3-torch, python3-sentencepiece,
python3-numpy, and libopenblas0-pthread, without which matrix products are some thirty times slower.
"""

import argparse
import hashlib
import json
import math
import random
import time
from pathlib import Path

import torch
from torch.nn import functional

from base_model import Config, Llama, generate, quantise_rows, save_safetensors
from news import TEST_STEMS, TRAIN_STEMS
from pretraining_text import random_document, tokenizer_corpus
from tokenizer import BOS, EOS, train_tokenizer, write_tokenizer

WHOLE_WORDS = ('positive', 'negative', 'neutral', 'up', 'down', 'flat')
PROMPTS = ('Profit at', 'Velmont wins', 'Court', 'Hackers', 'Analysts', 'The new')
IGNORED = -100
README = '''---
license: apache-2.0
---
The base of Cotune's demo: see MODEL_CARD.md beside train_base.py, which wrote this directory.
'''


def packed_batch(rng: random.Random, tokenizer, stems, rows: int, row_tokens: int):
    """Rows of whole documents `<s> text </s>`: ids, targets and document numbers, each (rows, row_tokens)."""
    ids = torch.zeros(rows, row_tokens, dtype=torch.long)
    targets = torch.full((rows, row_tokens), IGNORED, dtype=torch.long)
    documents = torch.full((rows, row_tokens), -1, dtype=torch.long)
    for row in range(rows):
        start = 0
        while True:
            document = [BOS, *tokenizer.encode(random_document(rng, stems)), EOS]
            inputs = document[:-1]
            end = start + len(inputs)
            if end > row_tokens:
                break
            ids[row, start:end] = torch.tensor(inputs)
            targets[row, start:end] = torch.tensor(document[1:])
            documents[row, start:end] = start
            start = end
    return ids, targets, documents


def loss_of(model: Llama, batch) -> torch.Tensor:
    """Mean cross-entropy in nats per token of the packed documents."""
    ids, targets, documents = batch
    return functional.cross_entropy(model(ids, documents).flatten(0, 1), targets.flatten(), ignore_index=IGNORED)


@torch.no_grad()
def evaluate(model: Llama, tokenizer, stems, seed: str) -> float:
    """Loss on 8 fresh batches of documents whose company names come from `stems`."""
    rng = random.Random(seed)
    return sum(float(loss_of(model, packed_batch(rng, tokenizer, stems, 32, 96))) for _ in range(8)) / 8


def learning_rate(step: int, steps: int, peak: float, warmup: int = 100) -> float:
    """Linear warm-up, then cosine down to 2 % of the peak."""
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))


def train(model: Llama, tokenizer, args) -> int:
    """AdamW on freshly drawn documents, so that no document is seen twice but by chance. Returns the tokens seen."""
    matrices = [weight for weight in model.parameters() if weight.dim() == 2]
    vectors = [weight for weight in model.parameters() if weight.dim() < 2]
    groups = [{'params': matrices, 'weight_decay': 0.1}, {'params': vectors, 'weight_decay': 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=args.lr, betas=(0.9, 0.95))
    rng = random.Random(f'{args.seed}/pretraining')
    tokens, started = 0, time.time()
    for step in range(args.steps):
        batch = packed_batch(rng, tokenizer, TRAIN_STEMS, args.batch, args.row_tokens)
        for group in optimiser.param_groups:
            group['lr'] = learning_rate(step, args.steps, args.lr)
        loss = loss_of(model, batch)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        tokens += int((batch[1] != IGNORED).sum())
        if step % 100 == 99 or step == 0:
            print(
                f'step {step + 1} loss {float(loss):.4f} tokens {tokens} seconds {time.time() - started:.0f}',
                flush=True,
            )
    return tokens


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', type=Path, required=True, help='directory to write; made when missing')
    parser.add_argument('--steps', type=int, default=4500)
    parser.add_argument('--batch', type=int, default=16, help='packed rows in a batch')
    parser.add_argument('--row-tokens', type=int, default=96)
    parser.add_argument('--lr', type=float, default=3e-3)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--threads', type=int, default=1, help='of PyTorch; OpenBLAS takes all cores by itself')
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)

    config = Config()
    lines = tokenizer_corpus(random.Random(f'{args.seed}/tokenizer'), TRAIN_STEMS, 20000)
    tokenizer = train_tokenizer(lines, config.vocab_size, WHOLE_WORDS)
    write_tokenizer(tokenizer, args.out, config.max_position_embeddings)

    model = Llama(config)
    print(f'{sum(weight.numel() for weight in model.parameters())} parameters', flush=True)
    started = time.time()
    tokens = train(model, tokenizer, args)
    report = {
        'parameters': sum(weight.numel() for weight in model.parameters()),
        'tokens': tokens,
        'seconds': round(time.time() - started),
        'loss_train_names': evaluate(model, tokenizer, TRAIN_STEMS, f'{args.seed}/evaluation'),
        'loss_held_out_names': evaluate(model, tokenizer, TEST_STEMS, f'{args.seed}/evaluation'),
    }
    (args.out / 'config.json').write_text(json.dumps(config.to_json(), indent=2) + '\n')
    (args.out / 'README.md').write_text(README)
    save_safetensors(model.state_dict(), args.out / 'model.safetensors')

    generator = torch.Generator().manual_seed(args.seed)
    for prompt in PROMPTS:
        ids = [BOS, *tokenizer.encode(prompt)]
        print('sample:', tokenizer.decode(ids[1:] + generate(model, ids, 60, 0.7, generator)))
    quantise_rows(model)
    report['loss_held_out_names_int8'] = evaluate(model, tokenizer, TEST_STEMS, f'{args.seed}/evaluation')
    report['sha256'] = {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(args.out.iterdir())}
    print(json.dumps(report, indent=2))


if __name__ == '__main__':
    main()
