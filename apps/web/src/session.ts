import { proxy } from 'comlink';
import { attach } from './participant/attach.ts';
import { inspectInvitation } from './participant/candidate.ts';
import { explainFailure } from './participant/failure.ts';
import { fetchDemoData, InvitationError } from './participant/invitation.ts';
import { keepAwake } from './participant/keep-awake.ts';
import { loadSeat, type Seat, saveSeat, seatKey } from './participant/seat.ts';
import { createTracker } from './participant/tracker.ts';
import { type Ending, initialJoinState, useJoinStore } from './stores/join-store.ts';
import { lossHistory } from './stores/loss-history.ts';
import { startTrainer, type TrainerClient } from './trainer/client.ts';
import type { GenerateJob } from './trainer/messages.ts';

export interface JoinOptions {
  /** Start without a click as soon as the data is there. */
  readonly auto: boolean;
  /** Demo data to take, 1…; null: the owner chooses. */
  readonly demoOrdinal: number | null;
}

export type JoinSession = ReturnType<typeof createJoinSession>;

/** Times that a lost GPU is opened again by itself before the tab gives up. */
const MAX_RECOVERIES = 3;

/** One visit to a join page: owns the Worker and the socket, and is the only writer of the store. */
export function createJoinSession(token: string, options: JoinOptions) {
  const { setState: set, getState: get } = useJoinStore;
  const tracker = createTracker();
  let trainer: TrainerClient | null = null;
  let detach: (() => void) | null = null;
  let rest: (() => void) | null = null;
  let key = '';
  let seat: Seat = { name: '', active: false };
  let recoveries = 0;
  let closed = false;

  const engine = (): TrainerClient => {
    if (trainer) return trainer;
    const started = startTrainer();
    trainer = started;
    void started.broken.then((message) => {
      if (trainer === started) fail('The training worker stopped', message);
    });
    return started;
  };
  const remember = (change: Partial<Seat>) => {
    seat = { ...seat, ...change };
    saveSeat(key, seat);
  };
  /** Lets go of the socket and of what holds the tab; the Worker stays, for the result. */
  const leave = () => {
    detach?.();
    rest?.();
    detach = rest = null;
    set({ connection: 'offline' });
  };
  const end = (ending: Ending) => {
    // A removed tab may have been replaced by another one of this browser, which uses the same seat.
    if (ending.kind !== 'removed') remember({ active: false });
    leave();
    set({ stage: 'ended', ending });
  };
  const fail = (title: string, cause: string, retry = true) => {
    leave();
    if (!closed) set({ problem: { title, cause, retry } });
  };
  const settings = () => {
    const { run, model } = get();
    if (!run || !model) throw new Error('the invitation has not been read yet');
    return { run, model, template: run.config.template, maxSeqLength: run.config.maxSeqLength };
  };

  async function open(): Promise<void> {
    lossHistory.clear();
    set(initialJoinState);
    try {
      key = await seatKey(token, options.demoOrdinal);
      seat = loadSeat(key) ?? seat;
      set({ ...(await inspectInvitation(token)), seatName: seat.name });
    } catch (error) {
      const retry = !(error instanceof InvitationError) || error.retry;
      return fail('This invitation cannot be used', explainFailure(error), retry);
    }
    const { run, gpu } = get();
    if (closed || !run) return;
    if (run.phase === 'finished') return showResult();
    if (run.phase === 'aborted' || run.phase === 'failed') {
      return end({ kind: 'aborted', reason: run.reason ?? 'The organiser ended the run.' });
    }
    set({ stage: 'preparing', resuming: seat.active });
    if (gpu.state !== 'impossible') await prepare();
    set({ resuming: false });
  }

  /** Data kept from before a reload, or the demo data asked for; then goes on by itself where that is wanted. */
  async function prepare(): Promise<void> {
    if (seat.active || seat.resumeToken) await readData(null);
    if (options.demoOrdinal !== null && !get().data) await chooseDemo(options.demoOrdinal);
    if (get().data && (seat.active || options.auto)) {
      await join(seat.name || `Demo participant ${options.demoOrdinal ?? ''}`.trim());
    }
  }

  async function readData(file: File | null): Promise<void> {
    set({ dataBusy: true, dataProblem: null });
    try {
      const { model, template, maxSeqLength } = settings();
      const data = await engine().api.readData(key, file, { modelUrl: model.url, template, maxSeqLength });
      if (data && data.examples === 0) {
        const first = data.rejected[0]?.reason ?? 'the file is empty';
        set({ data: null, dataProblem: `No row of ${data.name} can be used. First problem: ${first}` });
      } else {
        set({ data });
      }
    } catch (error) {
      set({ data: null, dataProblem: explainFailure(error) });
    } finally {
      set({ dataBusy: false });
    }
  }

  async function chooseDemo(ordinal: number): Promise<void> {
    const file = await fetchDemoData(ordinal);
    if (file) await readData(file);
    else set({ dataProblem: 'This coordinator has no such demo data. Choose a file of your own.' });
  }

  async function join(name: string): Promise<void> {
    const { stage, data } = get();
    if (!data || stage === 'active') return;
    remember({ name, active: true });
    set({ stage: 'active', problem: null, ending: null, activity: null, download: null, notice: null });
    rest = keepAwake({ hidden: (hidden) => set({ hidden }), awake: (awake) => set({ awake }) });
    void navigator.storage?.persist?.();
    await enter();
  }

  async function enter(): Promise<void> {
    const { run, model } = settings();
    try {
      const { api } = engine();
      const job = { model, config: run.config, allowSoftware: model.allowSoftware };
      const ready = await api.prepare(
        job,
        proxy((progress) => tracker.download(progress)),
      );
      if (closed || get().stage !== 'active') return;
      detach = attach(api, tracker, {
        seatKey: key,
        client: { name: seat.name || 'Participant', adapter: ready.adapterName, features: [...ready.features] },
        token: () => seat.resumeToken ?? token,
        onResumeToken: (resumeToken) => remember({ resumeToken }),
        onFinished: () => void showResult(),
        onEnded: end,
        onRefused(code, message) {
          // A place that no longer exists must not be asked for again: the next attempt begins with the invitation.
          if (code === 'unauthorized' || code === 'forbidden' || code === 'not-found') {
            seat = { name: seat.name, active: false };
            saveSeat(key, seat);
          }
          fail('The coordinator did not let this tab in', message);
        },
        onFailed: fail,
        onDeviceLost: (message) => void recover(message),
      });
    } catch (error) {
      fail('Training could not start', explainFailure(error));
    }
  }

  /** A lost GPU device (driver reset, sleep): opens it again and takes up the round where storage has it. */
  async function recover(message: string): Promise<void> {
    if (closed || get().stage !== 'active') return;
    detach?.();
    trainer?.terminate();
    trainer = detach = null;
    if (++recoveries > MAX_RECOVERIES)
      return fail('The GPU keeps failing', `${message}. Restart the browser, then try again.`);
    set({ notice: `The GPU was lost (${message}); starting it again.`, activity: null });
    await readData(null);
    await enter();
  }

  async function showResult(): Promise<void> {
    if (get().ending) return;
    end({ kind: 'finished' });
    // Who took part has the model here already; for anyone else it would be a download that was not asked for.
    if (seat.resumeToken) await loadResult();
  }

  async function loadResult(): Promise<void> {
    const { run, model } = settings();
    if (!run.adapter || get().result !== 'idle') return;
    set({ result: 'loading', notice: null });
    try {
      const { api } = engine();
      const job = { model, config: run.config, allowSoftware: model.allowSoftware };
      await api.prepare(
        job,
        proxy((progress) => tracker.download(progress)),
      );
      await api.loadAdapter(run.adapter);
      if (!get().data && seat.resumeToken) await readData(null);
      set({ result: 'ready', samplePrompt: await api.samplePrompt() });
    } catch (error) {
      set({ result: 'idle', notice: `The tuned adapter cannot be tried here: ${explainFailure(error)}` });
    }
  }

  return {
    open,
    readData,
    chooseDemo,
    join,
    loadResult,
    /** Starts over after a failure. */
    retry: async () => {
      trainer?.terminate();
      trainer = null;
      await open();
    },
    async stop(how: 'submit' | 'discard'): Promise<void> {
      await trainer?.api.stop(how).catch((error: unknown) => set({ notice: explainFailure(error) }));
      end({ kind: 'stopped', how });
    },
    generate: (job: GenerateJob, onText: (text: string) => void) => engine().api.generate(job, proxy(onText)),
    cancelGeneration: () => engine().api.cancelGeneration(),
    peft: () => engine().api.peft(),
    async forget(): Promise<void> {
      await engine().api.forget(key);
      set({ data: null });
    },
    close() {
      closed = true;
      leave();
      trainer?.terminate();
      trainer = null;
    },
  };
}
