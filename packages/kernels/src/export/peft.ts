import type { LlamaConfig } from '../llama/config.ts';
import { type AdapterLayout, adapterLayout, type LoraConfig } from '../lora/layout.ts';
import { ModelFileError } from '../quantize/error.ts';
import { readText } from '../quantize/read-file.ts';
import { openSafetensorsFile } from '../quantize/safetensors.ts';
import { encodeSafetensors } from '../quantize/safetensors-encode.ts';
import type { FileSource } from '../quantize/source.ts';
import { formatPeftConfig, PEFT_CONFIG, parsePeftConfig } from './peft-config.ts';

export const PEFT_WEIGHTS = 'adapter_model.safetensors';

export interface PeftAdapter {
  readonly config: LoraConfig;
  readonly layout: AdapterLayout;
  /** Every LoRA weight, in the layout's order. */
  readonly vector: Float32Array<ArrayBuffer>;
  /** What the adapter says it was trained on. */
  readonly baseModel: string | null;
}

/**
 * Reads a PEFT directory (adapter_config.json, adapter_model.safetensors in F32, F16 or BF16) for a given model.
 * Throws ModelFileError 'missing-file', 'truncated', 'malformed', 'unsupported-architecture' (a kind of adapter this
 * engine does not run), 'missing-tensor', 'shape-mismatch' (made for another model or rank), 'non-finite'.
 */
export async function readPeft(source: FileSource, model: LlamaConfig): Promise<PeftAdapter> {
  const { config, baseModel } = parsePeftConfig(await readText(source, PEFT_CONFIG));
  const layout = adapterLayout(model, config);
  const reader = await openSafetensorsFile(source, PEFT_WEIGHTS);
  // Files saved from a running PEFT model carry the adapter's name, `default`, in their keys.
  const stored = new Map(
    [...reader.tensors.values()].map((entry) => [entry.name.replace('.default.weight', '.weight'), entry]),
  );
  const vector = new Float32Array(layout.length);
  for (const { name, shape, offset } of layout.tensors) {
    const entry = stored.get(name);
    if (!entry)
      throw new ModelFileError(
        'missing-tensor',
        PEFT_WEIGHTS,
        `no tensor ${name}, which ${PEFT_CONFIG} and the model ask for`,
      );
    if (entry.shape.join() !== shape.join()) {
      throw new ModelFileError(
        'shape-mismatch',
        PEFT_WEIGHTS,
        `${name}: got [${entry.shape}], expected [${shape}]; was it trained on another model?`,
      );
    }
    const values = await reader.rows(entry.name);
    if (!values.every(Number.isFinite))
      throw new ModelFileError('non-finite', PEFT_WEIGHTS, `${name} holds NaN or infinity`);
    vector.set(values, offset);
    stored.delete(name);
  }
  const [extra] = stored.keys();
  if (extra !== undefined) {
    throw new ModelFileError(
      'shape-mismatch',
      PEFT_WEIGHTS,
      `got the tensor ${extra}, which the model and ${PEFT_CONFIG} have no place for`,
    );
  }
  return { config, layout, vector, baseModel };
}

/** The two files of a PEFT directory, which `PeftModel.from_pretrained` loads. `baseModel` is a hub id or a path. */
export function peftFiles(
  layout: AdapterLayout,
  vector: Float32Array,
  { baseModel }: { baseModel: string },
): { readonly 'adapter_model.safetensors': Uint8Array<ArrayBuffer>; readonly 'adapter_config.json': string } {
  if (vector.length !== layout.length)
    throw new RangeError(`adapter vector: got ${vector.length} elements, expected ${layout.length}`);
  const tensors = layout.tensors.map(({ name, shape, offset }) => ({
    name,
    shape,
    data: vector.subarray(offset, offset + shape[0] * shape[1]),
  }));
  return { [PEFT_WEIGHTS]: encodeSafetensors(tensors), [PEFT_CONFIG]: formatPeftConfig(layout.config, baseModel) };
}
