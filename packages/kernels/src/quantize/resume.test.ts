import { describe, expect, it } from 'vitest';
import { memorySink, memorySource } from './memory-files.ts';
import { verifyModelDirectory } from './model-directory.ts';
import { type QuantizeOptions, type QuantizeProgress, quantizeModel } from './quantize-model.ts';
import { createSha256, sha256Hex } from './sha256.ts';
import type { FileSink, FileSource } from './source.ts';
import { tinyCheckpoint } from './tiny-checkpoint.ts';
import { UNFINISHED } from './unfinished.ts';

const OPTIONS: QuantizeOptions = { dtype: 'int8', shardBytes: 1024 };

/** A directory in memory that can be written and read, as one on disk. */
function directory(): FileSink & FileSource & { files(): Record<string, Uint8Array<ArrayBuffer>> } {
  const sink = memorySink('out');
  const source = () => memorySource(sink.files());
  return { ...sink, size: (name) => source().size(name), read: (name, start, end) => source().read(name, start, end) };
}

/** Bytes of weights that are read, and a sink that breaks after so many shards. */
function counted(files: Record<string, Uint8Array | string>): FileSource & { weightBytes(): number } {
  const plain = memorySource(files, 'hub/tiny');
  let bytes = 0;
  return {
    ...plain,
    weightBytes: () => bytes,
    async read(name, start, end) {
      const got = await plain.read(name, start, end);
      if (name.endsWith('.safetensors')) bytes += got.byteLength;
      return got;
    },
  };
}

function breaking(sink: FileSink, afterShards: number): FileSink {
  let left = afterShards;
  return {
    ...sink,
    async append(name, bytes) {
      if (name.startsWith('shard-') && left === 0) throw new Error('killed');
      await sink.append(name, bytes);
    },
    async close(name) {
      await sink.close(name);
      if (name.startsWith('shard-')) left--;
    },
  };
}

const { files } = tinyCheckpoint();
const { length: SHARDS } = (await quantizeModel(memorySource(files), memorySink(), OPTIONS)).shards;

async function broken(after: number, options = OPTIONS) {
  const out = directory();
  await expect(
    quantizeModel(memorySource(files, 'hub/tiny'), breaking(out, after), { ...options, resume: out }),
  ).rejects.toThrow('killed');
  return out;
}

describe('a quantiser that was killed', () => {
  it.each([1, 2, 5])('goes on after %d shards to the same bytes, reading only what is missing', async (after) => {
    const whole = directory();
    const plain = counted(files);
    await quantizeModel(plain, whole, OPTIONS);
    expect(whole.files()[UNFINISHED]).toBeUndefined();

    const out = await broken(after);
    // The process is gone, and with it what was appended but not closed.
    const reopened = directory();
    for (const [name, bytes] of Object.entries(out.files())) {
      await reopened.append(name, bytes);
      await reopened.close(name);
    }
    const written: string[] = [];
    const sink: FileSink = {
      ...reopened,
      close(name) {
        written.push(name);
        return reopened.close(name);
      },
    };
    const rest = counted(files);
    const progress: QuantizeProgress[] = [];
    await quantizeModel(rest, sink, { ...OPTIONS, resume: reopened, onProgress: (p) => progress.push(p) });

    expect(reopened.files()).toEqual(whole.files());
    expect(written.filter((name) => name.startsWith('shard-'))[0]).toBe(`shard-0000${after}.bin`);
    if (after > 1) expect(rest.weightBytes()).toBeLessThan(plain.weightBytes());
    expect(progress[0]?.doneBytes).toBeGreaterThan(after > 1 ? 1000 : 0);
    expect(progress.at(-1)).toMatchObject({ doneBytes: progress[0]?.totalBytes, secondsLeft: 0 });
    await verifyModelDirectory(reopened);
  });

  it('makes a damaged shard and all after it again', async () => {
    const out = await broken(4);
    const damaged = new Uint8Array(out.files()['shard-00002.bin'] ?? []);
    damaged[7] = (damaged[7] ?? 0) ^ 1;
    await out.append('shard-00002.bin', damaged);
    await out.close('shard-00002.bin');
    await quantizeModel(memorySource(files, 'hub/tiny'), out, { ...OPTIONS, resume: out });
    await verifyModelDirectory(out);
  });

  it.each([
    ['settings', files, { ...OPTIONS, dtype: 'f32' as const }],
    ['weights', retouched(), OPTIONS],
  ])('starts over for other %s', async (_, other, options) => {
    const whole = directory();
    const { shards } = await quantizeModel(memorySource(other, 'hub/tiny'), whole, options);
    const out = await broken(Math.min(shards.length, SHARDS) - 1);
    await quantizeModel(memorySource(other, 'hub/tiny'), out, { ...options, resume: out });
    expect(out.files()).toEqual(whole.files());
  });
});

/** The same checkpoint after a fine-tune of its last layer: same shapes, same norms, same embedding. */
function retouched() {
  const bytes = new Uint8Array(files['model.safetensors'] as Uint8Array);
  const header = new TextDecoder().decode(
    bytes.subarray(8, 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true))),
  );
  const entry = (JSON.parse(header) as Record<string, { data_offsets: [number, number] }>)[
    'model.layers.1.self_attn.q_proj.weight'
  ];
  new DataView(bytes.buffer).setFloat32(8 + header.length + (entry?.data_offsets[0] ?? 0), 0.5, true);
  return { ...files, 'model.safetensors': bytes };
}

it('hashes piece by piece as at once', async () => {
  const bytes = Uint8Array.from({ length: 1000 }, (_, i) => i * 7);
  const hash = createSha256();
  for (let at = 0; at < 1000; at += 77) hash.update(bytes.subarray(at, at + 77));
  expect(hash.hex()).toBe(await sha256Hex(bytes));
});
