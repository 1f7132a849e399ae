import type { Generated } from 'kysely';

/** Tables as Kysely sees them. Times are milliseconds of the coordinator's clock; secrets appear only as SHA-256. */
export interface Database {
  meta: { key: string; value: string };
  runs: { run_id: string; config: string; created_at_ms: number };
  /** Append-only log of a run; `seq` counts from 0 without gaps. */
  events: { run_id: string; seq: number; json: string };
  participants: {
    participant_id: string;
    run_id: string;
    name: string;
    adapter: string;
    resume_sha256: string;
    joined_at_ms: number;
    last_seen_ms: number;
  };
  invitations: {
    invitation_id: string;
    run_id: string;
    token_sha256: string;
    expires_at_ms: number;
    max_uses: number;
    uses: number;
    revoked: number;
  };
  /** One row for each (run, round, attempt, participant); `have` is a bitmap of chunks on disk. */
  uploads: {
    upload_id: string;
    run_id: string;
    round: number;
    attempt: number;
    participant_id: string;
    sha256: string;
    bytes: number;
    examples: number;
    loss_nats: number | null;
    /** JSON of the mean rewards over training, for preference pairs. */
    rewards: string | null;
    have: Uint8Array;
    status: UploadStatus;
    code: string | null;
    message: string | null;
    updated_at_ms: number;
  };
  blobs: { sha256: string; kind: BlobKind; bytes: number; created_at_ms: number };
  accounts: { token_sha256: string; role: Role; created_at_ms: number };
  sessions: { token_sha256: string; role: Role; expires_at_ms: number };
  admin_requests: { request_id: string; command: string; reply: string | null; created_at_ms: number };
  audit: { seq: Generated<number>; at_ms: number; actor: string; action: string; detail: string; hash: string };
}

export type UploadStatus = 'open' | 'accepted' | 'late' | 'rejected';

/** Adapters are served, and the states that algorithms share with participants; an update never leaves the coordinator. */
export type BlobKind = 'adapter' | 'update' | 'state';

/** What an admin session may do; each includes the ones before it. */
export const ROLES = ['viewer', 'operator', 'owner'] as const;
export type Role = (typeof ROLES)[number];
