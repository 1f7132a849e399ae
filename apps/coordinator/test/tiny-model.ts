import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createRng } from '@cotune/fl-core';
import { memorySource, quantizeModel } from '@cotune/kernels';
import { directorySink } from '@cotune/kernels/node';

const CHARACTERS = [...Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)), '\n'];
const CONFIG = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: 3 + CHARACTERS.length,
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true,
  max_position_embeddings: 64,
  bos_token_id: 1,
  eos_token_id: 2,
};

/** Shapes by Hugging Face name. */
function shapes(): [string, number[]][] {
  const { hidden_size: dim, intermediate_size: ff, vocab_size: vocab, num_hidden_layers: layers } = CONFIG;
  const kv = (dim / CONFIG.num_attention_heads) * CONFIG.num_key_value_heads;
  const layer = (i: number): [string, number[]][] => [
    [`model.layers.${i}.input_layernorm.weight`, [dim]],
    [`model.layers.${i}.self_attn.q_proj.weight`, [dim, dim]],
    [`model.layers.${i}.self_attn.k_proj.weight`, [kv, dim]],
    [`model.layers.${i}.self_attn.v_proj.weight`, [kv, dim]],
    [`model.layers.${i}.self_attn.o_proj.weight`, [dim, dim]],
    [`model.layers.${i}.post_attention_layernorm.weight`, [dim]],
    [`model.layers.${i}.mlp.gate_proj.weight`, [ff, dim]],
    [`model.layers.${i}.mlp.up_proj.weight`, [ff, dim]],
    [`model.layers.${i}.mlp.down_proj.weight`, [dim, ff]],
  ];
  return [
    ['model.embed_tokens.weight', [vocab, dim]],
    ...Array.from({ length: layers }, (_, i) => layer(i)).flat(),
    ['model.norm.weight', [dim]],
  ];
}

function safetensors(seed: string): Uint8Array {
  const rng = createRng(seed);
  const header: Record<string, object> = {};
  const parts: Float32Array[] = [];
  let offset = 0;
  for (const [name, shape] of shapes()) {
    const length = shape.reduce((product, n) => product * n, 1);
    const norm = shape.length === 1;
    parts.push(Float32Array.from({ length }, () => (norm ? 1 : 0) + 0.15 * rng.normal()));
    header[name] = { dtype: 'F32', shape, data_offsets: [offset, offset + length * 4] };
    offset += length * 4;
  }
  const text = JSON.stringify(header);
  const head = new TextEncoder().encode(text.padEnd(Math.ceil(text.length / 8) * 8, ' '));
  const bytes = new Uint8Array(8 + head.length + offset);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(head.length), true);
  bytes.set(head, 8);
  let at = 8 + head.length;
  for (const part of parts) {
    bytes.set(new Uint8Array(part.buffer), at);
    at += part.byteLength;
  }
  return bytes;
}

/** Writes a random two-layer Llama with one token a character, as a model directory; without a chat template unless given. */
export async function writeTinyModel(dir: string, seed = 'tiny-model', chatTemplate?: string): Promise<void> {
  const vocab = Object.fromEntries(['<unk>', '<s>', '</s>', ...CHARACTERS].map((token, id) => [token, id]));
  const special = (id: number, content: string) => ({ id, content, special: true });
  const tokenizer = {
    version: '1.0',
    added_tokens: [special(0, '<unk>'), special(1, '<s>'), special(2, '</s>')],
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: { type: 'Fuse' },
    model: { type: 'BPE', unk_token: '<unk>', vocab, merges: [] },
  };
  const source = memorySource({
    'config.json': new TextEncoder().encode(JSON.stringify(CONFIG)),
    'model.safetensors': safetensors(seed),
    'tokenizer.json': new TextEncoder().encode(JSON.stringify(tokenizer)),
    ...(chatTemplate === undefined ? {} : { 'chat_template.jinja': new TextEncoder().encode(chatTemplate) }),
  });
  await mkdir(dir, { recursive: true });
  await quantizeModel(source, directorySink(dir), { dtype: 'int8' });
}

/** Short enough for the model's positions: "Q…A…</s>". */
export const TINY_CHAT_TEMPLATE =
  "{% for m in messages %}{{ 'Q' if m.role == 'user' else 'A' }}{{ m.content }}" +
  "{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}{% if add_generation_prompt %}A{% endif %}";

/** Held-out questions with one-character answers. */
export async function writeHeldOut(file: string): Promise<void> {
  const rows = ['red', 'blue', 'green'].map((word) =>
    JSON.stringify({ prompt: `${word}? `, response: word.slice(0, 1) }),
  );
  await writeFile(file, `${rows.join('\n')}\n`);
}

export const tinyModelFiles = (root: string) => ({ dir: join(root, 'model'), heldOut: join(root, 'held-out.jsonl') });
