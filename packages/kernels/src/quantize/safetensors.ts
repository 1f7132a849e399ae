import { z } from 'zod';
import { ModelFileError } from './error.ts';
import { decodeFloats, FLOAT_BYTES, type FloatDtype } from './half-floats.ts';
import { parseJson, parseWith, readExactly, readText } from './read-file.ts';
import { readSafetensorsHeader, type SafetensorsEntry } from './safetensors-header.ts';
import type { FileSource } from './source.ts';

/** Random access to the tensors of one safetensors file or of a sharded set; only headers are held in memory. */
export interface SafetensorsReader {
  readonly label: string;
  /** In the order that reads the files front to back. */
  readonly tensors: ReadonlyMap<string, SafetensorsEntry>;
  /** Rows [start, end) along the first dimension as f32, row-major; all rows by default. F32, F16 and BF16 only. */
  rows(name: string, start?: number, end?: number): Promise<Float32Array<ArrayBuffer>>;
}

const SINGLE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';
const indexSchema = z.object({ weight_map: z.record(z.string(), z.string().regex(/^[^/\\]+\.safetensors$/)) });

/**
 * Opens `model.safetensors`, or the set that `model.safetensors.index.json` lists; reads headers only.
 * Throws ModelFileError 'missing-file', 'truncated', 'malformed', 'unsupported-dtype' or 'missing-tensor'.
 */
export async function openSafetensors(source: FileSource): Promise<SafetensorsReader> {
  if ((await source.size(SINGLE)) !== undefined) return openSafetensorsFile(source, SINGLE);
  if ((await source.size(INDEX)) === undefined) {
    throw new ModelFileError('missing-file', SINGLE, `neither it nor ${INDEX} is in ${source.label}`);
  }
  const { weight_map: weightMap } = parseWith(indexSchema, parseJson(await readText(source, INDEX), INDEX), INDEX);
  const tensors = new Map<string, SafetensorsEntry>();
  for (const file of [...new Set(Object.values(weightMap))].sort()) {
    const { entries } = await readSafetensorsHeader(source, file);
    for (const entry of entries) if (weightMap[entry.name] === file) tensors.set(entry.name, entry);
  }
  for (const [name, file] of Object.entries(weightMap)) {
    if (!tensors.has(name)) {
      throw new ModelFileError('missing-tensor', file, `has no tensor ${name}, which ${INDEX} places there`);
    }
  }
  return reader(source, tensors);
}

/** Opens one safetensors file by name. Throws as `openSafetensors`. */
export async function openSafetensorsFile(source: FileSource, file: string): Promise<SafetensorsReader> {
  const { entries } = await readSafetensorsHeader(source, file);
  return reader(source, new Map(entries.map((entry) => [entry.name, entry])));
}

function reader(source: FileSource, tensors: ReadonlyMap<string, SafetensorsEntry>): SafetensorsReader {
  return {
    label: source.label,
    tensors,
    async rows(name, start = 0, end) {
      const entry = tensors.get(name);
      if (!entry) throw new ModelFileError('missing-tensor', SINGLE, `no tensor ${name} in ${source.label}`);
      const { dtype, shape, file, begin } = entry;
      if (!isFloat(dtype)) {
        throw new ModelFileError(
          'unsupported-dtype',
          file,
          `tensor ${name}: got dtype ${dtype}, expected F32, F16 or BF16`,
        );
      }
      const rowBytes = shape.slice(1).reduce((product, n) => product * n, 1) * FLOAT_BYTES[dtype];
      const last = end ?? shape[0] ?? 1;
      if (start < 0 || start > last || last > (shape[0] ?? 1)) {
        throw new RangeError(`${name}: rows ${start}..${last} of ${shape[0] ?? 1}`);
      }
      return decodeFloats(await readExactly(source, file, begin + start * rowBytes, begin + last * rowBytes), dtype);
    },
  };
}

function isFloat(dtype: string): dtype is FloatDtype {
  return Object.hasOwn(FLOAT_BYTES, dtype);
}
