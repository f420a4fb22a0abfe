import { useEffect, useRef, useState } from 'preact/hooks';
import { ticketIn } from '../model/route';
import { troubleOf, type Trouble } from '../words';
import { Dialog } from './dialog';
import { Problem } from './problem';

interface Props {
  onTicket: (ticket: string) => void;
  onClose: () => void;
}

/** Reads an invite's QR code with the camera. */
export function Scan({ onTicket, onClose }: Props) {
  const video = useRef<HTMLVideoElement>(null);
  const [trouble, setTrouble] = useState<Trouble>();
  const [other, setOther] = useState(false);
  const [tries, setTries] = useState(0);

  useEffect(() => {
    const stop = new AbortController();
    setTrouble(undefined);
    void (async () => {
      try {
        const { readCodes } = await import('./camera');
        if (!video.current) return;
        await readCodes(video.current, stop.signal, (text) => {
          const ticket = ticketIn(text);
          if (ticket) onTicket(ticket);
          else setOther(true);
          return ticket !== undefined;
        });
      } catch (error) {
        if (!stop.signal.aborted) setTrouble(troubleOf(cameraTrouble(error)));
      }
    })();
    return () => stop.abort();
  }, [tries]);

  return (
    <Dialog title="Scan a QR code" onClose={onClose} class="scan">
      {trouble ? (
        <Problem trouble={trouble} onRetry={trouble.retry ? () => setTries(tries + 1) : undefined} />
      ) : (
        <>
          <div class="viewfinder">
            <video ref={video} muted playsInline aria-label="What the camera sees" />
          </div>
          <p role="status">{other ? 'This code is not an invite. Try another one.' : 'Hold the code of the invite into the picture.'}</p>
        </>
      )}
    </Dialog>
  );
}

function cameraTrouble(error: unknown): string {
  if (!isSecureContext || !navigator.mediaDevices) return 'camera_insecure';
  const name = error instanceof Error ? error.name : '';
  if (name === 'NotAllowedError' || name === 'SecurityError') return 'camera_refused';
  if (name === 'NotFoundError' || name === 'OverconstrainedError') return 'camera_missing';
  return 'camera_busy';
}
