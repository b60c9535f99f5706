import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { RestDefinitionIssue, VersionFile } from '@keelson/protocol';
import { glob, isDynamicPattern } from 'tinyglobby';
import { systemErrorCode } from '../failure.ts';

/** Where the octets of a blob come from when they are uploaded. */
export type BlobSource =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array };

export interface VersionContent {
  readonly file: VersionFile;
  readonly source: BlobSource;
}

export interface GatheredFiles {
  readonly contents: readonly VersionContent[];
  readonly issues: readonly RestDefinitionIssue[];
}

/**
 * Hashes what `files` names. Patterns are relative to the definition's folder; each must name something; links are refused,
 * because what lies behind one may be anything on this machine.
 */
export async function gatherFiles(folder: string, patterns: readonly string[]): Promise<GatheredFiles> {
  const root = await realpath(folder);
  const issues: RestDefinitionIssue[] = [];
  const contents = new Map<string, VersionContent>();
  for (const [index, pattern] of patterns.entries()) {
    const refuse = (code: string, message: string, suggestion?: string) =>
      issues.push({
        severity: 'error',
        code,
        message,
        path: `files[${index}]`,
        ...(suggestion !== undefined && { suggestion }),
      });
    if (leavesFolder(pattern)) {
      refuse('bad-path', `${JSON.stringify(pattern)} leaves the folder of the definition file`);
      continue;
    }
    const paths = await matches(root, pattern);
    if (paths.length === 0) refuse('missing-file', await absence(root, pattern));
    for (const path of paths) {
      if (contents.has(path)) continue;
      const problem = await linkProblem(root, path);
      if (problem === undefined) contents.set(path, await fileContent(root, path));
      else refuse('link-refused', problem, 'put the file itself there');
    }
  }
  return { contents: [...contents.values()].toSorted((a, b) => (a.file.path < b.file.path ? -1 : 1)), issues };
}

function leavesFolder(pattern: string): boolean {
  return /^(?:[/\\~]|[A-Za-z]:)/.test(pattern) || pattern.split(/[/\\]/).includes('..');
}

async function matches(root: string, pattern: string): Promise<string[]> {
  const normal = pattern.replace(/^(?:\.\/)+/, '');
  if (!isDynamicPattern(normal)) {
    const kind = await kindOf(join(root, normal));
    if (kind === 'file') return [normal.replaceAll(/\/+/g, '/')];
    if (kind !== 'directory') return [];
  }
  const found = await glob(normal, { cwd: root, followSymbolicLinks: false, onlyFiles: true, expandDirectories: true });
  return found.toSorted();
}

/** What a path is once links are followed. */
async function kindOf(path: string): Promise<'file' | 'directory' | 'other' | undefined> {
  try {
    const found = await stat(path);
    return found.isFile() ? 'file' : found.isDirectory() ? 'directory' : 'other';
  } catch {
    return undefined;
  }
}

async function absence(root: string, pattern: string): Promise<string> {
  const quoted = JSON.stringify(pattern);
  if (isDynamicPattern(pattern)) return `${quoted} matches no file`;
  const there = await lstat(join(root, pattern)).catch(() => undefined);
  if (there?.isSymbolicLink() === true) return `${quoted} is a link that leads nowhere`;
  if (there === undefined) return `there is no file ${quoted} in the folder of the definition`;
  return there.isDirectory() ? `the folder ${quoted} is empty` : `${quoted} is no regular file`;
}

/** Undefined when no part of the path is a link. */
export async function linkProblem(root: string, path: string): Promise<string | undefined> {
  const real = await realpath(join(root, path));
  if (real === join(root, path)) return undefined;
  return `${JSON.stringify(path)} is a link, or lies behind one`;
}

async function fileContent(root: string, path: string): Promise<VersionContent> {
  const absolute = join(root, path);
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of createReadStream(absolute) as AsyncIterable<Buffer>) {
    hash.update(chunk);
    size += chunk.length;
  }
  const { mode } = await stat(absolute);
  return {
    file: { path, sha256: hash.digest('hex'), size, mode: plainMode(mode) },
    source: { kind: 'file', path: absolute },
  };
}

/** Only "may be executed" belongs to a version: the rest depends on the umask of whoever checked the file out. */
function plainMode(mode: number): number {
  return (mode & 0o111) === 0 ? 0o644 : 0o755;
}

export function bytesContent(path: string, bytes: Uint8Array): VersionContent {
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { file: { path, sha256, size: bytes.length, mode: 0o644 }, source: { kind: 'bytes', bytes } };
}

/** Whether an error only says that a file cannot be read, as opposed to a bug of ours. */
export function isFileError(error: unknown): boolean {
  return ['ENOENT', 'EACCES', 'EPERM', 'EISDIR', 'ENOTDIR', 'ELOOP', 'EIO'].includes(systemErrorCode(error) ?? '');
}
