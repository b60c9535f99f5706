import { constants } from 'node:os';
import type { FailureReason, ProcessEnd } from '../task-type.ts';

/** Why a process counts as failed, in words that help; undefined when it exited with 0. */
export function processResult(end: ProcessEnd): FailureReason | undefined {
  switch (end.kind) {
    case 'exited':
      return end.exitCode === 0 ? undefined : exitReason(end.exitCode);
    case 'signalled':
      return { code: 'signal', signal: end.signal, message: `killed by ${end.signal}${signalHint(end.signal)}` };
    case 'not-started':
      return notStartedReason(end.errno, end.message);
  }
}

function exitReason(exitCode: number): FailureReason {
  const code = exitCode === 127 ? 'command-not-found' : 'exit-code';
  return { code, exitCode, message: `exit code ${exitCode}${exitHint(exitCode)}` };
}

function exitHint(exitCode: number): string {
  if (exitCode === 126)
    return ': a command was found but could not be executed (is the file executable, for this machine?)';
  if (exitCode === 127) return ': command not found; the log names it. Is it installed on this worker and in its PATH?';
  const signal = exitCode > 128 ? signalName(exitCode - 128) : undefined;
  return signal === undefined ? '' : ` (128 + ${exitCode - 128}): killed by ${signal}${signalHint(signal)}`;
}

function signalHint(signal: string): string {
  if (signal === 'SIGKILL') return ', often by the kernel because memory ran out';
  if (signal === 'SIGSEGV') return ', a crash in native code';
  if (signal === 'SIGABRT') return ', the program gave itself up';
  if (signal === 'SIGPIPE') return ', it wrote to a pipe that nobody read any more';
  return '';
}

function signalName(number: number): string | undefined {
  return Object.entries(constants.signals).find(([, value]) => value === number)?.[0];
}

function notStartedReason(errno: string, message: string): FailureReason {
  if (errno === 'ENOENT') {
    return {
      code: 'command-not-found',
      message: `command not found: ${message}. Is it installed on this worker and in its PATH?`,
    };
  }
  return { code: 'not-started', message: `the process could not be started (${errno}): ${message}` };
}
