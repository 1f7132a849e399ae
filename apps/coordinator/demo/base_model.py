"""The demo base as a PyTorch module: Llama with the tensor names and conventions of Hugging Face's LlamaForCausalLM.

RMSNorm before attention and MLP, rotate-half rotary embedding, grouped-query attention, SwiGLU, head tied to the
embedding. Attention never crosses from one packed document to another.
"""

import json
import math
import struct
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional


@dataclass(frozen=True)
class Config:
    """Field names as in a Hugging Face config.json."""

    vocab_size: int = 1024
    hidden_size: int = 128
    intermediate_size: int = 344
    num_hidden_layers: int = 4
    num_attention_heads: int = 4
    num_key_value_heads: int = 2
    max_position_embeddings: int = 256
    rms_norm_eps: float = 1e-5
    rope_theta: float = 10000.0

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_attention_heads

    def to_json(self) -> dict:
        return {
            'architectures': ['LlamaForCausalLM'],
            'model_type': 'llama',
            **asdict(self),
            'head_dim': self.head_dim,
            'attention_bias': False,
            'attention_dropout': 0.0,
            'bos_token_id': 1,
            'eos_token_id': 2,
            'hidden_act': 'silu',
            'initializer_range': 0.02,
            'mlp_bias': False,
            'rope_scaling': None,
            'tie_word_embeddings': True,
            'torch_dtype': 'float32',
            'use_cache': True,
        }


class RmsNorm(nn.Module):
    def __init__(self, dim: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


def rotate(x, cos, sin):
    """Rotate-half RoPE on x (batch, heads, seq, head_dim); cos and sin are (seq, head_dim)."""
    left, right = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-right, left), dim=-1) * sin


class Attention(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        kv_dim = config.num_key_value_heads * config.head_dim
        self.q_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.k_proj = nn.Linear(config.hidden_size, kv_dim, bias=False)
        self.v_proj = nn.Linear(config.hidden_size, kv_dim, bias=False)
        self.o_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=False)

    def forward(self, x, cos, sin, mask):
        batch, seq, dim = x.shape

        def heads(y):
            return y.view(batch, seq, -1, self.config.head_dim).transpose(1, 2)

        q = rotate(heads(self.q_proj(x)), cos, sin)
        groups = self.config.num_attention_heads // self.config.num_key_value_heads
        k = rotate(heads(self.k_proj(x)), cos, sin).repeat_interleave(groups, dim=1)
        v = heads(self.v_proj(x)).repeat_interleave(groups, dim=1)
        scores = q @ k.transpose(2, 3) / math.sqrt(self.config.head_dim) + mask
        return self.o_proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, seq, dim))


class Mlp(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x):
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.input_layernorm = RmsNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RmsNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = Mlp(config)

    def forward(self, x, cos, sin, mask):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask)
        return x + self.mlp(self.post_attention_layernorm(x))


class Llama(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.model = nn.Module()
        self.model.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.model.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.model.norm = RmsNorm(config.hidden_size, config.rms_norm_eps)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                # Output projections are scaled down by the number of residual additions (GPT-2, section 2.3).
                residual = name.endswith(('o_proj.weight', 'down_proj.weight'))
                nn.init.normal_(weight, std=0.02 / math.sqrt(2 * config.num_hidden_layers) if residual else 0.02)

    def forward(self, ids, documents=None):
        """ids (batch, seq) → logits (batch, seq, vocab). documents (batch, seq) numbers the packed documents."""
        seq = ids.shape[1]
        frequencies = self.config.rope_theta ** (-torch.arange(0, self.config.head_dim, 2) / self.config.head_dim)
        angles = torch.outer(torch.arange(seq), frequencies).repeat(1, 2)
        hidden_from = torch.ones(seq, seq, dtype=torch.bool).triu(1)
        if documents is not None:
            hidden_from = (hidden_from | (documents[:, :, None] != documents[:, None, :]))[:, None]
        mask = torch.zeros(hidden_from.shape).masked_fill(hidden_from, -1e9)
        x = self.model.embed_tokens(ids)
        for layer in self.model.layers:
            x = layer(x, angles.cos(), angles.sin(), mask)
        return functional.linear(self.model.norm(x), self.model.embed_tokens.weight)


@torch.no_grad()
def generate(model: Llama, prompt_ids: list[int], max_new_tokens: int, temperature=0.0, generator=None) -> list[int]:
    """New ids up to and without eos (2); greedy at temperature 0. No cache: for checks, not for speed."""
    ids = list(prompt_ids)
    for _ in range(max_new_tokens):
        logits = model(torch.tensor([ids]))[0, -1]
        if temperature == 0:
            token = int(logits.argmax())
        else:
            token = int(torch.multinomial((logits / temperature).softmax(-1), 1, generator=generator))
        if token == 2:
            break
        ids.append(token)
    return ids[len(prompt_ids) :]


@torch.no_grad()
def quantise_rows(model: nn.Module) -> None:
    """Round every matrix in place to what row-wise symmetric int8 keeps: s = max|row| / 127, W = s · round(W / s)."""
    for weight in model.parameters():
        if weight.dim() == 2:
            scale = weight.abs().amax(1, keepdim=True) / 127
            weight.copy_(scale * (weight / scale).round().clamp(-127, 127))


def save_safetensors(tensors: dict[str, torch.Tensor], path: Path) -> None:
    """The safetensors format: 8 bytes of little-endian header length, a JSON header, then the data."""
    header, parts, offset = {'__metadata__': {'format': 'pt'}}, [], 0
    for name in sorted(tensors):
        data = tensors[name].detach().contiguous().numpy().astype('<f4').tobytes()
        header[name] = {
            'dtype': 'F32',
            'shape': list(tensors[name].shape),
            'data_offsets': [offset, offset + len(data)],
        }
        parts.append(data)
        offset += len(data)
    text = json.dumps(header, separators=(',', ':')).encode()
    text += b' ' * (-len(text) % 8)
    path.write_bytes(struct.pack('<Q', len(text)) + text + b''.join(parts))


def load_model(directory: Path) -> Llama:
    """Read back what train_base.py wrote (F32, one file)."""
    config = json.loads((directory / 'config.json').read_text())
    model = Llama(Config(**{name: config[name] for name in asdict(Config())}))
    raw = (directory / 'model.safetensors').read_bytes()
    (length,) = struct.unpack('<Q', raw[:8])
    header = json.loads(raw[8 : 8 + length])
    header.pop('__metadata__')
    state = {}
    for name, entry in header.items():
        start, end = (8 + length + offset for offset in entry['data_offsets'])
        state[name] = torch.from_numpy(np.frombuffer(raw[start:end], '<f4').reshape(entry['shape']).copy())
    model.load_state_dict(state)
    return model
