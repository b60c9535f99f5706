import type { Direction, Proxy } from '../cluster/proxy.ts';
import type { Random } from '../random.ts';
import { anywhere, masters } from './nemesis.ts';
import type { Fault, Nemesis, Scene } from './nemesis.ts';

const BOTH: readonly Direction[] = ['up', 'down'];

interface Edges {
  readonly target: string;
  readonly proxies: readonly Proxy[];
  readonly release: () => void;
}

type Choose = (scene: Scene) => Edges;

/** A black hole; whether what was held arrives late or never is drawn. */
function blackHole(
  name: string,
  summary: string,
  choose: Choose,
  draw: (random: Random) => readonly Direction[],
): Nemesis {
  return {
    name,
    summary,
    holdSeconds: [3, 16],
    obstacle: anywhere,
    begin: async (scene) => {
      const edges = choose(scene);
      const directions = draw(scene.random);
      const held = scene.random.pick(['late', 'never'] as const);
      for (const proxy of edges.proxies) proxy.hold(directions);
      return cutFault(`${edges.target}, ${directions.join(' and ')}, held bytes arrive ${held}`, edges, held);
    },
  };
}

function cutFault(target: string, { proxies, release }: Edges, held: 'late' | 'never'): Fault {
  return {
    target,
    heal: async () => {
      const proofs = proxies.map((proxy) => proxy.heal(held));
      release();
      const sum = (part: 'heldBytes' | 'connectionsHit' | 'refused'): number =>
        proofs.reduce((total, proof) => total + proof[part], 0);
      const [bytes, connections, refused] = [sum('heldBytes'), sum('connectionsHit'), sum('refused')];
      return {
        bit: bytes > 0 || refused > 0,
        proof: `${bytes} bytes held back, ${connections} connections hit, ${refused} refused`,
      };
    },
  };
}

const masterFromDatabase: Choose = ({ cluster, random, victims }) => {
  const server = victims.take(masters(cluster), random);
  return { target: server.database.name, proxies: [server.database], release: () => victims.release(server) };
};

/** A worker loses some of its servers, or all of them. */
const workerFromMasters: Choose = ({ cluster, random, victims }) => {
  const worker = victims.take(cluster.workers, random);
  const all = random.shuffled([...worker.servers.values()]);
  const proxies = all.slice(0, random.between(1, all.length));
  return {
    target: `${worker.name} to ${proxies.length} of ${all.length} masters`,
    proxies,
    release: () => victims.release(worker),
  };
};

const oneWay = (random: Random): readonly Direction[] => [random.pick(BOTH)];

export const cutDatabase = blackHole(
  'cut-database',
  'nothing passes between a master and the database',
  masterFromDatabase,
  () => BOTH,
);
export const cutDatabaseOneWay = blackHole(
  'cut-database-one-way',
  'one direction between a master and the database is lost: what it commits, or the answers',
  masterFromDatabase,
  oneWay,
);
export const cutWorker = blackHole(
  'cut-worker',
  'nothing passes between a worker and some masters, or all',
  workerFromMasters,
  () => BOTH,
);
export const cutWorkerOneWay = blackHole(
  'cut-worker-one-way',
  'one direction between a worker and some masters, or all, is lost',
  workerFromMasters,
  oneWay,
);

/** Connections are reset again and again: commits whose answers are lost. */
export const resetDatabase: Nemesis = {
  name: 'reset-database',
  summary: 'the connections between a master and the database are reset, and refused for a while',
  holdSeconds: [1, 6],
  obstacle: anywhere,
  begin: async (scene) => {
    const edges = masterFromDatabase(scene);
    for (const proxy of edges.proxies) proxy.reset();
    return cutFault(edges.target, edges, 'never');
  },
};
