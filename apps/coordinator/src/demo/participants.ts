import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { assets } from './assets.ts';

/** Participants of the demo; `failed` rejects when one of them cannot go on. */
export interface DemoParticipants {
  readonly kind: 'tabs' | 'node';
  readonly failed: Promise<never>;
  close(): Promise<void>;
}

/** Path of a Chromium or Chrome; COTUNE_CHROMIUM overrides. */
export function findChromium(): string | undefined {
  return [
    process.env.COTUNE_CHROMIUM,
    '/usr/bin/chromium',
    '/usr/bin/chromium-browser',
    '/usr/bin/google-chrome',
    '/usr/bin/google-chrome-stable',
    '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
    'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
  ].find((path) => path && existsSync(path));
}

/** How long one participant may take from opening to joining. */
const JOIN_TIMEOUT_MS = 180_000;

/** What the participants are opened for. */
export interface Stage {
  readonly joinUrl: string;
  readonly count: number;
  /** Resolves when so many participants have joined. */
  joined(count: number): Promise<void>;
}

/** Opens one after the other, each when the one before has joined: seeds go by order of joining, so a run can be repeated. */
async function openInTurn({ count, joined }: Stage, open: (ordinal: number) => Promise<void> | void): Promise<void> {
  for (let ordinal = 1; ordinal <= count; ordinal++) {
    await open(ordinal);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const error = new Error(`participant ${ordinal} did not join within ${JOIN_TIMEOUT_MS / 1000} s`);
      timer = setTimeout(() => reject(error), JOIN_TIMEOUT_MS);
    });
    await Promise.race([joined(ordinal), late]).finally(() => clearTimeout(timer));
  }
}

const CHROMIUM_FLAGS = [
  '--enable-unsafe-webgpu',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-quic',
];

/** Headless Chromium with one isolated profile a tab, so that every tab is a participant of its own. */
export async function openTabs(executablePath: string, stage: Stage, softwareGpu: boolean): Promise<DemoParticipants> {
  const root = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  const software = softwareGpu ? ['--use-webgpu-adapter=swiftshader'] : [];
  const browser = await chromium.launch({
    executablePath,
    headless: true,
    // The command closes the browser itself; Playwright would end the whole process.
    handleSIGINT: false,
    handleSIGTERM: false,
    handleSIGHUP: false,
    args: [...CHROMIUM_FLAGS, ...root, ...software],
  });
  let closing = false;
  const failed = new Promise<never>((_, reject) => {
    browser.on('disconnected', () => closing || reject(new Error('the browser closed in mid-run')));
    const open = async (ordinal: number) => {
      const page = await (await browser.newContext()).newPage();
      page.on('pageerror', (error) => reject(new Error(`tab ${ordinal}: ${error.message}`)));
      page.on('crash', () => reject(new Error(`tab ${ordinal} crashed`)));
      await page.goto(`${stage.joinUrl}?auto=1&demo=${ordinal}`);
    };
    openInTurn(stage, open).catch(reject);
  });
  failed.catch(() => {});
  return {
    kind: 'tabs',
    failed,
    close: async () => {
      closing = true;
      await browser.close();
    },
  };
}

/** One `cotune join` process each, on this machine's GPU through Dawn. */
export function spawnNodeParticipants(stage: Stage, stateDir: string): DemoParticipants {
  const children: ChildProcess[] = [];
  const cli = fileURLToPath(import.meta.url);
  const failed = new Promise<never>((_, reject) => {
    const open = (ordinal: number) => {
      const args = [
        cli,
        'join',
        stage.joinUrl,
        '--data',
        assets.demoShard(ordinal),
        '--name',
        `participant ${ordinal}`,
      ];
      const child = spawn(process.execPath, [...args, '--state-dir', join(stateDir, `participant-${ordinal}`)], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      children.push(child);
      let lastLine = '';
      child.stderr?.setEncoding('utf8').on('data', (text: string) => {
        lastLine = text.trim().split('\n').at(-1) ?? lastLine;
      });
      child.on('exit', (code) => {
        if (code !== 0 && code !== null)
          reject(new Error(`participant ${ordinal} ended with exit code ${code}: ${lastLine}`));
      });
    };
    openInTurn(stage, open).catch(reject);
  });
  failed.catch(() => {});
  return {
    kind: 'node',
    failed,
    close: async () => {
      for (const child of children) if (child.exitCode === null) child.kill('SIGTERM');
    },
  };
}
