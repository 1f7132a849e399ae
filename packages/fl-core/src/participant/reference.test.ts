import { expect, it } from 'vitest';
import type { RoundOffer } from '../protocol/schema.ts';
import { arithmeticTrainer, memoryStorage, runAt, welcomeAt } from './fake-network.test-support.ts';
import type { ParticipantActivity } from './participant.ts';
import { LENGTH, session, start, turns } from './session.test-support.ts';

const reference = start.map((w) => 3 * w + 1);

/** A session whose trainer notes the reference of each training. */
function referring(options: Parameters<typeof session>[0] = {}) {
  const given: (number[] | undefined)[] = [];
  const inner = arithmeticTrainer();
  const train: typeof inner.train = (job) => {
    given.push(job.reference && [...job.reference]);
    return inner.train(job);
  };
  const run = session({ ...options, trainer: { ...inner, train } });
  run.participant.onWelcome(welcomeAt(0));
  return {
    ...run,
    given,
    async take(round: number, change: Partial<RoundOffer> = {}) {
      const from = run.activities.length;
      run.participant.onOffer(run.offer(round, { reference: run.server.blob(reference, 0), ...change }));
      await run.until('uploaded', from);
    },
  };
}

it('is downloaded once a run, counted in the progress, and given to every training', async () => {
  const storage = memoryStorage();
  const first = referring({ storage });
  for (const round of [0, 1]) await first.take(round);
  expect(first.given).toEqual([[...reference], [...reference]]);
  const { url, bytes } = first.server.blob(reference, 0);
  expect(first.server.downloads.filter((one) => one === url)).toHaveLength(1);
  const received = first.activities.filter(
    (one): one is ParticipantActivity & { kind: 'downloading' } => one.kind === 'downloading',
  );
  expect(Math.max(...received.map(({ receivedBytes }) => receivedBytes))).toBe(2 * bytes);
  expect(received.every(({ totalBytes }) => totalBytes === 2 * bytes)).toBe(true);

  const reloaded = referring({ storage });
  await reloaded.take(2);
  expect(reloaded.given).toEqual([[...reference]]);
  expect(reloaded.server.downloads).not.toContain(url);
  reloaded.participant.onRunState(runAt(3, { phase: 'finished' }));
  await turns(5);
  expect(storage.map.size).toBe(0);
});

it('is the adapter of the first round, without a download of its own', async () => {
  const { take, server, given } = referring();
  const adapter = server.blob(start, 0);
  await take(0, { adapter, reference: adapter });
  await take(1, { reference: adapter });
  expect(given).toEqual([[...start], [...start]]);
  expect(server.downloads.filter((url) => url === adapter.url)).toHaveLength(1);
});

it('comes again where it was damaged here, and is another where the offer says so', async () => {
  const storage = memoryStorage();
  const before = referring({ storage });
  await before.take(0);
  storage.map.get('reference/run')?.set([9], 30);
  const { take, given, server } = referring({ storage });
  await take(1);
  const other = reference.map((w) => -w);
  await take(2, { reference: server.blob(other, 0) });
  await take(3, { reference: null });
  expect(given).toEqual([[...reference], [...other], undefined]);
  expect(given[0]).toHaveLength(LENGTH);
});

it('that cannot be had makes the round declined', async () => {
  const { participant, offer, until, server, given } = referring();
  server.damageDownloads = 99;
  server.damageOnly = server.blob(reference, 0).url;
  participant.onOffer(offer(0, { reference: server.blob(reference, 0) }));
  expect(await until('failed')).toMatchObject({ message: expect.stringMatching(/reference adapter .* sha256/) });
  await turns(5);
  expect(server.eventsOf('round:decline')).toHaveLength(1);
  expect(given).toEqual([]);
});
