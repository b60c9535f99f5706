import { isBuiltin } from 'node:module';
import type { SourceFile } from './source-files.ts';

/** Something that the structure forbids, where, and why. */
export type Violation = { path: string; line: number; message: string };

/** `from` may not import what `to` matches. Specifiers of workspace packages count as their `packages/…/src/` folder. */
type Boundary = { from: RegExp; except?: RegExp; to: RegExp; message: string };

const TESTS = /\.test\.ts$|\/testing\//;
const ROLES = ['api', 'master', 'alert'];

const boundaries: Boundary[] = [
  {
    from: /^packages\/core\//,
    to: /^packages\/(?!core\/)/,
    message: 'core imports no other package of the workspace',
  },
  {
    from: /^packages\/(worker|tasks|sdk|cli|console)\//,
    except: TESTS,
    to: /^packages\/store\//,
    message: 'only the server imports store; the others speak the protocol',
  },
  {
    from: /^packages\/(worker|tasks|sdk|cli|console)\/.*\.test\.ts$/,
    to: /^packages\/store\/src\/(?!testing)/,
    message: "a test borrows store's test PostgreSQL and nothing else of it",
  },
  {
    from: /^packages\/store\//,
    except: TESTS,
    to: /^packages\/(server|worker|tasks|sdk|cli|console|protocol)\//,
    message: 'store is PostgreSQL and nothing else: it imports core only',
  },
  {
    from: /^packages\/protocol\//,
    to: /^packages\/(server|worker|store|sdk|cli|console)\//,
    message: 'protocol is imported by both sides and imports neither',
  },
  {
    from: /^packages\/tasks\//,
    except: TESTS,
    to: /^packages\/(server|worker|sdk|cli|console|protocol)\//,
    message: 'tasks imports core only',
  },
  {
    from: /^packages\/(worker|sdk)\//,
    except: TESTS,
    to: /^packages\/(server|cli|console)\//,
    message: 'worker and sdk do not import the server',
  },
  {
    from: /^packages\/(?!tasks\/|worker\/)/,
    except: TESTS,
    to: /^packages\/tasks\/src\/[^/]+\/run\.ts$/,
    message: 'only the worker runs a task type; others import its schema',
  },
  ...ROLES.map((role) => ({
    from: new RegExp(`^packages/server/src/${role}/`),
    to: new RegExp(`^packages/server/src/(${ROLES.filter((other) => other !== role).join('|')}|dev)(/|$)`),
    message: 'the roles api, master and alert meet only in store and protocol',
  })),
  {
    from: /^(packages|scripts|bench|e2e|simulation)\//,
    to: /^examples\//,
    message: 'examples are for readers; nothing depends on them',
  },
];

/** The imports that cross a boundary of the architecture. */
export function crossings(files: SourceFile[]): Violation[] {
  return files.flatMap((file) =>
    boundaries
      .filter(({ from, except }) => from.test(file.path) && except?.test(file.path) !== true)
      .flatMap(({ to, message }) =>
        file.imports
          .filter(({ target }) => to.test(asPath(target)))
          .map(({ line, target }) => ({ path: file.path, line, message: `imports ${target}: ${message}` })),
      ),
  );
}

const PURE = /^packages\/core\/src\/|^packages\/tasks\/src\/[^/]+\/schema\.ts$/;

/** Node modules that the core or a task type's schema reaches, directly or through the files that it imports. */
export function impurities(files: SourceFile[]): Violation[] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const found: Violation[] = [];
  for (const start of files.filter(({ path }) => PURE.test(path) && !TESTS.test(path))) {
    for (const entry of start.imports) {
      const builtin = reachedBuiltin(entry.target, byPath, new Set([start.path]));
      if (builtin === undefined) continue;
      const message = `imports ${entry.target}, which is or reaches ${builtin}: this code must run anywhere, without Node`;
      found.push({ path: start.path, line: entry.line, message });
    }
  }
  return found;
}

function reachedBuiltin(target: string, byPath: Map<string, SourceFile>, seen: Set<string>): string | undefined {
  if (isBuiltin(target)) return target;
  const file = byPath.get(asPath(target));
  if (file === undefined || seen.has(file.path)) return undefined;
  seen.add(file.path);
  for (const next of file.imports) {
    const builtin = reachedBuiltin(next.target, byPath, seen);
    if (builtin !== undefined) return builtin;
  }
  return undefined;
}

/** The file or folder that a specifier of a workspace package stands for; anything else as it is. */
function asPath(target: string): string {
  const match = /^(?:@keelson\/([a-z]+)|(keelson))(?:\/(.*))?$/.exec(target);
  if (match === null) return target;
  return `packages/${match[1] ?? 'cli'}/src/${match[3] ?? 'index.ts'}`;
}
