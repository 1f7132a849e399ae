/** Version of the wire protocol. A client of another version is refused with code `version` and told to reload or update. */
export const PROTOCOL_VERSION = 3;

/** Bytes of one upload chunk; one binary attachment a message, well under the server's 266240-byte message limit. */
export const CHUNK_BYTES = 262_144;
/** Chunks in flight before the client waits for an acknowledgement. */
export const UPLOAD_WINDOW = 4;
