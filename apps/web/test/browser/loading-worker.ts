import { loadModel, openGpu, openModelDirectory, type RemoteOptions, verifyModelDirectory } from '@cotune/kernels';
import { expose } from 'comlink';
import { quantizeIntoTab } from '../../src/trainer/hub-model.ts';
import { fetchModelFiles } from '../../src/trainer/model-files.ts';

/** What of a loaded model can be compared: the shards' hashes, and that its weights are on the GPU. */
async function summary(source: Parameters<typeof openModelDirectory>[0]) {
  const { shards } = await verifyModelDirectory(source);
  const gpu = await openGpu(navigator.gpu, { allowSoftware: true });
  const model = await loadModel(gpu, await openModelDirectory(source));
  const norm = await gpu.readF32(model.finalNorm, model.config.hiddenSize);
  gpu.destroy();
  return { hashes: shards.map(({ sha256 }) => sha256), norm: [...norm], weightBytes: model.bytes };
}

/** The Worker's side of loading.test.ts. */
const api = {
  async quantize(from: string, options: RemoteOptions & { shardBytes?: number }) {
    const done: number[] = [];
    const source = await quantizeIntoTab(from, ({ doneBytes }) => void done.push(doneBytes), options);
    return { firstDoneBytes: done[0] ?? null, ...(await summary(source)) };
  },
  async download(url: string) {
    const { source, storage } = await fetchModelFiles('test', url, () => {});
    return { storage, ...(await summary(source)) };
  },
};

export type LoadingApi = typeof api;

expose(api);
