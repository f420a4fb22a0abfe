export interface Deferred {
  promise: Promise<void>;
  resolve(): void;
  reject(reason: Error): void;
}

/** As `Promise.withResolvers`, which not all browsers have. */
export function deferred(): Deferred {
  let [resolve, reject]: [() => void, (reason: Error) => void] = [() => {}, () => {}];
  const promise = new Promise<void>((...both) => ([resolve, reject] = both));
  return { promise, resolve, reject };
}
