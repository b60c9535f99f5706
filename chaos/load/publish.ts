import { Refused } from './client.ts';
import type { Client } from './client.ts';
import { definitionOf, shapes } from './workflows.ts';
import type { Shape, ShapeSettings } from './workflows.ts';

export interface Published {
  readonly shapes: readonly Shape[];
  /** What this release does not know, so that it was not part of the load. */
  readonly missing: readonly string[];
}

/** Publishes every workflow of the load, or the named ones. */
export async function publishShapes(client: Client, ledger: string, only?: readonly string[]): Promise<Published> {
  const settings: ShapeSettings = { ledger };
  const published: Shape[] = [];
  const missing: string[] = [];
  for (const shape of shapes(settings)) {
    if (only !== undefined && !only.includes(shape.name)) continue;
    const body = definitionOf(shape);
    try {
      await client.until('PUT', `projects/default/workflows/${shape.name}`, { body });
      published.push(shape);
    } catch (error) {
      if (!(error instanceof Refused) || !Object.values(shape.tasks).some(({ broadcast }) => broadcast)) throw error;
      missing.push(`${shape.name}: ${error.message}`);
    }
  }
  if (published.length === 0) throw new Error(`there is no such workflow: ${only?.join(', ')}`);
  return { shapes: published, missing };
}
