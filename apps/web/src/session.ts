import { proxy } from 'comlink';
import { inspectInvitation } from './participant/candidate.ts';
import { explainFailure } from './participant/failure.ts';
import { InvitationError } from './participant/invitation.ts';
import { chooseColumns, offerColumns, readData, readDemoData } from './participant/own-data.ts';
import { createParticipation } from './participant/participation.ts';
import { openSeat, type SeatKeeper } from './participant/seat.ts';
import { createTracker } from './participant/tracker.ts';
import { loadTunedResult } from './participant/tuned-result.ts';
import { initialJoinState, useJoinStore } from './stores/join-store.ts';
import { lossHistory } from './stores/loss-history.ts';
import { trainerSlot } from './trainer/client.ts';
import type { ColumnChoice } from './trainer/columns.ts';
import type { GenerateJob } from './trainer/messages.ts';

export interface JoinOptions {
  /** Start without a click as soon as the data is there. */
  readonly auto: boolean;
  /** Demo data to take, 1…; null: the owner chooses. */
  readonly demoOrdinal: number | null;
}

export type JoinSession = ReturnType<typeof createJoinSession>;

const { setState: set, getState: get } = useJoinStore;

/** One visit to a join page: owns the Worker and the socket, and is the only writer of the store. */
export function createJoinSession(token: string, options: JoinOptions) {
  const trainer = trainerSlot((message) => taking.fail('The training worker stopped', message));
  const tracker = createTracker();
  let held: SeatKeeper | null = null;
  const place = (): SeatKeeper => {
    if (!held) throw new Error('the invitation has not been read yet');
    return held;
  };
  const taking = createParticipation({ token, trainer, tracker, place, showResult: () => void showResult() });

  async function open(): Promise<void> {
    lossHistory.clear();
    set(initialJoinState);
    try {
      held = await openSeat(token, options.demoOrdinal);
      const { name, participantId = null } = held.seat;
      set({ ...(await inspectInvitation(token)), seatName: name, participantId });
    } catch (error) {
      const retry = !(error instanceof InvitationError) || error.retry;
      return taking.fail('This invitation cannot be used', explainFailure(error), retry);
    }
    const { run, gpu } = get();
    if (taking.closed() || !run) return;
    if (run.phase === 'finished') return showResult();
    if (run.phase === 'aborted' || run.phase === 'failed') {
      return taking.end({ kind: 'aborted', reason: run.reason ?? 'The organiser ended the run.' });
    }
    set({ stage: 'preparing', resuming: held.seat.active });
    if (gpu.state !== 'impossible') await prepare(held);
    set({ resuming: false });
  }

  /** Data kept from before a reload, or the demo data asked for; then goes on by itself where that is wanted. */
  async function prepare({ key, seat }: SeatKeeper): Promise<void> {
    if (seat.active || seat.resumeToken) await readData(trainer, key, null);
    const { demoOrdinal, auto } = options;
    if (demoOrdinal !== null && !get().data) await readDemoData(trainer, key, demoOrdinal);
    if (get().data && (seat.active || auto)) {
      await taking.join(seat.name || `Demo participant ${demoOrdinal ?? ''}`.trim());
    }
  }

  async function showResult(): Promise<void> {
    if (get().ending) return;
    taking.end({ kind: 'finished' });
    // Who took part has the model here already; for anyone else it would be a download that was not asked for.
    if (place().seat.resumeToken) await loadTunedResult(trainer, tracker, place());
  }

  return {
    open,
    readData: (file: File) => readData(trainer, place().key, file),
    chooseDemo: (ordinal: number) => readDemoData(trainer, place().key, ordinal),
    offerColumns: () => offerColumns(trainer),
    chooseColumns: (columns: ColumnChoice | null) => chooseColumns(trainer, place().key, columns),
    join: taking.join,
    stop: taking.stop,
    loadResult: () => loadTunedResult(trainer, tracker, place()),
    /** Starts over after a failure. */
    retry: async () => {
      trainer.end();
      await open();
    },
    generate: (job: GenerateJob, onText: (text: string) => void) => trainer.api().generate(job, proxy(onText)),
    cancelGeneration: () => trainer.api().cancelGeneration(),
    peft: () => trainer.api().peft(),
    async forget(): Promise<void> {
      await trainer.api().forget(place().key);
      set({ data: null });
    },
    close() {
      taking.close();
      trainer.end();
    },
  };
}
