/** Why a data file or a tokenizer cannot be used at all; single bad rows are never errors. */
export type DataErrorCode =
  | 'empty-file'
  | 'unsupported-format'
  | 'damaged' // an archive or Parquet file that breaks off or contradicts itself
  | 'too-large' // unpacked, it would pass the limit
  | 'unknown-column'
  | 'bad-tokenizer'
  | 'bad-chat-template';

/** A data file or tokenizer that cannot be used. The message is one sentence and says what to do. */
export class DataError extends Error {
  readonly code: DataErrorCode;
  constructor(code: DataErrorCode, message: string) {
    super(message);
    this.name = 'DataError';
    this.code = code;
  }
}
