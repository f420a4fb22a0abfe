const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export function ago(then: number, now = Date.now()): string {
  const past = Math.max(0, now - then);
  return past < MINUTE ? 'just now' : `${span(past)} ago`;
}

export function within(then: number, now = Date.now()): string {
  const left = then - now;
  return left <= 0 ? 'expired' : left < MINUTE ? 'expires in less than a minute' : `expires in ${span(left)}`;
}

function span(ms: number): string {
  const [count, unit] =
    ms < HOUR
      ? [Math.floor(ms / MINUTE), 'min']
      : ms < 2 * DAY
        ? [Math.round(ms / HOUR), 'hour']
        : [Math.round(ms / DAY), 'day'];
  return unit === 'min' ? `${count} min` : `${count} ${unit}${count === 1 ? '' : 's'}`;
}
