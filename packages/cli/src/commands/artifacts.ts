import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { RestArtifact } from '@keelson/protocol';
import type { KeelsonClient } from '@keelson/sdk/client';
import type { Command } from 'commander';
import type { ConnectedOptions } from '../command.ts';
import { connected, examples } from '../command.ts';
import { connect } from '../connection/connect.ts';
import { CliFailure, systemErrorCode } from '../failure.ts';
import { parseTaskName } from '../names.ts';
import { tableLines } from '../terminal/table.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { printJson, printLines, remark } from '../terminal/terminal.ts';
import { plain, sizeText } from '../terminal/text.ts';

interface ArtifactsOptions extends ConnectedOptions {
  readonly save?: string;
}

export function define(command: Command, terminal: Terminal): void {
  connected(command)
    .argument('<task>', "INSTANCE/TASK, or a task instance's id")
    .description('Lists the files that a task left in $KEELSON_OUTPUT_DIR. With --save: writes them to a directory.')
    .option('--save <dir>', 'where to; made if it is missing, files there are overwritten')
    .action(async (task: string, options: ArtifactsOptions) => artifacts(terminal, task, options));
  examples(command, [
    ['keelson artifacts 4711/report', 'list them'],
    ['keelson artifacts 4711/report --save .', 'save them here'],
  ]);
}

async function artifacts(terminal: Terminal, task: string, options: ArtifactsOptions): Promise<void> {
  const client = await connect(terminal, options);
  const name = parseTaskName(task);
  const found =
    name.kind === 'id' ? await client.getTaskInstance(name.id) : await client.getTask(name.instanceId, name.task);
  if (options.save !== undefined)
    await saveAll(client, terminal, found.id, found.artifacts, options.save, options.json === true);
  if (options.json === true) return printJson(terminal, found.artifacts);
  if (found.artifacts.length === 0)
    return remark(terminal, `Task ${plain(found.task)} (${found.state}) has no artifacts`);
  if (options.save === undefined) {
    printLines(
      terminal,
      tableLines(
        terminal,
        ['PATH', 'SIZE', 'SHA-256'],
        found.artifacts.map(({ path, size, sha256 }) => [plain(path), sizeText(size), sha256]),
      ),
    );
  }
}

async function saveAll(
  client: KeelsonClient,
  terminal: Terminal,
  id: string,
  files: readonly RestArtifact[],
  directory: string,
  json: boolean,
): Promise<void> {
  const folder = resolve(terminal.cwd, directory);
  for (const { path, size, mode } of files) {
    const target = join(folder, path);
    const inside = relative(folder, target);
    if (inside.startsWith('..') || isAbsolute(inside))
      throw new CliFailure('bad-artifact-path', `the artifact ${JSON.stringify(path)} would lie outside of ${folder}`);
    try {
      await mkdir(dirname(target), { recursive: true });
      await pipeline(Readable.fromWeb(await client.readArtifact(id, path)), createWriteStream(target, { mode }));
    } catch (error) {
      const code = systemErrorCode(error);
      if (code === undefined) throw error;
      throw new CliFailure('cannot-write', `${target}: cannot be written (${code})`);
    }
    if (!json) printLines(terminal, `${plain(target)}  ${sizeText(size)}`);
  }
}
