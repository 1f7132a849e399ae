import { readFile } from 'node:fs/promises';
import type { Browser, Page, WebSocket } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { audit } from './audit.ts';
import {
  type Coordinator,
  createRun,
  joinFromNode,
  newTab,
  openBrowser,
  shoot,
  startCoordinator,
  untilPhase,
} from './stage.ts';

/** Distinctive text planted in the owner's file; nothing that leaves the tab may contain it. */
const PLANTED = 'Xylophagous Quokka 91b7';
const FILE_NAME = 'quokka-ledger.jsonl';
const SHORT_RUN = {
  Rounds: 2,
  'Steps a round': 2,
  'Examples a step': 4,
  'Tokens an example': 64,
  'Fewest participants': 3,
  'Most participants': 3,
};

let coordinator: Coordinator;
let browser: Browser;

beforeAll(async () => {
  coordinator = await startCoordinator();
  browser = await openBrowser();
});
afterAll(async () => {
  await browser?.close();
  await coordinator?.close();
});

/** Everything that a page sends: URLs, headers and bodies of requests, and socket frames; bytes as Latin-1. */
function recordSent(page: Page): {
  readonly texts: string[];
  readonly frames: () => number;
  readonly frameBytes: () => number;
} {
  const texts: string[] = [];
  let frames = 0;
  let frameBytes = 0;
  page.context().on('request', (request) => {
    texts.push(request.url(), JSON.stringify(request.headers()), request.postDataBuffer()?.toString('latin1') ?? '');
  });
  page.on('websocket', (socket: WebSocket) => {
    socket.on('framesent', ({ payload }) => {
      frames++;
      frameBytes += Buffer.byteLength(payload);
      texts.push(typeof payload === 'string' ? payload : payload.toString('latin1'));
    });
  });
  return { texts, frames: () => frames, frameBytes: () => frameBytes };
}

/** The text itself and in the forms that JSON, URLs and base64 (at any of its three alignments) would give it. */
function disguises(text: string): string[] {
  const base64 = [0, 1, 2].map((skip) =>
    Buffer.from(text.slice(skip, skip + 3 * Math.floor((text.length - skip) / 3))).toString('base64'),
  );
  return [text, encodeURIComponent(text), ...base64, Buffer.from(text, 'utf16le').toString('latin1')];
}

function plantedFile(): Buffer {
  const rows = Array.from({ length: 12 }, (_, i) => ({
    prompt: `${PLANTED} number ${i} reports results. Sentiment:`,
    response: i % 2 === 0 ? 'positive' : 'negative',
  }));
  const lines = rows.map((row) => JSON.stringify(row));
  lines.splice(3, 0, '{"prompt": "broken');
  return Buffer.from(lines.join('\n'));
}

describe('federation in real tabs', () => {
  it('two tabs and a Node participant end with the coordinator’s adapter, and nothing of the data leaves', async () => {
    const admin = await newTab(browser);
    await admin.page.goto(coordinator.ownerUrl);
    const link = await createRun(admin.page, { name: 'Two tabs and Node', numbers: SHORT_RUN });

    const own = await newTab(browser);
    const sent = recordSent(own.page);
    await own.page.goto(link);
    await own.page.getByTestId('preflight').waitFor();
    expect(await own.page.getByTestId('gpu-verdict').getAttribute('data-state')).toBe('degraded');
    await own.page
      .locator('input[type=file]')
      .setInputFiles({ name: FILE_NAME, mimeType: 'application/jsonl', buffer: plantedFile() });
    await own.page.getByTestId('data-preview').waitFor();
    expect(await own.page.getByTestId('data-preview').getAttribute('data-examples')).toBe('12');
    await own.page.getByRole('button', { name: '1 row left out' }).click();
    expect(await own.page.getByTestId('rejected-rows').textContent()).toContain('Line 4:');
    const promised = Number(await own.page.getByTestId('disclosure').getAttribute('data-total-bytes'));
    await shoot(own.page, 'join-prepare');
    await own.page.getByRole('textbox', { name: 'Display name' }).fill('Owner');
    await own.page.getByTestId('join-button').click();

    const other = await newTab(browser);
    await other.page.goto(`${link}?auto=1&demo=2`);
    const node = joinFromNode(link);
    await untilPhase(own.page, ['training', 'uploading', 'uploaded', 'finished']);
    await shoot(own.page, 'join-training');
    await shoot(admin.page, 'admin-running');
    expect.soft(await audit(own.page)).toEqual([]);
    expect.soft(await audit(admin.page)).toEqual([]);
    await Promise.all([own.page, other.page].map((page) => untilPhase(page, ['finished'])));

    const hashes = await Promise.all(
      [own.page, other.page].map((page) => page.getByTestId('adapter-sha256').textContent({ timeout: 120_000 })),
    );
    expect(hashes[0]).toMatch(/^[0-9a-f]{64}$/);
    expect(hashes[1]).toBe(hashes[0]);
    expect(await node).toBe(hashes[0]);
    expect(await served(own.page, hashes[0] ?? '')).toBe(hashes[0]);

    await own.page.getByTestId('compare-button').click();
    await own.page.getByTestId('answer-tuned').filter({ hasText: /\S/ }).waitFor({ timeout: 60_000 });
    // What the two owners take home is the same, byte for byte.
    const [ownZip, otherZip] = await Promise.all([own.page, other.page].map(takeHome));
    expect(ownZip?.includes('adapter_model.safetensors')).toBe(true);
    expect(ownZip?.equals(otherZip ?? Buffer.alloc(0))).toBe(true);
    expect(await own.page.getByTestId('receipt').textContent()).toContain('2 of 2');
    await shoot(own.page, 'join-result');
    expect.soft(await audit(own.page)).toEqual([]);

    expect(sent.frames()).toBeGreaterThan(10);
    // What the consent promised is what was sent: no more, and the updates are most of it.
    expect(sent.frameBytes()).toBeLessThanOrEqual(promised);
    expect(sent.frameBytes()).toBeGreaterThan(0.95 * promised);
    console.log(`sent ${sent.frameBytes()} bytes of the ${promised} that the page promised`);
    const everything = sent.texts.join('\n');
    expect(everything).toContain('upload:commit');
    for (const secret of [...disguises(PLANTED), ...disguises(FILE_NAME)]) expect(everything).not.toContain(secret);

    await admin.page.locator('[data-testid=run-page][data-phase=finished][data-rounds="2"]').waitFor();
    expect(await admin.page.getByTestId('round-row').count()).toBe(2);
    expect(await admin.page.getByTestId('baseline-row').count()).toBe(1);
    expect(await admin.page.getByTestId('participant-row').count()).toBe(3);
    await admin.page.getByRole('img', { name: /Held-out loss/ }).waitFor();
    await shoot(admin.page, 'admin-finished');
    expect.soft(await audit(admin.page)).toEqual([]);
    expect([...admin.wrong, ...own.wrong, ...other.wrong]).toEqual([]);
    for (const { context } of [admin, own, other]) await context.close();
  });
});

/** The ZIP behind the download button. */
async function takeHome(page: Page): Promise<Buffer> {
  await page.getByTestId('download-peft').waitFor();
  const download = page.waitForEvent('download');
  await page.getByTestId('download-peft').click();
  return readFile(await (await download).path());
}

/** sha256 of the adapter that the coordinator serves under this hash, taken in the page. */
function served(page: Page, sha256: string): Promise<string> {
  return page.evaluate(async (hash) => {
    const bytes = await (await fetch(`/api/adapters/${hash}`)).arrayBuffer();
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
    return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
  }, sha256);
}
