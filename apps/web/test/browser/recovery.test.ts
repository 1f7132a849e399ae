import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Coordinator, createRun, newTab, openBrowser, startCoordinator, untilPhase } from './stage.ts';

const ALONE = { Rounds: 2, 'Examples a step': 4, 'Fewest participants': 1, 'Most participants': 1 };
const WORKING = ['training', 'uploading', 'uploaded', 'finished'];

let coordinator: Coordinator;
let browser: Browser;
let admin: Page;

beforeAll(async () => {
  coordinator = await startCoordinator();
  browser = await openBrowser();
  admin = (await newTab(browser)).page;
  await admin.goto(coordinator.ownerUrl);
  await admin.getByTestId('admin').waitFor();
});
afterAll(async () => {
  await browser?.close();
  await coordinator?.close();
});

async function newRun(name: string, numbers: Record<string, number>): Promise<string> {
  await admin.goto(`${coordinator.url}/admin`);
  return createRun(admin, { name, numbers: { ...ALONE, ...numbers } });
}

describe('recovery', () => {
  it('a reload in mid-round goes on by itself, with the model and the place of before', async () => {
    const link = await newRun('Reload', { 'Steps a round': 8 });
    const { page, context, wrong } = await newTab(browser);
    let shards = 0;
    context.on('request', (request) => {
      if (request.url().includes('/shard-')) shards++;
    });
    await page.goto(`${link}?auto=1&demo=1`);
    await untilPhase(page, ['training']);
    page.on('dialog', (dialog) => void dialog.accept());
    expect(shards).toBe(1);
    await page.reload();
    await untilPhase(page, WORKING);
    await untilPhase(page, ['finished']);
    expect(shards).toBe(1);
    expect(await page.getByTestId('receipt').textContent()).toContain('2 of 2');
    await admin.locator('[data-testid=run-page][data-phase=finished]').waitFor();
    expect(await admin.getByTestId('participant-row').count()).toBe(1);
    await page.reload(); // what this tab contributed is still known after the end
    await untilPhase(page, ['finished']);
    expect(await page.getByTestId('receipt').textContent()).toContain('2 of 2');
    expect(wrong).toEqual([]);
    await context.close();
  });

  it('a download that broke off goes on where it stopped', async () => {
    const link = await newRun('Broken download', { Rounds: 1, 'Steps a round': 1 });
    const { page, context } = await newTab(browser);
    const ranges: (string | undefined)[] = [];
    await context.route(/\/shard-/, async (route) => {
      ranges.push(route.request().headers().range);
      if (ranges.length > 1) return route.continue();
      const whole = await (await route.fetch()).body();
      return route.fulfill({ status: 200, body: whole.subarray(0, 300_000) });
    });
    await page.goto(`${link}?auto=1&demo=1`);
    await untilPhase(page, ['finished']);
    expect(ranges).toEqual([undefined, 'bytes=300000-']);
    await context.close();
  });

  it('a coordinator that is killed and started again finds the tab waiting for it', async () => {
    const link = await newRun('Crash', { 'Steps a round': 8 });
    const { page, context } = await newTab(browser);
    await page.goto(`${link}?auto=1&demo=3`);
    await untilPhase(page, ['training']);
    await coordinator.crash();
    await untilPhase(page, ['finished']);
    expect(await page.getByTestId('receipt').textContent()).toContain('2 of 2');
    // The console came back too, by itself, and saw the rest.
    await admin.locator('[data-testid=run-page][data-phase=finished][data-rounds="2"]').waitFor();
    await context.close();
  });

  it('a coordinator that says that it is busy is asked again', async () => {
    const link = await newRun('Busy', { Rounds: 1, 'Steps a round': 1 });
    const { page, context } = await newTab(browser);
    let refused = false;
    // The first connection is answered here, in the words of Engine.IO 4 and Socket.IO 5; the second reaches the coordinator.
    await context.routeWebSocket(/socket\.io/, (socket) => {
      if (refused) return void socket.connectToServer();
      socket.onMessage((message) => {
        if (!String(message).startsWith('40/participant')) return;
        refused = true;
        socket.send('44/participant,{"message":"busy","data":{"code":"busy","message":"shutting down"}}');
      });
      socket.send('0{"sid":"stage","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}');
    });
    await page.goto(`${link}?auto=1&demo=1`);
    await untilPhase(page, ['finished']);
    expect(refused).toBe(true);
    await context.close();
  });

  it('a lost GPU is opened again, the round goes on at its step, and ends with the bits of an undisturbed one', async () => {
    const settings = { Rounds: 1, 'Steps a round': 12, Seed: 31 };
    const adapters: (string | null)[] = [];
    for (const disturbed of [false, true]) {
      const link = await newRun(disturbed ? 'Lost GPU' : 'Undisturbed', settings);
      const { page, context } = await newTab(browser);
      await page.goto(`${link}?auto=1&demo=2`);
      if (disturbed) {
        await page.getByTestId('loss-chart').waitFor({ timeout: 60_000 });
        const debug = await browser.newBrowserCDPSession();
        await debug.send('Browser.crashGpuProcess').catch(() => undefined); // answers with the connection that it broke
        await page.getByTestId('notice').filter({ hasText: 'The GPU was lost' }).waitFor();
      }
      await untilPhase(page, ['finished']);
      expect(await page.getByTestId('receipt').textContent()).toContain('1 of 1');
      expect(await admin.getByTestId('rounds-table').textContent()).not.toContain('tried again');
      adapters.push(await page.getByTestId('adapter-sha256').textContent());
      await context.close();
    }
    expect(adapters[0]).toMatch(/[0-9a-f]{64}/);
    expect(adapters[1]).toBe(adapters[0]);
  });

  it('who stops can send what was learnt so far', async () => {
    const link = await newRun('Stop', { Rounds: 2, 'Steps a round': 500 });
    const { page, context } = await newTab(browser);
    await page.goto(`${link}?auto=1&demo=1`);
    await page.getByTestId('loss-chart').waitFor({ timeout: 60_000 });
    await page.getByRole('button', { name: 'Stop…' }).click();
    await page.getByRole('button', { name: 'Stop and send' }).click();
    expect(await untilPhase(page, ['stopped'])).toBe('stopped');
    await admin.locator('[data-testid=round-row][data-phase=published]').waitFor({ timeout: 60_000 });
    expect(await admin.getByTestId('rounds-table').textContent()).toContain('1 of 1');
    // A stopped tab stays out after a reload.
    await page.reload();
    expect(await untilPhase(page, ['preparing'])).toBe('preparing');
    await context.close();
    await admin.getByTestId('abort').click();
    await admin.getByTestId('confirm').click();
    await admin.locator('[data-testid=run-page][data-phase=aborted]').waitFor();
  });
});
