import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';
import { markAwaits } from './awaits.ts';
import { markedFiles } from './failpoint.ts';
import type { FailpointOrders } from './failpoint.ts';
import { SQL_PATCHES, armFailpoints } from './failpoint-runtime.ts';
import { applyPatch, readSource, ROOT } from './plant.ts';
import type { Plant } from './plant.ts';
import { PLANTS } from './table.ts';

/**
 * Makes modules that are loaded from now on come with these bugs and failpoints. All files are read and patched at once, so that a patch
 * that does not fit is an error here, whether its module is loaded or not.
 *
 * @throws for an unknown plant, and for a patch whose text is not there exactly once
 */
export function installPlants(names: readonly string[], orders?: FailpointOrders): void {
  // A patched module must not be found in a cache of whole ones.
  process.env['NODE_DISABLE_COMPILE_CACHE'] = '1';
  const sources = patchedSources(names.map(plantCalled), orders);
  if (orders !== undefined) armFailpoints(orders);
  registerHooks({
    load: (url, context, nextLoad) => {
      const source = url.startsWith('file:') ? sources.get(fileURLToPath(url)) : undefined;
      return source === undefined
        ? nextLoad(url, context)
        : { format: 'module-typescript', source, shortCircuit: true };
    },
  });
}

/** Absolute path → source with the bugs and the failpoints in it. */
export function patchedSources(plants: readonly Plant[], orders?: FailpointOrders): Map<string, string> {
  const sources = new Map<string, string>();
  const sourceOf = (file: string): string => sources.get(ROOT + file) ?? readSource(file);
  const patches = [...plants.flatMap((plant) => plant.patches), ...(orders === undefined ? [] : SQL_PATCHES)];
  for (const patch of patches) sources.set(ROOT + patch.file, applyPatch(sourceOf(patch.file), patch));
  for (const file of orders === undefined ? [] : markedFiles(orders))
    sources.set(ROOT + file, markAwaits(file, sourceOf(file)));
  return sources;
}

function plantCalled(name: string): Plant {
  const plant = PLANTS.find((each) => each.name === name);
  if (plant !== undefined) return plant;
  throw new Error(`there is no plant ${name}; there are: ${PLANTS.map((each) => each.name).join(', ')}`);
}
