import { FlError, localTerms, promptTokens, type Tokenizer } from '@cotune/fl-core';
import { decodeVector, type ModelRef, type RunConfig, sha256Hex } from '@cotune/fl-core/protocol';
import {
  type AdapterLayout,
  adapterLayout,
  createTrainer,
  type Gpu,
  generate,
  loadModel,
  type Model,
  openGpu,
  openModelDirectory,
  peftFiles,
  prepareGpu,
  type Trainer,
} from '@cotune/kernels';
import { downloadBlob } from './blob.ts';
import { openGpuStore } from './gpu-store.ts';
import type { DownloadProgress, GenerateJob } from './messages.ts';
import { atIntervals, fetchModelFiles } from './model-files.ts';
import { readModelText } from './model-text.ts';

/** A model on the GPU with one run's adapter: trains it, or writes with it. */
export interface Engine {
  readonly gpu: Gpu;
  readonly trainer: Trainer;
  readonly layout: AdapterLayout;
  readonly storage: 'opfs' | 'memory';
  /** After the GPU ran out of memory: engines opened from now on plan with a quarter less. */
  useLessMemory(): Promise<void>;
  /** Fetches a global adapter and verifies its hash, for `generate` and `peft`. */
  loadAdapter(blob: { url: string; sha256: string }): Promise<void>;
  generate(job: GenerateJob, onText: (text: string) => void, signal: AbortSignal): Promise<string>;
  peft(): { name: string; bytes: Uint8Array<ArrayBuffer> }[];
}

/** Share of the memory that was too much which the next engine may use. */
const SMALLER = 0.75;

/** Downloads what is missing of the model, opens the GPU and loads the weights. Throws GpuError, ModelFileError, ModelError. */
export async function openEngine(
  { model: ref, config }: { readonly model: ModelRef; readonly config: RunConfig },
  onProgress: (progress: DownloadProgress) => void,
): Promise<Engine> {
  const { source: files, storage } = await fetchModelFiles(ref.id, ref.url, onProgress);
  const source = await openModelDirectory(files);
  const gpu = await openGpu(navigator.gpu, { allowSoftware: ref.allowSoftware });
  const known = await openGpuStore();
  await prepareGpu(gpu, source, known);
  const model = await loadModel(gpu, source, {
    onProgress: atIntervals((progress) => onProgress({ ...progress, file: progress.tensor, stage: 'loading' })),
  });
  const text = await readModelText(files);
  const budgetKey = `budget of ${ref.id}, bytes`;
  const budgetBytes = await known.get(budgetKey);
  const trainer = await createTrainer(model, config.lora, {
    longestRow: config.maxSeqLength,
    task: config.task,
    ...localTerms(config.algorithm),
    ...(typeof budgetBytes === 'number' ? { budgetBytes } : {}),
  });
  const layout = adapterLayout(model.config, config.lora);
  let tuned: Float32Array | null = null;
  const adapter = (): Float32Array => {
    if (!tuned) throw new FlError('wrong-state', 'there is no tuned adapter yet');
    return tuned;
  };
  return {
    gpu,
    trainer,
    layout,
    storage,
    useLessMemory: async () => void (await known.set(budgetKey, Math.floor(gpu.memory.peakBytes * SMALLER))),
    async loadAdapter({ url, sha256 }) {
      const bytes = await downloadBlob(url);
      const got = sha256Hex(bytes);
      if (got !== sha256)
        throw new FlError('wrong-hash', `the adapter's sha256 is ${got}, expected ${sha256}; reload the page`);
      tuned = decodeVector(bytes).vector;
    },
    async generate(request, onText, signal) {
      const promptIds = promptTokens([request.prompt], await text.template(config.template), text.tokenizer);
      if ('reason' in promptIds) throw new FlError('invalid', `the prompt ${promptIds.reason}`);
      return write(model, text.tokenizer, promptIds, request, onText, signal, {
        ...(request.tuned ? { adapter: { layout, vector: adapter() } } : {}),
      });
    },
    peft() {
      const written = peftFiles(layout, adapter(), { baseModel: ref.title });
      const encoder = new TextEncoder();
      return Object.entries(written).map(([name, content]) => ({
        name,
        bytes: typeof content === 'string' ? encoder.encode(content) : content,
      }));
    },
  };
}

async function write(
  model: Model,
  tokenizer: Tokenizer,
  promptIds: readonly number[],
  { maxTokens, temperature, seed }: GenerateJob,
  onText: (text: string) => void,
  signal: AbortSignal,
  options: { adapter?: { layout: AdapterLayout; vector: Float32Array } },
): Promise<string> {
  const ids: number[] = [];
  const onToken = (id: number) => {
    ids.push(id);
    onText(tokenizer.decode(ids));
  };
  await generate(model, { ...options, promptIds, maxTokens, temperature, seed, onToken, signal });
  return tokenizer.decode(ids);
}
