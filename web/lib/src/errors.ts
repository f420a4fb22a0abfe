/** What went wrong, with a name that stays the same over versions (docs/CONTROL.md, §Errors). */
export class SymbolonError extends Error {
  override readonly name = 'SymbolonError';
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }

  /** Any thrown value as one of these. */
  static from(thrown: unknown): SymbolonError {
    if (thrown instanceof SymbolonError) return thrown;
    if (thrown instanceof Error) {
      const code = 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : 'internal';
      return new SymbolonError(code, thrown.message);
    }
    return new SymbolonError('internal', String(thrown));
  }
}
