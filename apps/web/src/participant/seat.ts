import { sha256Hex } from '@cotune/kernels';
import { z } from 'zod';

/** What this browser remembers of its place in a run, so that a reload goes on with it. */
const seatSchema = z.object({
  name: z.string(),
  /** Absent until the coordinator welcomed us. */
  resumeToken: z.string().optional(),
  /** Our name in the run's records, so that a reload after the end still finds what we contributed. */
  participantId: z.string().optional(),
  /** False once the owner stopped or the run ended: a reload then shows the page without joining again. */
  active: z.boolean(),
});
type Seat = z.infer<typeof seatSchema>;

/**
 * Key of the seat of an invitation in this browser. Demo participants of one browser share the invitation, not the seat, so their
 * data number is part of it. The token itself is not written down, only the start of its hash.
 */
async function seatKey(token: string, demoOrdinal: number | null): Promise<string> {
  const hex = (await sha256Hex(new TextEncoder().encode(token))).slice(0, 24);
  return demoOrdinal === null ? hex : `${hex}-demo${demoOrdinal}`;
}

/** One visit's seat, written down at every change. */
export interface SeatKeeper {
  readonly key: string;
  readonly seat: Seat;
  change(change: Partial<Seat>): void;
  /** Forgets the resume token and our id: the place is gone, and only the invitation can give another. */
  giveUp(): void;
}

/** The seat that this browser has kept for an invitation, or a new one. */
export async function openSeat(token: string, demoOrdinal: number | null): Promise<SeatKeeper> {
  const key = await seatKey(token, demoOrdinal);
  let seat: Seat = loadSeat(key) ?? { name: '', active: false };
  const set = (next: Seat) => {
    seat = next;
    saveSeat(key, next);
  };
  return {
    key,
    get seat() {
      return seat;
    },
    change: (change) => set({ ...seat, ...change }),
    giveUp: () => set({ name: seat.name, active: false }),
  };
}

function loadSeat(key: string): Seat | null {
  try {
    const parsed = seatSchema.safeParse(JSON.parse(localStorage.getItem(`cotune.seat.${key}`) ?? 'null'));
    return parsed.success ? parsed.data : null;
  } catch {
    return null; // storage is blocked, or holds something else
  }
}

function saveSeat(key: string, seat: Seat): void {
  try {
    localStorage.setItem(`cotune.seat.${key}`, JSON.stringify(seat));
  } catch {
    // Storage is full or blocked: this session works, only a reload will not resume.
  }
}
