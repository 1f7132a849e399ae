import { proxy } from 'comlink';
import { type Ending, invited, useJoinStore } from '../stores/join-store.ts';
import type { TrainerSlot } from '../trainer/client.ts';
import type { ModelReady } from '../trainer/messages.ts';
import { attach } from './attach.ts';
import { explainFailure } from './failure.ts';
import { keepAwake } from './keep-awake.ts';
import { readData } from './own-data.ts';
import type { SeatKeeper } from './seat.ts';
import type { Tracker } from './tracker.ts';

export interface Visit {
  /** The invitation's token. */
  readonly token: string;
  readonly trainer: TrainerSlot;
  readonly tracker: Tracker;
  readonly place: () => SeatKeeper;
  /** The run is finished: shows what came of it. */
  readonly showResult: () => void;
}

/** Times that a lost GPU is opened again by itself before the tab gives up. */
const MAX_RECOVERIES = 3;

const { setState: set, getState: get } = useJoinStore;

/** Taking part in the run: from joining, through lost GPUs and connections, to one ending or a problem. */
export function createParticipation({ token, trainer, tracker, place, showResult }: Visit) {
  let detach: (() => void) | null = null;
  let rest: (() => void) | null = null;
  let recoveries = 0;
  let closed = false;
  let stopping: 'submit' | 'discard' = 'submit';

  /** Lets go of the socket and of what holds the tab; the Worker stays, for the result. */
  const leave = () => {
    detach?.();
    rest?.();
    detach = rest = null;
    set({ connection: 'offline' });
  };
  /** The first ending stands: a run may finish while the owner's last update is on its way. */
  const end = (ending: Ending) => {
    if (closed || get().ending) return;
    // A removed tab may have been replaced by another one of this browser, which uses the same seat.
    if (ending.kind !== 'removed') place().change({ active: false });
    leave();
    set({ stage: 'ended', ending });
  };
  const fail = (title: string, cause: string, retry = true) => {
    leave();
    if (!closed) set({ problem: { title, cause, retry } });
  };

  async function join(name: string): Promise<void> {
    const { stage, data } = get();
    if (!data || stage === 'active') return;
    place().change({ name, active: true });
    set({ stage: 'active', problem: null, ending: null, activity: null, download: null, notice: null });
    rest = keepAwake({ hidden: (hidden) => set({ hidden }), awake: (awake) => set({ awake }) });
    void navigator.storage?.persist?.();
    await enter();
  }

  async function enter(): Promise<void> {
    const { run, model } = invited();
    try {
      const ready = await trainer.api().prepare(
        { model, config: run.config },
        proxy((progress) => tracker.download(progress)),
      );
      if (closed || get().stage !== 'active') return;
      connect(ready);
    } catch (error) {
      fail('Training could not start', explainFailure(error));
    }
  }

  function connect({ adapterName, features }: ModelReady): void {
    const { key, seat, change, giveUp } = place();
    detach = attach(trainer.api(), tracker, {
      seatKey: key,
      client: { name: seat.name || 'Participant', adapter: adapterName, features: [...features] },
      token: () => place().seat.resumeToken ?? token,
      onWelcome: ({ resumeToken, participantId }) => change({ resumeToken, participantId }),
      onFinished: showResult,
      onEnded: end,
      onRefused(code, message) {
        // A place that no longer exists must not be asked for again: the next attempt begins with the invitation.
        if (code === 'unauthorized' || code === 'forbidden' || code === 'not-found') giveUp();
        fail('The coordinator did not let this tab in', message);
      },
      onFailed: fail,
      onDeviceLost: (message) => void recover(message),
    });
  }

  /** A lost GPU device (driver reset, sleep): opens it again and takes up the round where storage has it. */
  async function recover(message: string): Promise<void> {
    if (closed || get().stage !== 'active') return;
    detach?.();
    detach = null;
    trainer.end();
    if (++recoveries > MAX_RECOVERIES)
      return fail('The GPU keeps failing', `${message}. Restart the browser, then try again.`);
    set({ notice: `The GPU was lost (${message}); starting it again.`, activity: null });
    await readData(trainer, place().key, null);
    await enter();
  }

  return {
    join,
    end,
    fail,
    closed: () => closed,
    /** Finishes the step in progress and leaves; a 'discard' also ends a 'submit' that waits for the coordinator. */
    async stop(how: 'submit' | 'discard'): Promise<void> {
      stopping = how;
      await trainer
        .running()
        ?.stop(how)
        .catch((error: unknown) => set({ notice: explainFailure(error) }));
      end({ kind: 'stopped', how: stopping });
    },
    close() {
      closed = true;
      leave();
    },
  };
}
