// probe-webgpu.mjs [DRIVER…]: prints {kind, description, driver?} of the WebGPU adapter that Dawn gives to this process,
// as one JSON line; nothing when there is none. DRIVER: a Vulkan driver's manifest to try when the system offers none.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const require = createRequire(new URL('../packages/kernels/package.json', import.meta.url));
const { create, globals } = await import(pathToFileURL(require.resolve('webgpu')).href);
Object.assign(globalThis, globals);
const kept = [create([])]; // Dawn crashes when its GPU object is collected
globalThis.kept = kept;
let adapter = await kept[0].requestAdapter({ powerPreference: 'high-performance' });
let driver;
for (const path of process.env.VK_ICD_FILENAMES ? [] : process.argv.slice(2)) {
  if (adapter) break;
  process.env.VK_ICD_FILENAMES = driver = path;
  kept.push(create([]));
  adapter = await kept.at(-1).requestAdapter();
}
if (adapter) {
  const { vendor, architecture, device, description, isFallbackAdapter } = adapter.info;
  const words = `${vendor} ${architecture} ${device} ${description}`.toLowerCase();
  const kind = words.includes('swiftshader')
    ? 'swiftshader'
    : words.includes('llvmpipe')
      ? 'llvmpipe'
      : isFallbackAdapter
        ? 'software'
        : 'hardware';
  process.stdout.write(`${JSON.stringify({ kind, description, driver })}\n`);
}
process.exit(0);
