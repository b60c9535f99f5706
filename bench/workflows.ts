import type { Definition } from './rest.ts';

type Needs = { readonly needs?: readonly string[] };

const processor = (name: string, rest: Needs = {}, args?: object): object => ({
  ...rest,
  uses: 'processor',
  with: { processor: name, ...(args && { args }) },
});

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

/** Tasks in a row, each computing `fibo(n)`. */
export function chain(name: string, length: number, n: number): Definition {
  const tasks = numbers(length).map((number) => {
    const needs = number === 1 ? {} : { needs: [`t${number - 1}`] };
    return [`t${number}`, processor('fibo', needs, { n })];
  });
  return { name, tasks: Object.fromEntries(tasks) };
}

/** Independent no-op tasks. */
export function parallel(name: string, width: number): Definition {
  return { name, tasks: Object.fromEntries(numbers(width).map((number) => [`t${number}`, processor('noop')])) };
}

/** Independent tasks that run until they are stopped. */
export function holding(name: string, width: number): Definition {
  return { name, tasks: Object.fromEntries(numbers(width).map((number) => [`t${number}`, processor('hold')])) };
}

/** One task, then many, then one that needs them all. */
export function diamond(name: string, width: number): Definition {
  const between = numbers(width).map((number) => `t${number}`);
  return {
    name,
    tasks: {
      first: processor('noop'),
      ...Object.fromEntries(between.map((id) => [id, processor('noop', { needs: ['first'] })])),
      last: processor('noop', { needs: between }),
    },
  };
}

/** Layers of equal width; each task needs two of the layer before. */
export function layers(name: string, depth: number, width: number): Definition {
  const tasks: [string, object][] = [];
  for (const layer of numbers(depth)) {
    for (const place of numbers(width)) {
      const before = [place, (place % width) + 1].map((other) => `l${layer - 1}_${other}`);
      tasks.push([`l${layer}_${place}`, processor('noop', layer === 1 ? {} : { needs: before })]);
    }
  }
  return { name, tasks: Object.fromEntries(tasks) };
}

/** Says when it runs, to the worker's parent process. */
export function probe(name: string): Definition {
  return { name, tasks: { t1: processor('probe') } };
}

export function shells(name: string, width: number, command: string): Definition {
  return { name, tasks: Object.fromEntries(numbers(width).map((number) => [`t${number}`, { run: command }])) };
}
