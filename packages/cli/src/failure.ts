import { EXIT } from './exit-codes.ts';

/** One clear line for the person at the terminal, the code to leave with, and perhaps a line on what to do. */
export class CliFailure extends Error {
  override readonly name = 'CliFailure';
  readonly code: string;
  readonly exitCode: number;
  readonly advice: string | undefined;

  constructor(
    code: string,
    message: string,
    { exitCode = EXIT.failure, advice }: { exitCode?: number; advice?: string } = {},
  ) {
    super(message);
    this.code = code;
    this.exitCode = exitCode;
    this.advice = advice;
  }
}

/** Options or arguments that contradict each other or are missing. */
export function usageFailure(message: string, advice?: string): CliFailure {
  return new CliFailure('usage', message, { exitCode: EXIT.usage, ...(advice !== undefined && { advice }) });
}

/** What is wrong has been shown already; only the exit code is left to say. */
export class AlreadyShown extends Error {
  override readonly name = 'AlreadyShown';
  readonly exitCode: number;

  constructor(exitCode: number = EXIT.failure) {
    super('');
    this.exitCode = exitCode;
  }
}

/** The `code` of a system error (`ENOENT`, `EACCES`, …), or undefined for anything else. */
export function systemErrorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
