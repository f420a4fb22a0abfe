// Deadlines: a test waits for what it expects, never for time to pass.

/** No test waits longer for one thing, in milliseconds. $SYMBOLON_DEADLINE changes it. */
export const DEADLINE = Number(process.env.SYMBOLON_DEADLINE ?? 30_000);

/** A promise's value, if it comes in time. */
export function within(promise, what, ms = DEADLINE) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`too late: ${what}`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
