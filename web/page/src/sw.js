// The page without a network. VERSION and FILES are put in front of this by the build.
//
// All files of one version are kept together and served together: a page never mixes versions. Whatever is not in the
// list (config.json, healthz, the WebSocket) goes to the network untouched.

const CACHE = `symbolon-page-${VERSION}`;
const KEPT = new Set(FILES.map((file) => new URL(file, self.location).href));
const PAGE = new URL('./', self.location).href;

self.addEventListener('install', (event) => {
  event.waitUntil(
    caches.open(CACHE).then((cache) =>
      // What has its hash in its name cannot be out of date in the browser's own cache.
      cache.addAll(FILES.map((file) => new Request(file, { cache: file.startsWith('./assets/') ? 'default' : 'no-cache' }))),
    ),
  );
});

self.addEventListener('activate', (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) => names.filter((name) => name.startsWith('symbolon-page-') && name !== CACHE))
      .then((old) => Promise.all(old.map((name) => caches.delete(name))))
      .then(() => self.clients.claim()),
  );
});

self.addEventListener('message', (event) => {
  if (event.data === 'take-over') self.skipWaiting();
});

self.addEventListener('fetch', (event) => {
  const { request } = event;
  if (request.method !== 'GET') return;
  const url = new URL(request.url);
  url.hash = '';
  url.search = '';
  const kept = url.href === PAGE + 'index.html' ? PAGE : url.href;
  if (!KEPT.has(kept)) return;
  event.respondWith(caches.open(CACHE).then(async (cache) => (await cache.match(kept)) ?? fetch(request)));
});
