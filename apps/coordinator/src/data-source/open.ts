import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { PRESETS, type Preset, type PresetFile, presetById, presetFileUrl } from '@cotune/fl-core';
import { transferMeter } from '@cotune/kernels';
import { STATE_DIRECTORY } from '../cli/options.ts';
import { formatDuration, note, progressBar, UserError } from '../cli/output.ts';
import { assets, DEMO_PARTICIPANTS } from '../demo/assets.ts';
import { fileNameOf, readAddress } from './address.ts';
import { type DownloadOptions, downloadTo } from './download.ts';
import { joinFiles, type NamedFile } from './join-files.ts';

export interface DataSource {
  readonly bytes: Uint8Array;
  readonly fileName: string;
  /** Of the bytes, as hexadecimal digits. */
  readonly sha256: string;
  /** How the rows are to be read and chosen, when the source is a preset. */
  readonly preset?: Preset;
}

export interface OpenOptions extends Pick<DownloadOptions, 'fetch' | 'sleep'> {
  /** Where downloads are kept; `datasets` in the state directory unless given. */
  readonly directory?: string | undefined;
  /** The hub of the presets: HF_ENDPOINT, or Hugging Face's own. */
  readonly endpoint?: string | undefined;
}

/**
 * The data that a configuration or a command names: a file's path relative to `base`, `demo` or `demo-test` (what ships
 * with the product), `preset:ID` (downloaded once and kept), or an http(s) address (kept, and asked for changes).
 * Throws UserError when there is no such source, or it cannot be reached.
 */
export async function openDataSource(from: string, base: string, options: OpenOptions = {}): Promise<DataSource> {
  const preset = from.startsWith('preset:') ? requirePreset(from.slice('preset:'.length)) : undefined;
  const file = preset ? await presetFile(preset, options) : await plainFile(from, base, options);
  const sha256 = createHash('sha256').update(file.bytes).digest('hex');
  return { ...file, sha256, ...(preset ? { preset } : {}) };
}

/** Throws UserError when there is no such preset or file; an address is read but not asked. For checks before long work. */
export async function requireDataSource(from: string, base: string): Promise<void> {
  if (from.startsWith('preset:')) requirePreset(from.slice('preset:'.length));
  else if (isAddress(from)) readAddress(from);
  else if (from !== 'demo' && from !== 'demo-test') await requireFile(from, base);
}

async function plainFile(from: string, base: string, options: OpenOptions): Promise<NamedFile> {
  if (from === 'demo') return joinFiles('demo.jsonl', await demoFiles());
  if (from === 'demo-test') return readNamed(assets.demoTest());
  if (isAddress(from)) return addressFile(from, options);
  return readNamed(await requireFile(from, base));
}

const isAddress = (from: string): boolean => /^https?:\/\//i.test(from);

async function requireFile(from: string, base: string): Promise<string> {
  const path = resolve(base, from);
  const info = await stat(path).catch(() => undefined);
  if (info?.isFile()) return path;
  throw new UserError(
    info
      ? `${path} is ${info.isDirectory() ? 'a directory' : 'no regular file (data is read more than once)'}, expected a data file`
      : `no such data file: ${path} (a file, demo, demo-test, preset:ID or an address)`,
  );
}

function demoFiles(): Promise<NamedFile[]> {
  return Promise.all(Array.from({ length: DEMO_PARTICIPANTS }, (_, i) => readNamed(assets.demoShard(i + 1))));
}

async function addressFile(from: string, options: OpenOptions): Promise<NamedFile> {
  const { url, headers } = readAddress(from);
  const key = createHash('sha256').update(url).digest('hex').slice(0, 16);
  const path = join(datasetsDirectory(options), 'addresses', key, fileNameOf(url));
  await downloadShown(path, url, { ...options, headers, revalidate: true });
  return readNamed(path);
}

async function presetFile(preset: Preset, options: OpenOptions): Promise<NamedFile> {
  const endpoint = options.endpoint ?? process.env.HF_ENDPOINT;
  const token = process.env.HF_TOKEN;
  const files: NamedFile[] = [];
  for (const file of preset.files) {
    const path = presetFilePath(preset, file, options);
    const address = readAddress(presetFileUrl(file, endpoint));
    const headers = token ? { authorization: `Bearer ${token}` } : address.headers;
    await downloadShown(path, address.url, { ...options, headers });
    files.push(await readNamed(path));
  }
  return joinFiles(`${preset.id}.jsonl`, files);
}

/** Throws UserError, which lists the presets, for an id that none has. */
export function requirePreset(id: string): Preset {
  const preset = presetById(id);
  if (preset) return preset;
  throw new UserError(
    `no preset ${JSON.stringify(id)}: expected one of ${PRESETS.map((known) => known.id).join(', ')}`,
  );
}

const datasetsDirectory = (options: OpenOptions): string => options.directory ?? join(STATE_DIRECTORY, 'datasets');

/** Where the files of a preset lie once downloaded, or put there by hand. */
export const presetDirectory = (preset: Preset, options: Pick<OpenOptions, 'directory'> = {}): string =>
  join(datasetsDirectory(options), preset.id);

/** The place of one of them. Names as on the hub, folders joined by dashes. */
export const presetFilePath = (
  preset: Preset,
  file: PresetFile,
  options: Pick<OpenOptions, 'directory'> = {},
): string => join(presetDirectory(preset, options), file.path.replaceAll('/', '-'));

async function downloadShown(path: string, url: string, options: DownloadOptions): Promise<void> {
  const bar = progressBar(basename(path));
  let meter: ReturnType<typeof transferMeter> | undefined;
  let resumedBytes = 0;
  try {
    await downloadTo(path, url, {
      ...options,
      onRetry: (reason, pauseMs) => note(`${reason}; again in ${formatDuration(pauseMs)}`),
      onProgress(doneBytes, totalBytes) {
        if (totalBytes === null) return;
        if (!meter) {
          meter = transferMeter(totalBytes);
          resumedBytes = doneBytes;
        }
        bar.transfer(meter.update(doneBytes, resumedBytes));
      },
    });
  } finally {
    bar.end();
  }
}

async function readNamed(path: string): Promise<NamedFile> {
  return { bytes: await readFile(path), fileName: basename(path) };
}
