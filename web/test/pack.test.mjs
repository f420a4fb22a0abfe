// What is published is what is meant to be.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const lib = fileURLToPath(new URL('../lib/', import.meta.url));

test('cl6_the_package_has_all_it_needs_and_nothing_else', () => {
  const [{ files, unpackedSize }] = JSON.parse(
    execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: lib, stdio: ['ignore', 'pipe', 'ignore'] }),
  );
  const modules = [
    'changes', 'core', 'deferred', 'desk', 'errors', 'host', 'index', 'links', 'messages', 'peer', 'provider',
    'renumber', 'room', 'sockets', 'store', 'tabs', 'views', 'writer',
  ];
  const expected = [
    'LICENSE-APACHE',
    'LICENSE-MIT',
    'README.md',
    'package.json',
    'dist/bundle.d.ts',
    'dist/symbolon.bundle.js',
    'dist/core/symbolon_web.d.ts',
    'dist/core/symbolon_web.js',
    'dist/core/symbolon_web_bg.wasm',
    ...modules.flatMap((name) => [`dist/${name}.js`, `dist/${name}.d.ts`]),
  ];
  assert.deepEqual(files.map(({ path }) => path).sort(), expected.sort());
  assert.ok(unpackedSize < 2_000_000, `${unpackedSize} bytes`);

  const { exports, dependencies, peerDependencies } = JSON.parse(readFileSync(`${lib}package.json`, 'utf8'));
  const targets = Object.values(exports).flatMap((entry) => (typeof entry === 'string' ? [entry] : Object.values(entry)));
  for (const target of targets) assert.ok(existsSync(lib + target), target);
  assert.equal(dependencies, undefined);
  assert.deepEqual(Object.keys(peerDependencies).sort(), ['lib0', 'y-protocols', 'yjs']);
  // One copy of Yjs for all but the bundle, and no path of the machine that built it.
  for (const { path } of files.filter(({ path }) => path.endsWith('.js'))) {
    const code = readFileSync(lib + path, 'utf8');
    if (path !== 'dist/symbolon.bundle.js') assert.doesNotMatch(code, /__ \$YJS\$ __/, path);
    assert.ok(!code.includes(process.cwd()) && !code.includes('sourceMappingURL'), path);
  }
});
