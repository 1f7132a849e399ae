/** WGSL `const` values that a kernel is specialised by: tile sizes, known where arrays are declared. */
export type Constants = Readonly<Record<string, number>>;

const LOOP = /\/\/ unroll\s+for \(var (\w+) = 0u; \w+ < (\w+); \w+\+\+\) \{/;
const ENABLES = /^(enable \w+;\s*)*/;

/**
 * Puts the constants before the source and writes out every loop marked `// unroll` (its bound is one of them). Array
 * elements with constant indices live in registers; SwiftShader runs a tile held in dynamically indexed arrays ten times
 * slower (3.0 against 0.3 GFLOP/s for an 8×8 tile at 256×1024×1024).
 */
export function specialise(source: string, constants: Constants): string {
  const enables = ENABLES.exec(source)?.[0] ?? ''; // WGSL wants them before everything else
  const declarations = Object.entries(constants).map(([name, value]) => `const ${name} = ${value}u;\n`);
  return enables + declarations.join('') + unroll(source.slice(enables.length), constants);
}

function unroll(source: string, constants: Constants): string {
  const loop = LOOP.exec(source);
  if (!loop) return source;
  const [head, variable, bound = ''] = loop;
  const count = constants[bound];
  if (count === undefined)
    throw new RangeError(`unrolled loop over ${bound}: expected one of ${Object.keys(constants)}`);
  const start = loop.index + head.length;
  const end = closingBrace(source, start);
  const body = unroll(source.slice(start, end), constants);
  const name = new RegExp(`\\b${variable}\\b`, 'g');
  const block = /\b(let|var)\b/.test(body); // names of its own, which must not meet those of the other copies
  const copies = Array.from({ length: count }, (_, i) => {
    const copy = body.replace(name, `${i}u`);
    return block ? `{${copy}}` : copy;
  });
  return unroll(source.slice(0, loop.index) + copies.join('\n') + source.slice(end + 1), constants);
}

function closingBrace(source: string, start: number): number {
  let depth = 1;
  for (let i = start; i < source.length; i++) {
    if (source[i] === '{') depth += 1;
    else if (source[i] === '}') depth -= 1;
    if (depth === 0) return i;
  }
  throw new RangeError('unrolled loop: its closing brace is missing');
}
