import {
  type FileSource,
  hubSource,
  MANIFEST,
  ModelFileError,
  parseHubId,
  quantizeModel,
  type RemoteOptions,
  remoteSource,
  type Transfer,
} from '@cotune/kernels';
import { atIntervals } from './model-files.ts';
import { explainFull, folderSink, folderSource, openFolder, privateRoot } from './opfs.ts';

/**
 * The second way to a model, without a coordinator's copy: reads a Hugging Face model (`owner/name[@revision]`, or the http(s)
 * address of a directory in its layout) by range, quantises it to int8 in this Worker and keeps the model directory in the tab's
 * private storage, for `openModelDirectory`. The original is never kept. Called again after a reload it goes on after the last
 * complete shard; once complete it costs one request.
 * Throws ModelFileError: 'storage-full', and as `hubSource` and `quantizeModel`.
 */
export async function quantizeIntoTab(
  from: string,
  onProgress: (progress: Transfer & { readonly tensor: string }) => void,
  options: RemoteOptions & { readonly shardBytes?: number } = {},
): Promise<FileSource> {
  const root = await privateRoot();
  if (!root) {
    throw new ModelFileError('storage-full', 'model', 'this browser gives no private storage; leave private browsing');
  }
  const hubId = parseHubId(from);
  const files = hubId ? await hubSource(hubId, options) : remoteSource(from, options);
  const folder = await openFolder(root, `models/${encodeURIComponent(files.label)}`);
  const kept = folderSource(folder);
  // Two tabs must not write the same shard; the second waits and finds the model complete.
  await navigator.locks.request(`cotune-model-${files.label}`, async () => {
    if ((await kept.size(MANIFEST)) !== undefined) return;
    let neededBytes = 0;
    const report = atIntervals(onProgress);
    try {
      await quantizeModel(files, folderSink(folder), {
        dtype: 'int8',
        source: files.label,
        resume: kept,
        ...(options.shardBytes !== undefined && { shardBytes: options.shardBytes }),
        onProgress(progress) {
          neededBytes = progress.totalBytes - progress.doneBytes;
          report(progress);
        },
      });
    } catch (error) {
      throw await explainFull(error, neededBytes);
    }
  });
  return kept;
}
