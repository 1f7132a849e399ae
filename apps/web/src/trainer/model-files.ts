import {
  downloadFile,
  type FileSource,
  httpSource,
  MANIFEST,
  memorySource,
  type PartialFile,
  parseManifest,
  type RemoteFile,
  type Transfer,
  transferMeter,
} from '@cotune/kernels';
import type { DownloadProgress } from './messages.ts';
import {
  explainFull,
  findFile,
  folderSource,
  openAppender,
  openFolder,
  privateRoot,
  remove,
  requireRoom,
  writeFile,
} from './opfs.ts';

export interface ModelFiles {
  readonly source: FileSource;
  readonly storage: 'opfs' | 'memory';
}

/** Least time between two messages to the page about one transfer. */
const INTERVAL_MS = 100;

/** Passes on what comes at least INTERVAL_MS after the last, and whatever completes the transfer. */
export function atIntervals<T extends Transfer>(report: (progress: T) => void): (progress: T) => void {
  let lastMs = Number.NEGATIVE_INFINITY;
  return (progress) => {
    if (progress.doneBytes < progress.totalBytes && performance.now() - lastMs < INTERVAL_MS) return;
    lastMs = performance.now();
    report(progress);
  };
}

/**
 * Brings a model directory into this browser: what an earlier visit verified is used as it is, a shard that broke off goes on
 * where it stopped, and every file's SHA-256 is checked as it comes. Without a private file system the files are kept in memory.
 * Throws ModelFileError 'unreachable', 'hash-mismatch', or 'storage-full' with what is needed and free.
 */
export async function fetchModelFiles(
  modelId: string,
  url: string,
  onProgress: (progress: DownloadProgress) => void,
): Promise<ModelFiles> {
  const root = await privateRoot();
  // Two tabs of one person must not write the same shard at once; the second waits and finds it done.
  if (root && navigator.locks) {
    return navigator.locks.request(`cotune-model-${modelId}`, () => fetchInto(root, modelId, url, onProgress));
  }
  return fetchInto(root, modelId, url, onProgress);
}

async function fetchInto(
  root: FileSystemDirectoryHandle | null,
  modelId: string,
  url: string,
  onProgress: (progress: DownloadProgress) => void,
): Promise<ModelFiles> {
  const manifestBytes = await httpSource(url).read(MANIFEST);
  const manifest = parseManifest(JSON.parse(new TextDecoder().decode(manifestBytes)));
  const files: RemoteFile[] = [...manifest.shards, manifest.tokenizer].map(({ file, bytes, sha256 }) => ({
    name: file,
    bytes,
    sha256,
  }));
  const folder = root ? await openFolder(root, `models/${encodeURIComponent(modelId)}`) : null;
  const missing = folder ? await missingFiles(folder, files) : files.map((file) => ({ ...file, keptBytes: 0 }));
  const missingBytes = missing.reduce((sum, file) => sum + file.bytes - file.keptBytes, 0);
  if (folder) await requireRoom(missingBytes);

  const totalBytes = files.reduce((sum, file) => sum + file.bytes, 0);
  const meter = transferMeter(totalBytes);
  const report = atIntervals(onProgress);
  const inMemory: Record<string, Uint8Array<ArrayBuffer>> = { [MANIFEST]: manifestBytes };
  let before = totalBytes - missing.reduce((sum, file) => sum + file.bytes, 0);
  let cachedBytes = before;
  for (const file of missing) {
    const options = {
      onResumed: (bytes: number) => {
        cachedBytes += bytes;
      },
      onProgress: (stage: DownloadProgress['stage'], bytes: number) =>
        report({ file: file.name, stage, ...meter.update(before + bytes, cachedBytes) }),
    };
    if (folder) {
      const target = await openAppender(folder, file.name);
      try {
        await downloadFile(`${url}${file.name}`, file, target, options);
      } catch (error) {
        throw await explainFull(error, missingBytes);
      } finally {
        target.close();
      }
      await writeFile(folder, marker(file), new TextEncoder().encode(file.sha256));
    } else {
      const target = memoryFile(file.bytes);
      await downloadFile(`${url}${file.name}`, file, target, options);
      inMemory[file.name] = target.bytes;
    }
    before += file.bytes;
  }
  if (!folder) return { source: memorySource(inMemory, url), storage: 'memory' };
  await writeFile(folder, MANIFEST, manifestBytes);
  return { source: folderSource(folder), storage: 'opfs' };
}

const marker = (file: RemoteFile) => `${file.name}.verified`;

/** The files that are not here and verified, with what an earlier attempt left of each. A marker of another hash is an older model. */
async function missingFiles(folder: FileSystemDirectoryHandle, files: readonly RemoteFile[]) {
  const missing: (RemoteFile & { keptBytes: number })[] = [];
  for (const file of files) {
    const mark = await findFile(folder, marker(file));
    const found = await findFile(folder, file.name);
    if (mark && found?.size === file.bytes && (await mark.text()) === file.sha256) continue;
    if (mark) {
      await remove(folder, marker(file));
      await remove(folder, file.name);
    }
    missing.push({ ...file, keptBytes: mark ? 0 : Math.min(found?.size ?? 0, file.bytes) });
  }
  return missing;
}

function memoryFile(capacity: number): PartialFile & { readonly bytes: Uint8Array<ArrayBuffer> } {
  const bytes = new Uint8Array(capacity);
  let size = 0;
  return {
    bytes,
    get size() {
      return size;
    },
    append(part) {
      bytes.set(part, size);
      size += part.byteLength;
    },
    clear() {
      size = 0;
    },
    pieces: () => [bytes.subarray(0, size)],
  };
}
