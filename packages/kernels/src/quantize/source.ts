/** Read access to a set of named files: a directory on disk, an HTTP prefix, OPFS, memory. */
export interface FileSource {
  /** For messages: where the files are. */
  readonly label: string;
  /** Whether the files are on this machine's disk, so that reading them twice costs little. */
  readonly onDisk?: boolean;
  /** Size in bytes, or undefined when there is no such file. */
  size(name: string): Promise<number | undefined>;
  /**
   * Bytes [start, end) of a file; the whole file by default. The result is 8-byte aligned in its own buffer, unless the source
   * filled `into`, which is at least that long, rather than allocate: then it is a view of that.
   */
  read(name: string, start?: number, end?: number, into?: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>>;
}

/**
 * Write access to a set of named files. `append` adds to the end; a file is complete after `close`, which replaces one of that
 * name. `append` is done with the bytes when it resolves.
 */
export interface FileSink {
  readonly label: string;
  append(name: string, bytes: Uint8Array): Promise<void>;
  close(name: string): Promise<void>;
  /** Removes a complete file; nothing happens when there is none. */
  remove(name: string): Promise<void>;
}
