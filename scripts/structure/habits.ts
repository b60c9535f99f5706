import type { Violation } from './boundaries.ts';
import type { SourceFile } from './source-files.ts';

const LINE_LIMIT = 500;
const CODE = /\.(ts|tsx|js|mjs|sql|sh|py)$/;
const EMPTY_NAME = /(^|\/)(utils?|helpers?|common|types|misc)\.[a-z]+$/;
const INNER_INDEX = /^packages\/[^/]+\/src\/.+\/index\.ts$/;
const CHECKER = /^scripts\/structure\//;

/** Paths of one machine; documentation may name a user's own folder as ~ or $HOME. */
const MACHINE_PATH = /(^|[\s'"`(=])(\/work\/|\/home\/[a-z]|\/Users\/[A-Za-z]|\/root\/|[A-Z]:\\\\?Users)/;
const POSTPONED = /\b(TODO|FIXME)\b/;

/** What no file of this repository does, whatever its content. */
export function badHabits(files: SourceFile[]): Violation[] {
  return files.flatMap((file) => [...shape(file), ...content(file)]);
}

function shape({ path, lines }: SourceFile): Violation[] {
  const found: Violation[] = [];
  const report = (message: string) => found.push({ path, line: 1, message });
  if (EMPTY_NAME.test(path)) report('is named after nothing: name the file after what it does');
  if (INNER_INDEX.test(path)) report("is an inner barrel: only a package's src/index.ts is one");
  if (CODE.test(path) && lines.length > LINE_LIMIT) {
    report(`has ${lines.length} lines, the limit is ${LINE_LIMIT}: split it by reason to change`);
  }
  return found;
}

function content({ path, lines }: SourceFile): Violation[] {
  if (CHECKER.test(path)) return [];
  const found: Violation[] = [];
  lines.forEach((text, index) => {
    const report = (message: string) => found.push({ path, line: index + 1, message });
    if (POSTPONED.test(text)) report('postpones something: do it now, or open an issue');
    if (MACHINE_PATH.test(text)) report('names a path of one machine');
  });
  return found;
}
