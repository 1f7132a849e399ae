/** Codes that travel on the wire and appear in refusals; people read the message beside it. */
export const FL_ERROR_CODES = [
  'version', // client speaks another protocol version
  'unauthorized', // unknown, expired, used-up or revoked token
  'forbidden', // known, but not allowed to do this
  'not-found',
  'invalid', // payload does not match its schema
  'wrong-state', // the run or round does not accept this now
  'stale', // the update is for an earlier round or attempt; carries the current one
  'late', // the round closed before the update was complete
  'duplicate', // same participant, same round, another update
  'wrong-hash', // sha256 or crc32 does not match the bytes
  'wrong-shape', // length or dtype does not match the run's adapter
  'not-finite', // NaN or infinity in an update
  'too-large', // chunk, upload or file beyond its budget
  'incomplete', // commit before all chunks arrived
  'busy', // budget or rate exhausted, try again later
  'internal',
] as const;
export type FlErrorCode = (typeof FL_ERROR_CODES)[number];

export class FlError extends Error {
  readonly code: FlErrorCode;
  constructor(code: FlErrorCode, message: string) {
    super(message);
    this.name = 'FlError';
    this.code = code;
  }
}
