import { z } from 'zod';
import type { Checkpoint } from './hugging-face.ts';
import { shardSchema } from './manifest.ts';
import { fileSha256 } from './model-directory.ts';
import { parseJson, readText } from './read-file.ts';
import { createSha256 } from './sha256.ts';
import type { Shard } from './shard-writer.ts';
import type { FileSink, FileSource } from './source.ts';

/** Names the shards of a model directory that is still being written; removed when model.json is there. */
export const UNFINISHED = 'unfinished.json';

const unfinished = z.object({ fingerprint: z.string(), shards: z.array(shardSchema) });

/**
 * The first shards that an earlier run completed for the same fingerprint, each checked against its SHA-256; those of another
 * one are removed.
 */
export async function keptShards(directory: FileSource, sink: FileSink, fingerprint: string): Promise<Shard[]> {
  if ((await directory.size(UNFINISHED)) === undefined) return [];
  const parsed = unfinished.safeParse(parseJson(await readText(directory, UNFINISHED), UNFINISHED));
  if (!parsed.success) return [];
  if (parsed.data.fingerprint !== fingerprint) {
    for (const { file } of parsed.data.shards) await sink.remove(file);
    return [];
  }
  const kept: Shard[] = [];
  for (const shard of parsed.data.shards) {
    if ((await directory.size(shard.file)) !== shard.bytes) break;
    if ((await fileSha256(directory, shard.file, shard.bytes)) !== shard.sha256) break;
    kept.push(shard);
  }
  return kept;
}

/** Writes the list anew; called after every shard. */
export async function noteShards(sink: FileSink, fingerprint: string, shards: readonly Shard[]): Promise<void> {
  await sink.append(UNFINISHED, new TextEncoder().encode(JSON.stringify({ fingerprint, shards })));
  await sink.close(UNFINISHED);
}

/**
 * What decides the bytes of the result: `settings`, where every tensor lies, and the first row of each tensor of the last layer
 * and of the final norm, since two fine-tunes of one model differ in nothing else that is quick to read.
 */
export async function fingerprintOf(checkpoint: Checkpoint, settings: object): Promise<string> {
  const { config, reader, tensors } = checkpoint;
  const hash = createSha256();
  const entries = tensors.map(({ name }) => reader.tensors.get(name));
  hash.update(new TextEncoder().encode(JSON.stringify([settings, config, entries])));
  for (const { name } of tensors) {
    if (name !== 'model.norm.weight' && !name.startsWith(`model.layers.${config.layers - 1}.`)) continue;
    hash.update(new Uint8Array((await reader.rows(name, 0, 1)).buffer));
  }
  return hash.hex();
}
