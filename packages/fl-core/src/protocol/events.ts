import type { z } from 'zod';
import type { FlErrorCode } from '../error.ts';
import type {
  AdminCommand,
  AdminEvent,
  adminCommands,
  notice,
  Progress,
  RoundOffer,
  RunView,
  removed,
  roundAccept,
  roundClosed,
  roundDecline,
  UploadOpen,
  UploadTicket,
  UploadVerdict,
  uploadChunk,
  uploadCommit,
  Welcome,
} from './schema.ts';

/** Every client event is answered with this. */
export type Ack<T> = { ok: true; value: T } | { ok: false; code: FlErrorCode; message: string };
type Reply<T> = (ack: Ack<T>) => void;

export interface ParticipantToServer {
  'round:accept': (payload: z.infer<typeof roundAccept>, reply: Reply<null>) => void;
  'round:decline': (payload: z.infer<typeof roundDecline>, reply: Reply<null>) => void;
  /** Volatile: at most two a second, no reply. */
  progress: (payload: Progress) => void;
  'upload:open': (payload: UploadOpen, reply: Reply<UploadTicket>) => void;
  'upload:chunk': (payload: z.infer<typeof uploadChunk>, chunk: Uint8Array, reply: Reply<null>) => void;
  'upload:commit': (payload: z.infer<typeof uploadCommit>, reply: Reply<UploadVerdict>) => void;
}

export interface ServerToParticipant {
  welcome: (payload: Welcome) => void;
  'round:offer': (payload: RoundOffer) => void;
  'round:closed': (payload: z.infer<typeof roundClosed>) => void;
  'run:state': (payload: RunView) => void;
  removed: (payload: z.infer<typeof removed>) => void;
  notice: (payload: z.infer<typeof notice>) => void;
}

export type AdminToServer = {
  [name in AdminCommand]: (
    payload: z.input<(typeof adminCommands)[name]['request']>,
    reply: Reply<z.infer<(typeof adminCommands)[name]['reply']>>,
  ) => void;
} & {
  /** Replays events from `fromSeq` (or the current state when too old) and follows them. */
  'events:subscribe': (
    payload: { fromSeq?: number },
    reply: Reply<{ nextSeq: number; replayed: AdminEvent[] }>,
  ) => void;
};

export interface ServerToAdmin {
  event: (payload: AdminEvent) => void;
}
