import { useEffect, useState } from 'preact/hooks';
import { newerVersion, onNewerVersion, useNewerVersion } from '../model/offline';

/** A hint when a newer version of the page waits. */
export function Newer() {
  const [there, setThere] = useState(newerVersion);
  const [later, setLater] = useState(false);
  useEffect(() => onNewerVersion(() => setThere(true)), []);
  if (!there || later) return null;
  return (
    <aside class="newer" aria-label="Update">
      <p>A new version of this page is ready.</p>
      <button class="small primary" type="button" onClick={useNewerVersion}>
        Reload
      </button>
      <button class="small" type="button" onClick={() => setLater(true)}>
        Later
      </button>
    </aside>
  );
}
