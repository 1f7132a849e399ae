import { wrap } from 'comlink';
import type { LoadingApi } from './loading-worker.ts';

// The page's side of loading.test.ts: starts the Worker, and ends it without a warning.
let worker: Worker;
let api: ReturnType<typeof wrap<LoadingApi>>;

const page = {
  start() {
    worker = new Worker('/loading-worker.js', { type: 'module' });
    api = wrap<LoadingApi>(worker);
  },
  kill: () => worker.terminate(),
  quantize: (...args: Parameters<LoadingApi['quantize']>) => api.quantize(...args),
  download: (url: string) => api.download(url),
  async storedFiles(folder: string): Promise<string[]> {
    const models = await (await navigator.storage.getDirectory()).getDirectoryHandle('models', { create: true });
    const names: string[] = [];
    for await (const name of (await models.getDirectoryHandle(folder, { create: true })).keys()) names.push(name);
    return names.sort();
  },
};

export type LoadingPage = typeof page;

Object.assign(window, { loading: page });
