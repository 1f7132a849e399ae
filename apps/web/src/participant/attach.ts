import type { Handshake, RunView } from '@cotune/fl-core/protocol';
import { proxy, type Remote } from 'comlink';
import { type Ending, useJoinStore } from '../stores/join-store.ts';
import type { TrainerApi } from '../trainer/messages.ts';
import { explainFailure } from './failure.ts';
import { connectParticipant } from './socket.ts';
import type { Tracker } from './tracker.ts';

export interface Attachment {
  readonly seatKey: string;
  readonly client: Handshake['client'];
  /** The resume token once there is one, before that the invitation. */
  token(): string;
  onWelcome(welcome: { readonly resumeToken: string; readonly participantId: string }): void;
  onFinished(run: RunView): void;
  onEnded(ending: Ending): void;
  onRefused(code: string, message: string): void;
  onFailed(title: string, cause: string): void;
  onDeviceLost(message: string): void;
}

/** Joins socket and Worker: events of one become calls of the other, and both are told to the store. Returns how to part them. */
export function attach(api: Remote<TrainerApi>, tracker: Tracker, to: Attachment): () => void {
  const { setState: set } = useJoinStore;
  let started: Promise<unknown> = Promise.resolve();
  const broken = (error: unknown) => to.onFailed('Training stopped', explainFailure(error));
  /** Events may come before the participant exists in the Worker: they wait for it, in order. */
  const pass = (deliver: () => Promise<void>) => void started.then(deliver).catch(broken);
  const socket = connectParticipant(to.client, to.token, {
    onWelcome(welcome) {
      to.onWelcome(welcome);
      set({ participantId: welcome.participantId });
      tracker.run(welcome.run);
      pass(() => api.welcome(welcome));
    },
    onOffer: (offer) => pass(() => api.offer(offer)),
    onRunState(run) {
      tracker.run(run);
      pass(() => api.runState(run));
      if (run.phase === 'finished') to.onFinished(run);
      if (run.phase === 'aborted' || run.phase === 'failed') {
        to.onEnded({ kind: 'aborted', reason: run.reason ?? 'The organiser ended the run.' });
      }
    },
    onRemoved(reason) {
      pass(() => api.removed(reason));
      to.onEnded({ kind: 'removed', reason });
    },
    onNotice: (notice) => set({ notice }),
    onConnection(connection) {
      set({ connection });
      if (connection === 'reconnecting') pass(() => api.disconnected());
    },
    onRefused: to.onRefused,
    onMalformed: (event) =>
      to.onFailed(
        'This page does not match the coordinator',
        `“${event}” came in an unexpected form. Reload the page.`,
      ),
  });
  started = api
    .start(
      to.seatKey,
      proxy(socket.port),
      proxy({
        onActivity: (activity) => tracker.activity(activity),
        onStep: (record) => tracker.step(record),
        onDeviceLost: (message) => to.onDeviceLost(message),
      }),
    )
    .catch((error: unknown) => to.onFailed('Training could not start', explainFailure(error)));
  return () => socket.close();
}
