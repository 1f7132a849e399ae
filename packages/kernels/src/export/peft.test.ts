import { describe, expect, it } from 'vitest';
import { adapterLayout, type LoraConfig } from '../lora/layout.ts';
import { ModelFileError } from '../quantize/error.ts';
import { memorySource } from '../quantize/memory-files.ts';
import { encodeSafetensors } from '../quantize/safetensors-encode.ts';
import { tinyCheckpoint } from '../quantize/tiny-checkpoint.ts';
import { peftFiles, readPeft } from './peft.ts';

const { config: model } = tinyCheckpoint();
const lora: LoraConfig = { rank: 3, alpha: 6, dropout: 0.05, targets: ['q_proj', 'v_proj', 'down_proj'] };
const layout = adapterLayout(model, lora);
const vector = Float32Array.from({ length: layout.length }, (_, i) => Math.sin(i * 0.71));
const files = peftFiles(layout, vector, { baseModel: 'hub/tiny' });

const read = (replaced: Record<string, Uint8Array | string> = {}) =>
  readPeft(memorySource({ ...files, ...replaced }), model);
const withConfig = (changes: Record<string, unknown>) =>
  read({ 'adapter_config.json': JSON.stringify({ ...JSON.parse(files['adapter_config.json']), ...changes }) });

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => new Error('did not throw'),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ModelFileError)) throw error;
  return error.code;
}

describe('PEFT', () => {
  it('reads back what it wrote', async () => {
    expect(await read()).toEqual({ config: lora, layout, vector, baseModel: 'hub/tiny' });
  });

  it("uses PEFT's file format: names, shapes and settings", () => {
    const bytes = files['adapter_model.safetensors'];
    const headerBytes = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + headerBytes)));
    expect(header['base_model.model.model.layers.1.mlp.down_proj.lora_A.weight'].shape).toEqual([3, 28]);
    expect(header['base_model.model.model.layers.0.self_attn.v_proj.lora_B.weight'].shape).toEqual([8, 3]);
    expect(header.__metadata__).toEqual({ format: 'pt' });
    expect(JSON.parse(files['adapter_config.json'])).toMatchObject({
      peft_type: 'LORA',
      task_type: 'CAUSAL_LM',
      r: 3,
      lora_alpha: 6,
      lora_dropout: 0.05,
      bias: 'none',
      target_modules: ['q_proj', 'v_proj', 'down_proj'],
      base_model_name_or_path: 'hub/tiny',
    });
  });

  it('accepts half precision, any tensor order, and keys with the adapter name', async () => {
    const parts: Uint8Array[] = [];
    const header: Record<string, unknown> = {};
    let at = 0;
    for (const { name, shape, offset } of [...layout.tensors].reverse()) {
      const size = shape[0] * shape[1];
      // Halves with a short mantissa, exact in bfloat16.
      const values = Float32Array.from({ length: size }, (_, i) => ((offset + i) % 128) / 64 - 1);
      const high = new Uint16Array(values.buffer).filter((_, i) => i % 2 === 1);
      parts.push(new Uint8Array(high.buffer));
      header[name.replace('.weight', '.default.weight')] = { dtype: 'BF16', shape, data_offsets: [at, at + 2 * size] };
      at += 2 * size;
    }
    const text = new TextEncoder().encode(JSON.stringify(header));
    const file = new Uint8Array(8 + text.length + at);
    new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
    file.set(text, 8);
    let end = 8 + text.length;
    for (const part of parts) {
      file.set(part, end);
      end += part.length;
    }
    const adapter = await read({ 'adapter_model.safetensors': file });
    expect(adapter.vector).toEqual(Float32Array.from({ length: layout.length }, (_, i) => (i % 128) / 64 - 1));
  });

  it('reads all-linear, and fills in the defaults that PEFT may leave out', async () => {
    const all = adapterLayout(model, {
      rank: 1,
      alpha: 1,
      dropout: 0,
      targets: ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'],
    });
    const written = peftFiles(all, new Float32Array(all.length).fill(0.5), { baseModel: 'x' });
    const config = JSON.stringify({ peft_type: 'LORA', r: 1, lora_alpha: 1, target_modules: 'all-linear' });
    const adapter = await readPeft(memorySource({ ...written, 'adapter_config.json': config }), model);
    expect(adapter.layout).toEqual(all);
    expect(adapter.baseModel).toBeNull();
  });

  it.each([
    [{ peft_type: 'IA3' }, 'unsupported-architecture'],
    [{ task_type: 'SEQ_CLS' }, 'unsupported-architecture'],
    [{ bias: 'all' }, 'unsupported-architecture'],
    [{ use_rslora: true }, 'unsupported-architecture'],
    [{ use_dora: true }, 'unsupported-architecture'],
    [{ rank_pattern: { q_proj: 8 } }, 'unsupported-architecture'],
    [{ modules_to_save: ['lm_head'] }, 'unsupported-architecture'],
    [{ layers_to_transform: 0 }, 'unsupported-architecture'],
    [{ target_modules: ['q_proj', 'lm_head'] }, 'unsupported-architecture'],
    [{ target_modules: '.*q_proj' }, 'unsupported-architecture'],
    [{ target_modules: [] }, 'unsupported-architecture'],
    [{ r: 4 }, 'shape-mismatch'],
    [{ r: 0 }, 'malformed'],
    [{ lora_dropout: 1 }, 'malformed'],
    [{ target_modules: ['q_proj', 'v_proj', 'o_proj'] }, 'missing-tensor'],
    [{ target_modules: ['q_proj', 'v_proj'] }, 'shape-mismatch'],
  ])('refuses %j', async (changes, code) => {
    expect(await codeOf(withConfig(changes))).toBe(code);
  });

  it('refuses damaged files, another model and weights that are not finite', async () => {
    const weights = files['adapter_model.safetensors'];
    expect(await codeOf(read({ 'adapter_model.safetensors': weights.subarray(0, weights.length - 3) }))).toBe(
      'truncated',
    );
    expect(await codeOf(read({ 'adapter_config.json': 'r: 8' }))).toBe('malformed');
    expect(await codeOf(readPeft(memorySource({}), model))).toBe('missing-file');
    const wider = tinyCheckpoint({ hidden_size: 32 }).config;
    expect(await codeOf(readPeft(memorySource(files), wider))).toBe('shape-mismatch');
    const broken = layout.tensors.map(({ name, shape }) => ({
      name,
      shape,
      data: new Float32Array(shape[0] * shape[1]).fill(Number.NaN),
    }));
    expect(await codeOf(read({ 'adapter_model.safetensors': encodeSafetensors(broken) }))).toBe('non-finite');
    expect(() => peftFiles(layout, new Float32Array(3), { baseModel: 'x' })).toThrow(RangeError);
  });
});
