import type { Argument, Option } from 'commander';
import { Command } from 'commander';
import { COMMANDS } from './command-list.ts';
import { processTerminal } from './terminal/terminal.ts';

/** A command as data, for the documentation. */
export interface CommandDescription {
  /** `keelson secret set`. */
  readonly name: string;
  readonly description: string;
  /** Empty for a command that only has commands of its own. */
  readonly arguments: readonly { readonly usage: string; readonly description: string }[];
  readonly options: readonly OptionDescription[];
  /** What its help shows behind the options: examples, notes. */
  readonly after: string;
  readonly commands: readonly CommandDescription[];
}

export interface OptionDescription {
  readonly flags: string;
  readonly description: string;
  readonly choices: readonly string[];
  readonly required: boolean;
  readonly default?: string;
}

/** Every command, in the order of the help. Nothing is run. */
export async function describeCommands(): Promise<CommandDescription[]> {
  const described = COMMANDS.map(async (entry) => {
    const command = new Command(entry.name).description(entry.summary);
    (await entry.load()).define(command, processTerminal());
    return describe(command, 'keelson');
  });
  return Promise.all(described);
}

function describe(command: Command, parent: string): CommandDescription {
  const name = `${parent} ${command.name()}`;
  return {
    name,
    description: command.description(),
    arguments: command.registeredArguments.map((argument) => ({
      usage: usageOf(argument),
      description: argument.description,
    })),
    options: command.options.map(optionOf),
    after: textAfter(command),
    commands: command.commands.map((inner) => describe(inner, name)),
  };
}

function usageOf(argument: Argument): string {
  const name = `${argument.name()}${argument.variadic ? '...' : ''}`;
  return argument.required ? `<${name}>` : `[${name}]`;
}

function optionOf({ flags, description, argChoices, mandatory, negate, defaultValue }: Option): OptionDescription {
  const hasDefault = defaultValue !== undefined && !negate;
  return {
    flags,
    description,
    choices: argChoices ?? [],
    required: mandatory,
    ...(hasDefault && { default: String(defaultValue) }),
  };
}

function textAfter(command: Command): string {
  let text = '';
  command.configureOutput({
    writeOut: (more) => void (text += more),
    getOutHelpWidth: () => 100,
    getOutHasColors: () => false,
  });
  command.outputHelp();
  return text.slice(command.helpInformation().length).trim();
}
