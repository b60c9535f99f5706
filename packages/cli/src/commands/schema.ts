import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { definitionJsonSchema } from '@keelson/core';
import { taskTypes } from '@keelson/tasks';
import type { Command } from 'commander';
import { examples, withJson } from '../command.ts';
import { CliFailure, systemErrorCode } from '../failure.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { printJson, remark } from '../terminal/terminal.ts';

export function define(command: Command, terminal: Terminal): void {
  withJson(command)
    .option('-o, --out <file>', 'write it into a file')
    .description('Prints the JSON Schema of workflow definitions, for editors. Needs no server.')
    .action(async ({ out }: { out?: string }) => schema(terminal, out));
  examples(command, [
    ['keelson schema --out keelson.schema.json', 'and in a definition: $schema: ./keelson.schema.json'],
  ]);
}

async function schema(terminal: Terminal, out: string | undefined): Promise<void> {
  const document = definitionJsonSchema(taskTypes);
  if (out === undefined) return printJson(terminal, document);
  try {
    await writeFile(resolve(terminal.cwd, out), `${JSON.stringify(document, null, 2)}\n`);
  } catch (error) {
    throw new CliFailure('cannot-write', `${out}: cannot be written (${systemErrorCode(error) ?? String(error)})`);
  }
  remark(terminal, `Written to ${out}`);
}
