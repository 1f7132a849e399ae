import type { RoundOffer } from '../protocol/schema.ts';
import { createParticipant } from './create.ts';
import { arithmeticTrainer, fakeCoordinator, memoryStorage, plan } from './fake-network.test-support.ts';
import type { ParticipantActivity, ParticipantOptions } from './participant.ts';

export const LENGTH = 100; // 420 bytes encoded: 7 chunks of 64, the last one cut
export const start = Float32Array.from({ length: LENGTH }, (_, i) => i / 8);
export const turns = async (n: number): Promise<void> => {
  for (let i = 0; i < n; i++) await new Promise((resolve) => setImmediate(resolve));
};

/** A participant against a coordinator in memory; `until` waits for what it says that it does. */
export function session(options: Partial<ParticipantOptions> & { server?: ReturnType<typeof fakeCoordinator> } = {}) {
  const server = options.server ?? fakeCoordinator();
  const storage = options.storage ?? memoryStorage();
  const trainer = (options.trainer as ReturnType<typeof arithmeticTrainer> | undefined) ?? arithmeticTrainer();
  const activities: ParticipantActivity[] = [];
  let wake = (): void => {};
  const participant = createParticipant({
    transport: server.transport,
    storage,
    examples: 12,
    now: () => 0,
    delay: () => turns(1),
    ...options,
    trainer,
    onActivity: (activity) => {
      activities.push(activity);
      wake();
    },
  });
  return {
    server,
    storage,
    trainer,
    activities,
    participant,
    offer: (round = 0, change: Partial<RoundOffer> = {}): RoundOffer => ({
      runId: 'run',
      round,
      attempt: 0,
      deadlineMs: 1000,
      adapter: server.blob(start, round),
      algorithmState: null,
      reference: null,
      counted: server.accepted.at(-1)?.open.sha256 ?? null,
      plan,
      ...change,
    }),
    async until(kind: ParticipantActivity['kind'], from = 0): Promise<ParticipantActivity> {
      for (;;) {
        const found = activities.slice(from).find((activity) => activity.kind === kind);
        if (found !== undefined) return found;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}
