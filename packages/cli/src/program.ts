import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import type { CommandEntry, CommandModule } from './command.ts';
import { COMMANDS } from './command-list.ts';
import { EXIT, EXIT_CODES_HELP } from './exit-codes.ts';
import { usageFailure } from './failure.ts';
import { showError } from './show-error.ts';
import type { Terminal } from './terminal/terminal.ts';
import { hasColors } from './terminal/terminal.ts';

const INTRODUCTION = `Keelson runs workflows and jobs.

Start everything on this machine with "keelson dev", then "keelson apply FILE" and "keelson run NAME".`;

const ENVIRONMENT_HELP = `Environment:
  KEELSON_URL, KEELSON_TOKEN  the server to talk to; without them, the "keelson dev"
                              that runs with the same --data (default ./.keelson)
  NO_COLOR, FORCE_COLOR       colours off, or on even where no terminal is`;

/** Runs one command line. Never throws; gives the exit code. */
export async function runCli(args: readonly string[], terminal: Terminal): Promise<number> {
  const wantsJson = args.includes('--json');
  try {
    const program = await makeProgram(args, terminal);
    await program.parseAsync(args, { from: 'user' });
    return EXIT.ok;
  } catch (error) {
    // Commander has written its own message, or the help that was asked for.
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return EXIT.ok;
      return wantsJson
        ? showError(usageFailure(error.message.replace(/^error: /, '')), terminal, { json: true })
        : EXIT.usage;
    }
    return showError(error, terminal, { json: wantsJson });
  }
}

/** All commands by name, but only the one that is asked for is loaded: `keelson --help` starts fast. */
async function makeProgram(args: readonly string[], terminal: Terminal): Promise<Command> {
  const program = new Command('keelson')
    .description(INTRODUCTION)
    .version(ownVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', 'print the help of a command')
    .addHelpText('after', `\n${ENVIRONMENT_HELP}\n\n${EXIT_CODES_HELP}`)
    .showHelpAfterError('(add --help for what is possible)')
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.stdout.write(text),
      // With --json the error itself is shown instead, as every other.
      writeErr: (text) => void (args.includes('--json') || terminal.stderr.write(text)),
      getOutHelpWidth: () => terminal.stdout.columns ?? 80,
      getErrHelpWidth: () => terminal.stderr.columns ?? 80,
      getOutHasColors: () => hasColors(terminal.stdout, terminal.env),
      getErrHasColors: () => hasColors(terminal.stderr, terminal.env),
    })
    .configureHelp({ styleTitle: (text) => bold(text) });
  const asked = askedCommand(args);
  for (const entry of COMMANDS) {
    const command = program.command(entry.name).summary(entry.summary).description(entry.summary);
    if (entry.name === asked) await define(command, entry, terminal);
  }
  return program;
}

async function define(command: Command, entry: CommandEntry, terminal: Terminal): Promise<void> {
  const module: CommandModule = await entry.load();
  module.define(command, terminal);
}

/** The program itself takes no option with a value, so the first word is the command. */
function askedCommand(args: readonly string[]): string | undefined {
  const words = args.filter((arg) => !arg.startsWith('-'));
  return words[0] === 'help' ? words[1] : words[0];
}

function ownVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  const { version } = JSON.parse(text) as { version: string };
  return version;
}

function bold(text: string): string {
  return `\u001b[1m${text}\u001b[22m`;
}
