import { Dialog } from './dialog';

export function About({ onClose }: { onClose: () => void }) {
  const host = location.host;
  return (
    <Dialog title="How safe is this page?" onClose={onClose} class="about">
      <p>
        What you share travels directly between the members’ devices, sealed for them. The server that brings you together
        sees when and from where you are online, not what you write, draw or are called.
      </p>
      <p>
        <strong>This page is the exception.</strong> Your browser loaded its code from <code>{host}</code>. Whoever runs that
        place could serve other code, so you trust it as long as you use the page from there.
      </p>
      <p>
        To trust nobody but your own computer, install the command line program: <code>symbolon page</code> serves the very
        same page from your own agent.
      </p>
      <p>An invite link is a key: whoever opens it first is in. Hand it over in a way you trust.</p>
      <p class="row end">
        <button class="primary" type="button" onClick={onClose}>
          Good to know
        </button>
      </p>
    </Dialog>
  );
}
