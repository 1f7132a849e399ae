import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';

const CLI = fileURLToPath(new URL('../../../coordinator/dist/cotune.js', import.meta.url));
const DEMO_SHARD = fileURLToPath(new URL('../../../coordinator/demo/data/participant-1.jsonl', import.meta.url));
const SHOTS = fileURLToPath(new URL('../../test-results/', import.meta.url));
const CHROMIUM_FLAGS = [
  '--headless=new',
  '--no-sandbox',
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--disable-background-networking',
  '--disable-component-update',
  '--no-first-run',
  '--disable-sync',
];

export interface Coordinator {
  readonly url: string;
  readonly ownerUrl: string;
  /** Kills the process without a warning and starts another one on the same data and port. */
  crash(): Promise<void>;
  close(): Promise<void>;
}

/** The shipped coordinator as a process of its own, on a free port, with the demo model and an empty data directory. */
export async function startCoordinator(): Promise<Coordinator> {
  const dataDir = await mkdtemp(join(tmpdir(), 'cotune-web-test-'));
  let child = serve(dataDir, '0');
  const ownerUrl = await said(child, /https?:\/\/\S+#owner=\S+/);
  const { origin, port } = new URL(ownerUrl);
  const end = async (signal: 'SIGTERM' | 'SIGKILL') => {
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await gone;
  };
  return {
    url: origin,
    ownerUrl,
    async crash() {
      await end('SIGKILL');
      child = serve(dataDir, port);
      await said(child, /Cotune is at \S+/);
    },
    async close() {
      await end('SIGTERM');
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

function serve(dataDir: string, port: string): ChildProcess {
  return spawn(process.execPath, [CLI, 'serve', '--demo', '--port', port, '--data-dir', dataDir], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** A participant without a browser, on the first demo shard; resolves at the run's end with the sha256 of its adapter. */
export async function joinFromNode(link: string): Promise<string> {
  const stateDir = await mkdtemp(join(tmpdir(), 'cotune-web-join-'));
  const args = ['join', link, '--data', DEMO_SHARD, '--name', 'Node', '--state-dir', stateDir, '--json'];
  const child = spawn(process.execPath, [CLI, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString('utf8');
  });
  const code = await new Promise((resolve) => child.once('exit', resolve));
  await rm(stateDir, { recursive: true, force: true });
  if (code !== 0) throw new Error(`cotune join ended with ${code}`);
  return (JSON.parse(output) as { adapter_sha256: string }).adapter_sha256;
}

/** Resolves with what matched in the output. */
function said(child: ChildProcess, pattern: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = '';
    const read = (chunk: Buffer) => {
      output += chunk.toString('utf8');
      const match = pattern.exec(output)?.[0];
      if (match) resolve(match);
    };
    child.stdout?.on('data', read);
    child.stderr?.on('data', read);
    child.once('exit', (code) =>
      reject(new Error(`the coordinator ended with ${code} before it was ready:\n${output}`)),
    );
  });
}

/** Headless Chromium with software WebGPU. COTUNE_CHROMIUM overrides the path. */
export function openBrowser(): Promise<Browser> {
  const paths = [
    process.env.COTUNE_CHROMIUM,
    '/usr/bin/chromium',
    '/usr/bin/chromium-browser',
    '/usr/bin/google-chrome',
  ];
  const executablePath = paths.find((path) => path && existsSync(path));
  if (!executablePath)
    throw new Error('no Chromium found: install it (apt-get install chromium) or set COTUNE_CHROMIUM');
  return chromium.launch({ executablePath, headless: true, args: CHROMIUM_FLAGS });
}

/** What went wrong in a page: exceptions, console errors (CSP violations among them), server errors. */
export function watch(page: Page): string[] {
  const wrong: string[] = [];
  page.on('pageerror', (error) => wrong.push(`exception: ${error.message}`));
  page.on('console', (message) => {
    if (message.type() === 'error') wrong.push(`console: ${message.text()}`);
  });
  page.on('response', (response) => {
    if (response.status() >= 500) wrong.push(`${response.status()} from ${response.url()}`);
  });
  return wrong;
}

/** A page in a profile of its own, so that every tab is a participant of its own. */
export async function newTab(browser: Browser): Promise<{ page: Page; context: BrowserContext; wrong: string[] }> {
  const context = await browser.newContext({ viewport: { width: 1100, height: 850 } });
  const page = await context.newPage();
  return { page, context, wrong: watch(page) };
}

/** With COTUNE_SCREENSHOTS set, keeps a picture of the whole page: a GPU that computes on the processor can hold one up for long. */
export async function shoot(page: Page, name: string): Promise<void> {
  if (!process.env.COTUNE_SCREENSHOTS) return;
  await mkdir(SHOTS, { recursive: true });
  await page.screenshot({ path: join(SHOTS, `${name}.png`), fullPage: true });
}

/** Settings of a short run; any field of the form by its label. */
export interface RunSettings {
  readonly name: string;
  readonly numbers: Readonly<Record<string, number>>;
  /** Values of select fields by label; they are set first, because they decide which fields there are. */
  readonly choices?: Readonly<Record<string, string>>;
}

/** Creates a run through the admin form and returns its join link; the page then shows the run. */
export async function createRun(admin: Page, { name, numbers, choices = {} }: RunSettings): Promise<string> {
  await admin.getByTestId('new-run').click();
  await admin.getByTestId('new-run-form').waitFor();
  await admin.getByRole('textbox', { name: 'Name' }).fill(name);
  for (const [label, value] of Object.entries(choices)) {
    await admin.getByRole('combobox', { name: label, exact: true }).selectOption(value);
  }
  for (const [label, value] of Object.entries(numbers)) {
    await admin.getByRole('textbox', { name: label, exact: true }).fill(String(value));
  }
  await admin.getByTestId('create-run').click();
  await admin.getByTestId('run-page').waitFor();
  await admin.getByTestId('create-invitation').click();
  return admin.getByRole('textbox', { name: 'Join link' }).inputValue();
}

/** Waits until the join page is in one of the phases; fails at once when the page failed. */
export async function untilPhase(page: Page, phases: readonly string[], timeoutMs = 120_000): Promise<string> {
  const wanted = [...phases, 'failed'].map((phase) => `[data-testid=join][data-phase="${phase}"]`).join(', ');
  const element = page.locator(wanted).first();
  await element.waitFor({ timeout: timeoutMs });
  const phase = (await element.getAttribute('data-phase')) ?? '';
  if (phase === 'failed' && !phases.includes('failed')) {
    throw new Error(`the join page failed: ${await page.getByTestId('problem').textContent()}`);
  }
  return phase;
}
