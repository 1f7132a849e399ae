// Prints {kind, description} of the WebGPU adapter that Dawn gives to this process, as one JSON line; nothing when there is none.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const require = createRequire(new URL('../packages/kernels/package.json', import.meta.url));
const { create, globals } = await import(pathToFileURL(require.resolve('webgpu')).href);
Object.assign(globalThis, globals);
const kept = [create([])]; // Dawn crashes when its GPU object is collected
globalThis.kept = kept;
let adapter = await kept[0].requestAdapter({ powerPreference: 'high-performance' });
const drivers = ['/usr/share/vulkan/icd.d/lvp_icd.json', '/usr/lib/chromium/vk_swiftshader_icd.json'];
const driver = drivers.find((path) => existsSync(path));
if (!adapter && driver && !process.env.VK_ICD_FILENAMES) {
  process.env.VK_ICD_FILENAMES = driver;
  kept.push(create([]));
  adapter = await kept[1].requestAdapter();
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
  process.stdout.write(`${JSON.stringify({ kind, description })}\n`);
}
process.exit(0);
