import { KeelsonApiError, KeelsonConnectionError } from '@keelson/sdk/client';
import { EXIT } from './exit-codes.ts';
import { AlreadyShown, CliFailure } from './failure.ts';
import { issueLines } from './terminal/issue-lines.ts';
import type { Paint, Terminal } from './terminal/terminal.ts';
import { painter } from './terminal/terminal.ts';
import { plain } from './terminal/text.ts';

interface ErrorReport {
  readonly code: string;
  readonly message: string;
  readonly exitCode: number;
  /** What belongs to the error, line by line. */
  readonly details: (paint: Paint) => readonly string[];
  readonly advice?: string | undefined;
  /** For `--json`. */
  readonly problem?: unknown;
}

/** Shows an error on standard error (with `json`: as one JSON line) and gives the exit code that it stands for. */
export function showError(error: unknown, terminal: Terminal, { json }: { readonly json: boolean }): number {
  if (error instanceof AlreadyShown) return error.exitCode;
  const report = reportOf(error);
  if (json) {
    const { code, message, advice, problem } = report;
    terminal.stderr.write(
      `${JSON.stringify({ error: { code, message, ...(advice !== undefined && { advice }), ...(problem !== undefined && { problem }) } })}\n`,
    );
    return report.exitCode;
  }
  const paint = painter(terminal.stderr, terminal.env);
  const lines = [`${paint(['bold', 'red'], 'error:')} ${plain(report.message)}`, ...report.details(paint)];
  if (report.advice !== undefined) lines.push(`${paint('cyan', 'help:')} ${plain(report.advice)}`);
  terminal.stderr.write(`${lines.join('\n')}\n`);
  return report.exitCode;
}

function reportOf(error: unknown): ErrorReport {
  const none = () => [];
  if (error instanceof CliFailure)
    return { code: error.code, message: error.message, exitCode: error.exitCode, details: none, advice: error.advice };
  if (error instanceof KeelsonApiError) return apiReport(error);
  if (error instanceof KeelsonConnectionError) {
    return {
      code: error.kind === 'interrupted' ? 'no-answer' : error.kind,
      message: error.message,
      exitCode: EXIT.unreachable,
      details: none,
    };
  }
  // Known ends of the server package and of Node carry a stable code and words for a person; anything else is a bug of ours.
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') {
    return { code: error.code, message: error.message, exitCode: EXIT.failure, details: none };
  }
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return {
    code: 'internal',
    message: 'keelson itself failed; this is a bug',
    exitCode: EXIT.failure,
    details: () => [stack],
  };
}

/** Problems whose details already say what to do. */
const SAYS_ENOUGH: readonly string[] = ['invalid-definition', 'invalid-params', 'internal'];

function apiReport(error: KeelsonApiError): ErrorReport {
  const { errors, issues, problem } = error;
  return {
    code: error.code,
    message: error.detail,
    exitCode: error.status === 401 || error.status === 403 ? EXIT.refused : EXIT.failure,
    advice: SAYS_ENOUGH.includes(error.code) ? undefined : error.advice,
    problem,
    details: (paint) => [
      ...errors
        .filter(({ path, message }) => error.detail !== message && error.detail !== `${path}: ${message}`)
        .map(({ path, message }) => `  ${paint('bold', plain(path))}: ${plain(message)}`),
      ...issues.flatMap((issue) => issueLines(issue, { paint, sourceOf: () => undefined, excerpt: false })),
      ...(problem.errorId === undefined || error.detail.includes(problem.errorId)
        ? []
        : [`  the server's log has the cause under ${problem.errorId}`]),
    ],
  };
}
