import { useEffect, useReducer } from 'preact/hooks';

interface Source {
  on(event: string, listener: (...args: never[]) => void): unknown;
  off(event: string, listener: (...args: never[]) => void): unknown;
}

/** Renders again whenever the source says one of these. */
export function useEvents(source: unknown, ...events: string[]): void {
  const again = useAgain();
  useEffect(() => {
    if (!source) return;
    const from = source as Source;
    for (const event of events) from.on(event, again);
    return () => {
      for (const event of events) from.off(event, again);
    };
  }, [source]);
}

/** Renders again from time to time, for what is told as "5 min ago". */
export function useClock(every = 30_000): void {
  const again = useAgain();
  useEffect(() => {
    const timer = setInterval(again, every);
    return () => clearInterval(timer);
  }, [every]);
}

export function useAgain(): () => void {
  return useReducer((count: number) => count + 1, 0)[1] as unknown as () => void;
}
