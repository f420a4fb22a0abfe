// A static file server with the headers of the real one.

import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

export const CSP = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "style-src 'self'",
  "style-src-attr 'unsafe-inline'",
  "img-src 'self' data: blob:",
  "connect-src 'self' ws: wss:",
  "worker-src 'self'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
  '.svg': 'image/svg+xml',
  '.webmanifest': 'application/manifest+json',
};

const WEB = fileURLToPath(new URL('../..', import.meta.url));

/** What the package's own tests use: a bare page, and the built package under /lib/. */
export const LIBRARY = { '/lib/': join(WEB, 'lib/dist'), '/': join(WEB, 'test/support/pages') };

export class Site {
  /** `roots`: the beginnings of paths and the directories they stand for; `headers`: further ones, or other values. */
  static async start(roots = LIBRARY, headers = {}) {
    const site = new Site();
    const prefixes = Object.keys(roots).sort((a, b) => b.length - a.length);
    site.server = createServer(async (request, response) => {
      const path = decodeURIComponent(new URL(request.url, 'http://site').pathname);
      const prefix = prefixes.find((prefix) => path.startsWith(prefix));
      const file = normalize(path.slice(prefix?.length ?? 0)) || '.';
      try {
        if (prefix === undefined || file.startsWith('..')) throw new Error('no such file');
        const name = path.endsWith('/') ? join(file, 'index.html') : file;
        const body = await readFile(join(roots[prefix], name));
        response.writeHead(200, {
          'content-type': TYPES[extname(name)] ?? 'application/octet-stream',
          'content-security-policy': CSP,
          'x-content-type-options': 'nosniff',
          ...headers,
        });
        response.end(body);
      } catch {
        response.writeHead(404, { 'content-type': 'text/plain' });
        response.end('not found');
      }
    });
    await new Promise((resolve, reject) => {
      site.server.once('error', reject);
      site.server.listen(0, '127.0.0.1', resolve);
    });
    site.port = site.server.address().port;
    // By name: only localhost and 127.0.0.1 count as secure without TLS.
    site.url = `http://127.0.0.1:${site.port}`;
    return site;
  }

  async close() {
    const closed = new Promise((resolve) => this.server.close(resolve));
    this.server.closeAllConnections();
    await closed;
  }
}
