#!/usr/bin/env python3
"""Golden values for the Llama engine, made by plain PyTorch (1.13 or newer) in float64.

    python3 make_golden.py        # rewrites tiny.json beside this file, always the same bytes on the same PyTorch

The model is written here from the architecture's definition, with autograd for every gradient, so it shares nothing with
the WGSL. tiny.json holds one set of f32 weights and three cases: `untied`, `tied` (head = embedding, llama3 rope scaling,
odd rank) and `int8` (weights quantised row by row, the model run on the dequantised values). Tensors are base64 of
little-endian float32, and `q` of int8. `adapter` is every LoRA tensor in the order of `gradients`, flattened.
"""
import base64
import json
import math
import pathlib

import torch

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
BASE = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_act": "silu",
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "max_position_embeddings": 64,
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
IGNORED = -100
LEARNING_RATES = [0.01, 0.02, 0.015, 0.01, 0.005]
TRAINING = {"weightDecay": 0.1, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}


def linear_shapes(config):
    """(outputs, inputs) of the seven linears of a layer."""
    dim, ff = config["hidden_size"], config["intermediate_size"]
    head_dim = dim // config["num_attention_heads"]
    kv = config["num_key_value_heads"] * head_dim
    return dict(zip(TARGETS, [(dim, dim), (kv, dim), (kv, dim), (dim, dim), (ff, dim), (ff, dim), (dim, ff)]))


def linear_name(layer, target):
    block = "self_attn" if target in TARGETS[:4] else "mlp"
    return f"model.layers.{layer}.{block}.{target}"


def make_weights(config, generator):
    """Random f32 weights of a size that keeps activations near one and gradients far from zero."""
    normal = lambda *shape: torch.randn(*shape, generator=generator)
    vocab, dim = config["vocab_size"], config["hidden_size"]
    weights = {"model.embed_tokens.weight": 0.3 * normal(vocab, dim)}
    for layer in range(config["num_hidden_layers"]):
        for target, (outputs, inputs) in linear_shapes(config).items():
            weights[f"{linear_name(layer, target)}.weight"] = normal(outputs, inputs) / math.sqrt(inputs)
        for norm in ("input_layernorm", "post_attention_layernorm"):
            weights[f"model.layers.{layer}.{norm}.weight"] = 1 + 0.2 * normal(dim)
    weights["model.norm.weight"] = 1 + 0.2 * normal(dim)
    weights["lm_head.weight"] = normal(vocab, dim) / math.sqrt(dim)
    return weights


def make_adapter(config, rank, generator):
    """LoRA tensors by PEFT's names, layer by layer, target by target, A before B; both non-zero."""
    adapter = {}
    for layer in range(config["num_hidden_layers"]):
        for target, (outputs, inputs) in linear_shapes(config).items():
            prefix = f"base_model.model.{linear_name(layer, target)}"
            uniform = 2 * torch.rand(rank, inputs, generator=generator) - 1
            adapter[f"{prefix}.lora_A.weight"] = uniform / math.sqrt(inputs)
            adapter[f"{prefix}.lora_B.weight"] = 0.3 * torch.randn(outputs, rank, generator=generator)
    return adapter


def quantize(weight):
    """Symmetric int8 a row: s = max|row| / 127, q = clamp(round-half-to-even(W / s))."""
    scale = weight.abs().amax(dim=1, keepdim=True) / 127
    return torch.clamp(torch.round(weight / scale), -127, 127).to(torch.int8), scale


def inverse_frequencies(config):
    head_dim = config["hidden_size"] // config["num_attention_heads"]
    frequency = config["rope_theta"] ** (-torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)
    scaling = config.get("rope_scaling")
    if scaling is None:
        return frequency
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    original, factor = scaling["original_max_position_embeddings"], scaling["factor"]
    scaled = []
    for f in frequency.tolist():
        wavelength = 2 * math.pi / f
        if wavelength > original / low:
            scaled.append(f / factor)
        elif wavelength < original / high:
            scaled.append(f)
        else:
            smooth = (original / wavelength - low) / (high - low)
            scaled.append((1 - smooth) * f / factor + smooth * f)
    return torch.tensor(scaled, dtype=torch.float64)


def rotate(x, config):
    """x: (heads, tokens, head_dim). The half-split rotation."""
    angles = torch.outer(torch.arange(x.shape[1], dtype=torch.float64), inverse_frequencies(config))
    angles = torch.cat([angles, angles], dim=-1)
    first, second = x.chunk(2, dim=-1)
    return x * angles.cos() + torch.cat([-second, first], dim=-1) * angles.sin()


def rmsnorm(x, weight, eps):
    return weight * x / torch.sqrt(x.pow(2).mean(-1, keepdim=True) + eps)


class Llama:
    def __init__(self, config, weights, adapter, scale):
        self.config, self.weights, self.adapter, self.scale = config, weights, adapter, scale

    def linear(self, x, layer, target):
        name = linear_name(layer, target)
        a = self.adapter[f"base_model.model.{name}.lora_A.weight"]
        b = self.adapter[f"base_model.model.{name}.lora_B.weight"]
        return x @ self.weights[f"{name}.weight"].T + self.scale * (x @ a.T) @ b.T

    def attention(self, x, layer):
        tokens, heads = x.shape[0], self.config["num_attention_heads"]
        kv_heads = self.config["num_key_value_heads"]
        split = lambda y, n: y.view(tokens, n, -1).transpose(0, 1)
        q = rotate(split(self.linear(x, layer, "q_proj"), heads), self.config)
        k = rotate(split(self.linear(x, layer, "k_proj"), kv_heads), self.config)
        v = split(self.linear(x, layer, "v_proj"), kv_heads)
        k, v = (t.repeat_interleave(heads // kv_heads, dim=0) for t in (k, v))
        scores = q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])
        future = torch.ones(tokens, tokens, dtype=torch.bool).triu(1)
        out = torch.softmax(scores.masked_fill(future, float("-inf")), dim=-1) @ v
        return self.linear(out.transpose(0, 1).reshape(tokens, -1), layer, "o_proj")

    def logits(self, ids):
        """ids: one unpadded sequence. Returns (tokens, vocab)."""
        eps = self.config["rms_norm_eps"]
        x = self.weights["model.embed_tokens.weight"][torch.tensor(ids)]
        for layer in range(self.config["num_hidden_layers"]):
            norm = lambda name: self.weights[f"model.layers.{layer}.{name}.weight"]
            x = x + self.attention(rmsnorm(x, norm("input_layernorm"), eps), layer)
            h = rmsnorm(x, norm("post_attention_layernorm"), eps)
            gate = torch.nn.functional.silu(self.linear(h, layer, "gate_proj"))
            x = x + self.linear(gate * self.linear(h, layer, "up_proj"), layer, "down_proj")
        head = "model.embed_tokens" if self.config["tie_word_embeddings"] else "lm_head"
        return rmsnorm(x, self.weights["model.norm.weight"], eps) @ self.weights[f"{head}.weight"].T

    def loss(self, batch):
        """Mean negative log-likelihood over the label tokens of the whole batch; position t predicts labels[t + 1]."""
        logits = torch.cat([self.logits(row["inputIds"])[:-1] for row in batch])
        labels = torch.tensor([label for row in batch for label in row["labels"][1:]])
        return torch.nn.functional.cross_entropy(logits, labels, ignore_index=IGNORED)


def make_batch(vocab, generator):
    """Three rows of different lengths: a prompt without labels, a hole in the labels, a label at position 0 (never used)."""
    ids = lambda n: torch.randint(3, vocab, (n,), generator=generator).tolist()
    rows = [[1, *ids(10)], [1, *ids(5)], [1, *ids(8)]]
    labels = [[IGNORED] * 4 + rows[0][4:], [IGNORED] * 3 + rows[1][3:], list(rows[2])]
    labels[0][7] = IGNORED
    return [{"inputIds": i, "labels": l} for i, l in zip(rows, labels)]


def encode(tensor, dtype=torch.float32):
    return base64.b64encode(tensor.detach().to(dtype).contiguous().numpy().tobytes()).decode()


def flat(adapter):
    return torch.cat([tensor.detach().reshape(-1) for tensor in adapter.values()])


def greedy(model, prompt, count):
    """Greedy continuation, and the smallest lead of a winner, which must be far above f32 rounding."""
    ids, lead = list(prompt), math.inf
    for _ in range(count):
        top = torch.topk(model.logits(ids)[-1], 2)
        lead = min(lead, (top.values[0] - top.values[1]).item())
        ids.append(top.indices[0].item())
    assert lead > 1e-3, f"a near-tie of {lead} in the greedy continuation: choose another seed"
    return ids[len(prompt):]


def train(model, batch, clip_norm):
    """Five steps of AdamW after clipping, with a learning rate of its own each."""
    parameters = list(model.adapter.values())
    options = {"betas": (TRAINING["beta1"], TRAINING["beta2"]), "eps": TRAINING["eps"]}
    optimizer = torch.optim.AdamW(parameters, weight_decay=TRAINING["weightDecay"], **options)
    steps = []
    for rate in LEARNING_RATES:
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad()
        loss = model.loss(batch)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, clip_norm).item()
        optimizer.step()
        adapter_norm = flat(model.adapter).norm().item()
        steps.append({"learningRate": rate, "lossNats": loss.item(), "gradNorm": norm, "adapterNorm": adapter_norm})
    return steps


def make_case(name, config, weights, rank, clip_norm, seed):
    generator = torch.Generator().manual_seed(seed)
    alpha = 2 * rank
    initial = make_adapter(config, rank, generator)
    adapter = {key: value.double().requires_grad_() for key, value in initial.items()}
    model = Llama(config, {key: value.double() for key, value in weights.items()}, adapter, alpha / rank)
    batch = make_batch(config["vocab_size"], generator)
    loss = model.loss(batch)
    loss.backward()
    prompt = batch[0]["inputIds"][:4]
    case = {
        "name": name,
        "config": config,
        "lora": {"rank": rank, "alpha": alpha, "dropout": 0, "targets": TARGETS},
        "adapter": encode(flat(initial)),
        "batch": batch,
        "logits": [encode(model.logits(row["inputIds"])) for row in batch],
        "lossNats": loss.item(),
        "labelTokens": sum(label != IGNORED for row in batch for label in row["labels"][1:]),
        "gradients": {key: encode(value.grad) for key, value in adapter.items()},
        "generation": {"promptIds": prompt, "tokenIds": greedy(model, prompt, 12)},
    }
    steps = train(model, batch, clip_norm)
    case["training"] = {"clipNorm": clip_norm, **TRAINING, "steps": steps, "adapter": encode(flat(adapter))}
    return case


def main():
    weights = make_weights(BASE, torch.Generator().manual_seed(1))
    matrices = {name: quantize(weight) for name, weight in weights.items() if weight.dim() == 2}
    dequantized = {**weights, **{name: q.double() * scale.double() for name, (q, scale) in matrices.items()}}
    tied = {**BASE, "tie_word_embeddings": True, "rope_scaling": LLAMA3}
    golden = {
        "source": f"make_golden.py, PyTorch {torch.__version__}, float64",
        "weights": {name: {"shape": list(w.shape), "f32": encode(w)} for name, w in weights.items()},
        "quantized": {name: {"q": encode(q, torch.int8), "scale": encode(scale)} for name, (q, scale) in matrices.items()},
        "cases": [
            make_case("untied", BASE, weights, rank=4, clip_norm=1.0, seed=2),
            make_case("tied", tied, weights, rank=3, clip_norm=1.0, seed=3),
            make_case("int8", BASE, dequantized, rank=4, clip_norm=3.2, seed=4),
        ],
    }
    path = pathlib.Path(__file__).with_name("tiny.json")
    path.write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    for case in golden["cases"]:
        steps = [f"{step['lossNats']:.4f} (norm {step['gradNorm']:.3f})" for step in case["training"]["steps"]]
        print(f"{case['name']}: loss {case['lossNats']:.4f}, steps {', '.join(steps)}, {case['generation']['tokenIds']}")
    print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
