// The service worker: installs it, and tells when a newer version of the page waits to be used.

/** The newer version: a worker that waits, or one that another tab let take over already. */
let newer: ServiceWorker | 'active' | undefined;
const listeners = new Set<() => void>();

export function newerVersion(): boolean {
  return newer !== undefined;
}

export function onNewerVersion(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Lets the newer version take over, then loads it. */
export function useNewerVersion(): void {
  if (!(newer instanceof ServiceWorker)) return location.reload();
  navigator.serviceWorker.addEventListener('controllerchange', () => location.reload(), { once: true });
  newer.postMessage('take-over');
}

export function keepOffline(): void {
  if (!import.meta.env.PROD || !('serviceWorker' in navigator)) return;
  // After the page has loaded, so that what is to be kept does not delay what is to be shown.
  const start = () => void navigator.serviceWorker.register('./sw.js').then(watch, () => {});
  if (document.readyState === 'complete') start();
  else addEventListener('load', start, { once: true });
}

function watch(registration: ServiceWorkerRegistration | undefined): void {
  if (!registration) return;
  const note = (found: ServiceWorker | 'active' | null) => {
    // Without a controller this is the first version of all: nothing to tell.
    if (!found || !navigator.serviceWorker.controller) return;
    newer = found;
    for (const listener of listeners) listener();
  };
  note(registration.waiting);
  registration.addEventListener('updatefound', () => {
    const worker = registration.installing;
    worker?.addEventListener('statechange', () => {
      if (worker.state === 'installed') note(worker);
    });
  });
  let controlled = navigator.serviceWorker.controller !== null;
  navigator.serviceWorker.addEventListener('controllerchange', () => {
    if (controlled) note('active');
    controlled = true;
  });
  addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') void registration.update().catch(() => {});
  });
}
