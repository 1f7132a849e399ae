import { createArena, writeView } from '../src/gpu/buffers.ts';
import { createProgramBuilder } from '../src/gpu/program.ts';
import { createActivations } from '../src/llama/activations.ts';
import { recordForward } from '../src/llama/forward.ts';
import { recordLogits } from '../src/llama/head.ts';
import { requiredCapacity } from '../src/llama/plan-capacity.ts';
import type { Model } from '../src/llama/weights.ts';
import { uploadVector } from '../src/lora/flat-vector.ts';
import type { AdapterLayout } from '../src/lora/layout.ts';

/** Logits (tokens, vocab) at every position of one sequence, by the forward pass that training uses. */
export async function fullLogits(
  model: Model,
  adapter: { readonly layout: AdapterLayout; readonly vector: Float32Array } | null,
  ids: readonly number[],
): Promise<Float32Array<ArrayBuffer>> {
  const { gpu, config } = model;
  const arena = createArena(gpu.device);
  const shape = { batch: 1, seq: ids.length, labelRows: ids.length };
  const lora = adapter?.layout.config ?? null;
  const bindingBytes = gpu.device.limits.maxStorageBufferBindingSize;
  const capacity = requiredCapacity(config, shape, { attention: 'materialised', bindingBytes });
  const acts = createActivations(gpu, config, capacity, { lora, keep: 'nothing' });
  const b = createProgramBuilder(gpu);
  const bound = adapter && { layout: adapter.layout, vector: uploadVector(arena, gpu.device, adapter), gradient: null };
  recordForward({ b, model, adapter: bound, dropout: null, acts, shape });
  recordLogits({ b, model, acts, shape });
  const program = await b.finish('full forward');
  const count = Uint32Array.from(ids, (_, t) => t);
  writeView(gpu.device, acts.ids, Uint32Array.from(ids));
  writeView(gpu.device, acts.positions, count);
  writeView(gpu.device, acts.labelIndex, count);
  program.run();
  const logits = await gpu.readF32(acts.logits, ids.length * config.vocabSize);
  for (const resource of [program, acts, arena]) resource.destroy();
  return logits;
}
