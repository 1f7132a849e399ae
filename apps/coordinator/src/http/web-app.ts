import { extname, join, normalize, sep } from 'node:path';
import type { Context } from 'hono';
import { IMMUTABLE, REVALIDATE, sendFile } from './send-file.ts';

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.wasm': 'application/wasm',
  '.map': 'application/json',
  '.webmanifest': 'application/manifest+json',
  '.txt': 'text/plain; charset=utf-8',
};

/** A file of the built web app, or its index.html for every other path (the app has its own routes). */
export async function serveWebApp(context: Context, webDir: string | undefined): Promise<Response> {
  const notBuilt = 'The web app is not built here: run `npm run build`, then start the coordinator again.\n';
  if (webDir === undefined) return context.text(notBuilt, 404);
  const path = safePath(webDir, context.req.path);
  if (path) {
    // Vite puts a hash of the content into the names below assets/.
    const cacheControl = path.includes(`${sep}assets${sep}`) ? IMMUTABLE : REVALIDATE;
    const contentType = CONTENT_TYPES[extname(path).toLowerCase()] ?? 'application/octet-stream';
    const file = await sendFile(context, path, { contentType, cacheControl });
    if (file) return file;
    if (extname(path) !== '') return context.text('not found\n', 404);
  }
  const contentType = 'text/html; charset=utf-8';
  const index = await sendFile(context, join(webDir, 'index.html'), { contentType, cacheControl: REVALIDATE });
  return index ?? context.text(notBuilt, 404);
}

/** The path inside `root`, or undefined for `/`, malformed escapes and anything that would leave it. */
export function safePath(root: string, urlPath: string): string | undefined {
  let decoded: string;
  try {
    decoded = decodeURIComponent(urlPath);
  } catch {
    return undefined;
  }
  if (decoded.includes('\0') || decoded.endsWith('/')) return undefined;
  const path = normalize(join(root, decoded));
  return path.startsWith(normalize(root + sep)) ? path : undefined;
}
