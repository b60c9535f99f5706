import { registerHooks } from 'node:module';
import { pathToFileURL } from 'node:url';
import { CliFailure, systemErrorCode } from '../failure.ts';
import type { DefinitionPath } from './find-definitions.ts';

/** One definition that a module exports. */
export interface ExportedDefinition {
  readonly shown: string;
  readonly value: unknown;
}

/** Imports a module (Node strips the types) and gives the workflow, or the list of them, that it exports by default. */
export async function loadModule({ path, shown }: DefinitionPath): Promise<ExportedDefinition[]> {
  lendSdk();
  let module: { default?: unknown };
  try {
    module = (await import(pathToFileURL(path).href)) as { default?: unknown };
  } catch (error) {
    throw importFailure(path, shown, error);
  }
  const value = await module.default;
  const list: unknown[] = Array.isArray(value) ? value : [value];
  if (list.length === 0) throw new CliFailure('empty-module', `${shown}: the default export is an empty list`);
  return list.map((item, index) => {
    if (typeof item !== 'object' || item === null) {
      throw new CliFailure(
        'no-default-export',
        `${shown}: the default export must be a workflow or a list of them, not ${item === undefined ? 'missing' : `a ${typeof item}`}`,
        {
          advice: "export default workflow({ name: '…', tasks: { … } })",
        },
      );
    }
    return { shown: list.length === 1 ? shown : `${shown}#${nameOf(item) ?? index + 1}`, value: item };
  });
}

function nameOf(value: object): string | undefined {
  return 'name' in value && typeof value.name === 'string' && value.name !== '' ? value.name : undefined;
}

let lent = false;

/** A workflow module may import `@keelson/sdk` even where it is not installed: then it is the one of this command. */
function lendSdk(): void {
  if (lent) return;
  lent = true;
  registerHooks({
    resolve(specifier, context, nextResolve) {
      if (specifier !== '@keelson/sdk' && !specifier.startsWith('@keelson/sdk/'))
        return nextResolve(specifier, context);
      try {
        return nextResolve(specifier, context);
      } catch {
        return { url: import.meta.resolve(specifier), shortCircuit: true };
      }
    },
  });
}

function importFailure(path: string, shown: string, error: unknown): CliFailure {
  if (!(error instanceof Error))
    return new CliFailure('module-failed', `${shown}: importing it threw ${String(error)}`);
  const place = placeIn(path, error.stack ?? '');
  const code = systemErrorCode(error);
  const advice = code === 'ERR_MODULE_NOT_FOUND' ? 'install what it imports beside it (npm install)' : undefined;
  const [message = ''] = error.message.split('\n');
  return new CliFailure(
    'module-failed',
    `${shown}${place}: ${error.name}: ${message}`,
    advice === undefined ? {} : { advice },
  );
}

/** `:line:column` of the first stack frame in the module itself, or the line before a syntax error. */
function placeIn(path: string, stack: string): string {
  const at = stack.indexOf(path);
  if (at === -1) return '';
  return /^(?::\d+){1,2}/.exec(stack.slice(at + path.length))?.[0] ?? '';
}
