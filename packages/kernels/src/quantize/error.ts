/** What is wrong with a model's or adapter's files; callers branch on the code, people read the message. */
export type ModelFileErrorCode =
  | 'missing-file'
  | 'unreachable'
  | 'access-denied'
  | 'refused'
  | 'storage-full'
  | 'truncated'
  | 'malformed'
  | 'unsupported-dtype'
  | 'unsupported-architecture'
  | 'unsupported-version'
  | 'missing-tensor'
  | 'shape-mismatch'
  | 'non-finite'
  | 'hash-mismatch'
  | 'tokenizer-mismatch';

/** A file of a model or an adapter that cannot be used. The message is one sentence and names the file. */
export class ModelFileError extends Error {
  readonly code: ModelFileErrorCode;
  /** The file's name inside its source. */
  readonly file: string;
  constructor(code: ModelFileErrorCode, file: string, message: string) {
    super(`${file}: ${message}`);
    this.name = 'ModelFileError';
    this.code = code;
    this.file = file;
  }
}
