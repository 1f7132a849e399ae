import { type FileSource, httpSource, memorySource, modelManifest } from '@cotune/kernels';
import { downloadFile, type RemoteFile } from './download.ts';
import type { DownloadProgress } from './messages.ts';
import { findFile, folderSource, openFolder, privateRoot, remove, writeFile } from './opfs.ts';

const MANIFEST = 'model.json';

export interface ModelFiles {
  readonly source: FileSource;
  readonly storage: 'opfs' | 'memory';
}

/**
 * Brings a model directory into this browser: what an earlier visit verified is used as it is, a shard that broke off goes on
 * where it stopped, and every file's SHA-256 is checked once. Without a private file system the files are kept in memory.
 * Throws ModelFileError 'unreachable' or 'hash-mismatch'; DOMException 'QuotaExceededError' when the disk is full.
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
  const remote = httpSource(url);
  const manifestBytes = await remote.read(MANIFEST);
  const manifest = modelManifest.parse(JSON.parse(new TextDecoder().decode(manifestBytes)));
  const files: RemoteFile[] = [...manifest.shards, manifest.tokenizer].map(({ file, bytes, sha256 }) => ({
    name: file,
    bytes,
    sha256,
  }));
  const totalBytes = files.reduce((sum, file) => sum + file.bytes, 0);
  const folder = root ? await openFolder(root, `models/${encodeURIComponent(modelId)}`) : null;
  const inMemory: Record<string, Uint8Array<ArrayBuffer>> = { [MANIFEST]: manifestBytes };
  let before = 0;
  let cachedBytes = 0;
  for (const file of files) {
    const report = (stage: DownloadProgress['stage'], bytes: number) =>
      onProgress({ file: file.name, stage, receivedBytes: before + bytes, totalBytes, cachedBytes });
    if (folder && (await isVerified(folder, file))) {
      cachedBytes += file.bytes;
    } else {
      const bytes = await downloadFile(folder, `${url}${file.name}`, file, report, (resumed) => {
        cachedBytes += resumed;
      });
      if (folder) await writeFile(folder, marker(file), new TextEncoder().encode(file.sha256));
      else if (bytes) inMemory[file.name] = bytes;
    }
    before += file.bytes;
    report('downloading', 0);
  }
  if (!folder) return { source: memorySource(inMemory, url), storage: 'memory' };
  await writeFile(folder, MANIFEST, manifestBytes);
  return { source: folderSource(folder), storage: 'opfs' };
}

const marker = (file: RemoteFile) => `${file.name}.verified`;

/** A file whose hash was checked when it was written, and that still has its size. A marker of another hash is an older model. */
async function isVerified(folder: FileSystemDirectoryHandle, file: RemoteFile): Promise<boolean> {
  const mark = await findFile(folder, marker(file));
  if (!mark) return false;
  if ((await mark.text()) === file.sha256 && (await findFile(folder, file.name))?.size === file.bytes) return true;
  await remove(folder, marker(file));
  await remove(folder, file.name);
  return false;
}
