import type { Command } from 'commander';
import { examples, withJson } from '../command.ts';
import { findDefinitions } from '../definition/find-definitions.ts';
import { prepare } from '../definition/prepare.ts';
import { showIssues, showSkipped } from '../definition/show-issues.ts';
import { AlreadyShown } from '../failure.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { printJson, printLines } from '../terminal/terminal.ts';
import { counted } from '../terminal/text.ts';

export function define(command: Command, terminal: Terminal): void {
  withJson(command)
    .argument('<path...>', 'definition files or directories')
    .description('Checks workflow definitions, the files they name and the modules they bundle. Needs no server.')
    .action(async (paths: string[], { json }: { json?: true }) => lint(terminal, paths, json === true));
  examples(command, [
    ['keelson lint flow.yaml', 'check one file'],
    ['keelson lint .', 'check all definitions below this directory'],
  ]);
}

async function lint(terminal: Terminal, paths: readonly string[], json: boolean): Promise<void> {
  const found = await findDefinitions(terminal.cwd, paths);
  const prepared = await prepare(terminal.cwd, found.definitions);
  const valid = !prepared.issues.some(({ severity }) => severity === 'error');
  if (json) {
    const workflows = prepared.workflows.map(({ file, definition }) => ({
      file,
      project: definition.project,
      workflow: definition.name,
      tasks: Object.keys(definition.tasks).length,
    }));
    printJson(terminal, { valid, workflows, issues: prepared.issues, skipped: found.skipped });
  } else {
    showSkipped(terminal, found.skipped);
    showIssues(terminal, prepared, prepared.issues);
    if (valid) printLines(terminal, `${counted(prepared.workflows.length, 'workflow')} checked, nothing wrong`);
  }
  if (!valid) throw new AlreadyShown();
}
