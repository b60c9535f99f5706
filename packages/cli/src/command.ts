import type { Command } from 'commander';
import { InvalidArgumentError, Option } from 'commander';
import { DEFAULT_DATA_DIR } from './connection/connect.ts';
import type { Terminal } from './terminal/terminal.ts';

/** A file of `commands/`: adds arguments, options, help and the action to its command. */
export interface CommandModule {
  define(command: Command, terminal: Terminal): void;
}

export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  load(): Promise<CommandModule>;
}

/** What every command that talks to a server takes. */
export interface ConnectedOptions {
  readonly data?: string;
  readonly json?: true;
}

/** Adds `--json` and `--data`. */
export function connected(command: Command): Command {
  return withJson(command).addOption(
    new Option('--data <dir>', `data directory of the "keelson dev" to talk to (default: ./${DEFAULT_DATA_DIR})`),
  );
}

export function withJson(command: Command): Command {
  return command.option('--json', 'print JSON');
}

/** Adds `-p, --project` with its default. */
export function withProject(command: Command): Command {
  return command.option('-p, --project <name>', 'the project', 'default');
}

export function examples(command: Command, lines: readonly (readonly [command: string, meaning: string])[]): Command {
  const width = Math.max(...lines.map(([line]) => line.length));
  const text = lines.map(([line, meaning]) => `  ${line.padEnd(width)}  ${meaning}`.trimEnd()).join('\n');
  return command.addHelpText('after', `\nExamples:\n${text}`);
}

/** For commander: an empty `--data "$DIR"` must not mean the current directory. */
export function directory(text: string): string {
  if (text === '') throw new InvalidArgumentError('It must name a directory.');
  return text;
}

/** For commander: a group of another form could be named by no task. */
export function workerGroup(text: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/.test(text))
    throw new InvalidArgumentError('It must be letters, digits, "_", "." and "-", at most 64.');
  return text;
}

/** For commander: reads an integer within bounds. */
export function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^-?\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max)) throw new InvalidArgumentError(`It must be an integer from ${min} to ${max}.`);
    return value;
  };
}

/** For commander: collects the values of an option that may be given several times. */
export function collect(text: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), text];
}
