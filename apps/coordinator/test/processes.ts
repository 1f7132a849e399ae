import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RunConfigInput } from '@cotune/fl-core';
import { afterAll, afterEach, beforeAll, expect } from 'vitest';

const packageDir = join(import.meta.dirname, '..');
export const cli = join(packageDir, 'dist', 'cotune.js');
export const demoShard = (ordinal: number) => join(packageDir, 'demo', 'data', `participant-${ordinal}.jsonl`);

let root = '';
const running = new Set<ChildProcess>();

/** A temporary directory for a test file; what a test started is killed after it. */
export function useProcesses(): void {
  beforeAll(() => {
    if (!existsSync(cli)) throw new Error(`${cli} is missing: run npm run build first`);
    root = mkdtempSync(join(tmpdir(), 'cotune-process-'));
  });
  afterEach(async () => {
    for (const child of running) {
      child.kill('SIGCONT');
      child.kill('SIGKILL');
    }
    await expect.poll(() => running.size, { timeout: 60_000 }).toBe(0);
  });
  afterAll(() => rmSync(root, { recursive: true, force: true }));
}

export const newDirectory = (name: string) => mkdtempSync(join(root, `${name}-`));

export function writeTo(directory: string, name: string, content: string): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}

/** A `cotune` process. */
export interface CotuneProcess {
  readonly pid: number;
  stdout(): string;
  stderr(): string;
  kill(signal: NodeJS.Signals): void;
  /** Exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>;
}

export function cotune(args: readonly string[], env: Record<string, string> = {}): CotuneProcess {
  const child = spawn(process.execPath, [cli, ...args], { env: { ...process.env, ...env } });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (data) => {
    stdout += data;
  });
  child.stderr.on('data', (data) => {
    stderr += data;
  });
  running.add(child);
  const ended = new Promise<number | NodeJS.Signals>((resolve) => {
    child.once('close', (code, signal) => {
      running.delete(child);
      resolve(code ?? signal ?? 'SIGKILL');
    });
  });
  return {
    pid: child.pid ?? 0,
    stdout: () => stdout,
    stderr: () => stderr,
    kill: (signal) => void child.kill(signal),
    ended,
  };
}

/** Waits for a condition that another process brings about. */
export const until = (holds: () => unknown, interval = 20) =>
  expect.poll(holds, { timeout: 60_000, interval, message: `waiting for ${holds}` }).toBeTruthy();

export interface ServedRun {
  readonly process: CotuneProcess;
  readonly url: string;
  readonly port: number;
  /** Path of the join link, `/join/TOKEN`. */
  readonly joinPath: string;
}

const TINY: Omit<RunConfigInput, 'name' | 'participants'> = {
  modelId: 'demo',
  algorithm: { id: 'fedavg' },
  template: 'plain',
  rounds: 2,
  steps: 2,
  batchSize: 4,
  maxSeqLength: 64,
  learningRate: 1e-3,
  lora: { rank: 4, alpha: 8 },
  autoStart: true,
};

/** `cotune serve --demo` with a run of two rounds of two steps; the same data directory again takes it up again. */
export async function serve(
  dataDir: string,
  options: { participants: number; port?: number; config?: Partial<RunConfigInput>; adapter?: string },
): Promise<ServedRun> {
  const process = startServing(dataDir, options);
  await until(() => process.stderr().includes('join link:'));
  const link = new URL(process.stderr().match(/join link: (\S+)/)?.[1] ?? '');
  return { process, url: link.origin, port: Number(link.port), joinPath: link.pathname };
}

/** The same without waiting until it serves. */
export function startServing(dataDir: string, options: Parameters<typeof serve>[1]): CotuneProcess {
  const config = { ...TINY, name: 'processes', participants: { min: options.participants }, ...options.config };
  const run = writeTo(dataDir, 'run.json', JSON.stringify(config));
  const args = ['serve', '--demo', '--port', String(options.port ?? 0), '--data-dir', dataDir, '--run', run];
  return cotune([...args, ...(options.adapter === undefined ? [] : ['--adapter', options.adapter])]);
}

/** `cotune join` with its state and log in a directory of its own. */
export function joinRun(link: string, options: { name: string; data: string; directory: string; log?: string }) {
  const { name, data, directory, log = 'steps.jsonl' } = options;
  const logPath = join(directory, log);
  const args = ['join', link, '--name', name, '--data', data, '--state-dir', directory, '--log', logPath, '--json'];
  const process = cotune(args);
  return {
    ...process,
    /** Rows of the step log so far. */
    steps: () => (existsSync(logPath) ? readFileSync(logPath, 'utf8') : '').split('\n').filter((line) => line !== ''),
    /** What `--json` printed at the end. */
    result: () => JSON.parse(process.stdout()) as { phase: string; accepted: number; adapter_sha256: string },
  };
}

/** Waits for processes to succeed; the first that does not fails the test with what it said. */
export async function finished(...processes: Pick<CotuneProcess, 'ended' | 'stderr'>[]): Promise<void> {
  const succeed = async ({ ended, stderr }: Pick<CotuneProcess, 'ended' | 'stderr'>) => {
    const end = await ended;
    if (end !== 0) throw new Error(`ended with ${end}: ${stderr()}`);
  };
  await Promise.all(processes.map(succeed));
}

/** Participants with an open socket. */
export async function connectedTo(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(text.match(/^cotune_participants_connected (\d+)$/m)?.[1]);
}
