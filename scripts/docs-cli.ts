/** The reference of the `keelson` command, from the definitions that it parses its command line by. */
import { describeCommands } from '../packages/cli/src/command-reference.ts';
import type { CommandDescription, OptionDescription } from '../packages/cli/src/command-reference.ts';
import { markdownTable } from './markdown-table.ts';

/** Their defaults depend on the machine. */
const OF_THE_MACHINE = /^--slots\b/;

export async function commandReference(): Promise<string> {
  const commands = await describeCommands();
  return commands.flatMap((command) => sectionsOf(command, '##')).join('\n\n');
}

function sectionsOf(command: CommandDescription, level: string): string[] {
  const { name, description, after, commands } = command;
  const parts = [`${level} ${name}`, description];
  if (commands.length === 0) parts.push(usage(command));
  const rows = [
    ...command.arguments.map((argument) => [`\`${argument.usage}\``, argument.description]),
    ...command.options.map((option) => [`\`${option.flags}\``, meaningOf(option)]),
  ];
  if (rows.length > 0) parts.push(markdownTable(['', ''], rows));
  if (after !== '') parts.push(`\`\`\`\n${after}\n\`\`\``);
  return [parts.join('\n\n'), ...commands.flatMap((inner) => sectionsOf(inner, `${level}#`))];
}

function usage(command: CommandDescription): string {
  const words = [command.name, ...command.arguments.map((argument) => argument.usage)];
  return `\`${words.join(' ')} [options]\``;
}

function meaningOf({ flags, description, choices, required, default: value }: OptionDescription): string {
  const listed = choices.length === 0 ? '' : ` (${choices.map((choice) => `\`${choice}\``).join(', ')})`;
  const must = required ? ' **Required.**' : '';
  const preset = OF_THE_MACHINE.test(flags) ? "by the machine's cores" : `\`${value}\``;
  return `${description}${listed}${must}${value === undefined ? '' : `. Default: ${preset}`}`;
}
