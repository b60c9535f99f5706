/**
 * Pages of docs/ that are partly made from the code. What stands between `<!-- generated: NAME -->` and
 * `<!-- end of generated: NAME -->` is replaced; everything else is written by hand.
 */
import { readFile } from 'node:fs/promises';
import { commandReference } from './docs-cli.ts';
import { permissionTable, problemTable } from './docs-catalogues.ts';
import { operationTable, taskOperationTable } from './docs-operations.ts';
import { taskTypeFields } from './docs-task-types.ts';

type Sections = Readonly<Record<string, string>>;

/** Path → the page as it should be. Throws when a page lacks a mark, or has one that nothing fills. */
export async function generatedPages(root: URL): Promise<Readonly<Record<string, string>>> {
  const pages: Readonly<Record<string, Sections>> = {
    'docs/task-types.md': taskTypeFields(),
    'docs/cli.md': { commands: await commandReference() },
    'docs/rest.md': { problems: problemTable() },
    'docs/operations.md': { permissions: permissionTable() },
    'docs/operating.md': { operations: operationTable(), tasks: taskOperationTable() },
  };
  const filled = Object.entries(pages).map(async ([path, sections]): Promise<[string, string]> => {
    const page = await readFile(new URL(path, root), 'utf8');
    return [path, fill(path, page, sections)];
  });
  return Object.fromEntries(await Promise.all(filled));
}

function fill(path: string, page: string, sections: Sections): string {
  const left = new Set(Object.keys(sections));
  const filled = page.replaceAll(
    /(<!-- generated: (\S+) -->\n)[\s\S]*?(<!-- end of generated: \2 -->)/g,
    (_, open: string, name: string, close: string) => {
      const section = sections[name];
      if (section === undefined) throw new Error(`${path}: nothing fills the mark "generated: ${name}"`);
      left.delete(name);
      return `${open}\n${section.trim()}\n\n${close}`;
    },
  );
  if (left.size > 0) throw new Error(`${path}: the mark "generated: ${[...left].join(', ')}" is missing`);
  return filled;
}
