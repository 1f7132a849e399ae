import type { TuningStore } from '@cotune/kernels';
import { findFile, privateRoot, replaceFile } from './opfs.ts';

const FILE = 'gpu.json';

/** What this browser knows of its GPU, in its private storage; only for this visit where there is none. */
export async function openGpuStore(): Promise<TuningStore> {
  const root = await privateRoot();
  if (!root) return new Map<string, unknown>();
  const known = await findFile(root, FILE)
    .then(async (file) => (file ? (JSON.parse(await file.text()) as Record<string, unknown>) : {}))
    .catch(() => ({}) as Record<string, unknown>);
  return {
    get: (key) => known[key],
    async set(key, value) {
      known[key] = value;
      await replaceFile(root, FILE, new TextEncoder().encode(JSON.stringify(known)));
    },
  };
}
