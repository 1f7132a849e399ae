import type { Compressors, FileMetaData, RowGroup } from 'hyparquet';
import { parquetHeader } from 'hyparquet/src/column.js';
import { decompressPage } from 'hyparquet/src/datapage.js';
import { getMaxDefinitionLevel, getMaxRepetitionLevel, getSchemaPath } from 'hyparquet/src/schema.js';
import { readVarInt } from 'hyparquet/src/thrift.js';

// The library fills arrays by the counts that a file states. One wrong byte in a run's length makes it fill a billion
// values before it finds out, so that pages are walked first, without keeping anything.

const MAX_PAGE_BYTES = 256 * 2 ** 20;
const MAX_CHUNK_VALUES = 32_000_000;
/** Writers round a run up to groups of eight values, a few to more. */
const MAX_PADDING = 512;

interface Reader {
  readonly view: DataView;
  offset: number;
}

/** Throws for a row group whose pages state counts that they do not hold; the message is for no one. */
export function checkRowGroup(
  buffer: ArrayBuffer,
  metadata: FileMetaData,
  group: RowGroup,
  compressors: Compressors,
): void {
  for (const { meta_data: chunk } of group.columns) {
    if (!chunk) throw new Error('no column metadata');
    const path = getSchemaPath(metadata.schema, chunk.path_in_schema);
    const levels = { repetition: getMaxRepetitionLevel(path), definition: getMaxDefinitionLevel(path) };
    const rows = Number(group.num_rows);
    const start = Number(chunk.dictionary_page_offset || chunk.data_page_offset);
    const reader = { view: new DataView(buffer, start, Number(chunk.total_compressed_size)), offset: 0 };
    const limit = levels.repetition === 0 ? rows : Math.min(MAX_CHUNK_VALUES, Number(chunk.num_values));
    let seen = 0;
    while (reader.offset < reader.view.byteLength - 1 && (levels.repetition > 0 || seen < rows)) {
      const header = parquetHeader(reader);
      const size = header.compressed_page_size;
      const unpacked = header.uncompressed_page_size;
      expect(
        size >= 0 && reader.offset + size <= reader.view.byteLength && unpacked >= 0 && unpacked <= MAX_PAGE_BYTES,
      );
      const bytes = new Uint8Array(buffer, start + reader.offset, size);
      reader.offset += size;
      const { data_page_header: v1, data_page_header_v2: v2, dictionary_page_header: dictionary } = header;
      if (header.type === 'DICTIONARY_PAGE') expect(count(dictionary?.num_values) <= unpacked);
      const values = header.type === 'DATA_PAGE' ? v1?.num_values : v2?.num_values;
      if (header.type !== 'DATA_PAGE' && header.type !== 'DATA_PAGE_V2') continue;
      seen += count(values);
      expect(seen <= limit);
      if (header.type === 'DATA_PAGE') {
        const page = readerOf(decompressPage(bytes, unpacked, chunk.codec, compressors));
        if (path.length > 1 && levels.repetition > 0) checkRuns(page, widthOf(levels.repetition), count(values));
        if (levels.definition > 0) checkRuns(page, widthOf(levels.definition), count(values));
        checkValues(page, v1?.encoding, chunk.type, count(values));
      } else if (v2) {
        const levelBytes = count(v2.repetition_levels_byte_length) + count(v2.definition_levels_byte_length);
        const page = readerOf(bytes);
        if (levels.repetition > 0)
          checkRuns(page, widthOf(levels.repetition), count(values), v2.repetition_levels_byte_length);
        page.offset = v2.repetition_levels_byte_length;
        if (levels.definition > 0)
          checkRuns(page, widthOf(levels.definition), count(values), v2.definition_levels_byte_length);
        const packed = bytes.subarray(levelBytes);
        const whole =
          v2.is_compressed === false ? packed : decompressPage(packed, unpacked - levelBytes, chunk.codec, compressors);
        checkValues(readerOf(whole), v2.encoding, chunk.type, count(values));
      }
    }
  }
}

function expect(condition: boolean): void {
  if (!condition) throw new Error('counts do not agree');
}

function count(value: number | undefined): number {
  if (value === undefined || !(value >= 0)) throw new Error('no count');
  return value;
}

function widthOf(level: number): number {
  return 32 - Math.clz32(level);
}

function readerOf(bytes: Uint8Array): Reader {
  return { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), offset: 0 };
}

function checkValues(page: Reader, encoding: string | undefined, type: string, values: number): void {
  if (encoding === 'RLE') checkRuns(page, 1, values);
  else if (encoding === 'RLE_DICTIONARY' || encoding === 'PLAIN_DICTIONARY') {
    if (page.view.byteLength === page.offset) return; // nothing but nulls
    const width = type === 'BOOLEAN' ? 1 : page.view.getUint8(page.offset++);
    checkRuns(page, width, values, page.view.byteLength - page.offset);
  } else if (encoding === 'DELTA_BYTE_ARRAY') expect(values * page.view.byteLength <= 4 * MAX_PAGE_BYTES);
}

/** Walks a run-length and bit-packed hybrid of `length` bytes (or as its first four bytes say), which may hold fewer values. */
function checkRuns(reader: Reader, width: number, values: number, length?: number): void {
  let bytes = length;
  if (bytes === undefined) {
    bytes = reader.view.getUint32(reader.offset, true);
    reader.offset += 4;
  }
  const end = reader.offset + bytes;
  expect(end <= reader.view.byteLength);
  for (let seen = 0; seen < values && reader.offset < end; ) {
    const header = readVarInt(reader);
    const packed = (header & 1) === 1;
    const run = packed ? (header >> 1) << 3 : header >>> 1;
    expect(run >= 0 && run <= values - seen + MAX_PADDING);
    reader.offset += packed ? (run / 8) * width : (width + 7) >> 3;
    seen += run;
  }
  reader.offset = end;
}
