// Short news, shown for a while and read out by screen readers.
import { useEffect, useState } from 'preact/hooks';

interface Toast {
  id: number;
  text: string;
}

const SHOWN_MS = 5000;
let show: ((text: string) => void) | undefined;
let count = 0;

export function tell(text: string): void {
  show?.(text);
}

export function Toasts() {
  const [toasts, setToasts] = useState<Toast[]>([]);
  useEffect(() => {
    show = (text) => {
      const id = ++count;
      setToasts((now) => [...now.filter((toast) => toast.text !== text), { id, text }].slice(-3));
      setTimeout(() => setToasts((now) => now.filter((toast) => toast.id !== id)), SHOWN_MS);
    };
    return () => void (show = undefined);
  }, []);
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.map((toast) => (
        <p key={toast.id}>{toast.text}</p>
      ))}
    </div>
  );
}
