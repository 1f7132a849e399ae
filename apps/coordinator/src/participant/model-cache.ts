import { existsSync } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FlError } from '@cotune/fl-core';
import { sha256Hex } from '@cotune/fl-core/protocol';
import { modelManifest } from '@cotune/kernels';

/**
 * Downloads a model directory into `cacheDir`, shard by shard, each checked against its sha256. What is there already is
 * not fetched again. Returns the local directory.
 */
export async function cacheModel(
  url: URL,
  cacheDir: string,
  onProgress: (doneBytes: number, totalBytes: number) => void,
): Promise<string> {
  const manifestBytes = await fetchBytes(new URL('model.json', url));
  const manifest = modelManifest.parse(JSON.parse(new TextDecoder().decode(manifestBytes)));
  const directory = join(cacheDir, sha256Hex(manifestBytes).slice(0, 32));
  await mkdir(directory, { recursive: true });
  const files = [...manifest.shards, ...(manifest.tokenizer ? [manifest.tokenizer] : [])];
  const total = files.reduce((sum, file) => sum + file.bytes, 0);
  let done = 0;
  for (const file of files) {
    const path = join(directory, file.file);
    if (!existsSync(path)) {
      const bytes = await fetchBytes(new URL(file.file, url));
      const got = sha256Hex(bytes);
      if (got !== file.sha256) {
        throw new FlError(
          'wrong-hash',
          `${file.file}: got sha256 ${got}, expected ${file.sha256}; the download is damaged, try again`,
        );
      }
      await replaceFile(path, bytes);
    }
    done += file.bytes;
    onProgress(done, total);
  }
  await replaceFile(join(directory, 'model.json'), manifestBytes);
  return directory;
}

async function fetchBytes(url: URL): Promise<Uint8Array> {
  const response = await fetch(url);
  if (!response.ok) throw new FlError('not-found', `download of ${url.pathname} failed: HTTP ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

async function replaceFile(path: string, bytes: Uint8Array): Promise<void> {
  await writeFile(`${path}.part`, bytes);
  await rename(`${path}.part`, path);
}
