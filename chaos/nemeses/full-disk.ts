import type { SmallDisk } from '../cluster/small-disk.ts';
import type { ChaosCluster } from '../cluster/cluster.ts';
import type { Nemesis } from './nemesis.ts';

function fullDisk(name: string, summary: string, choose: (cluster: ChaosCluster) => SmallDisk | undefined): Nemesis {
  return {
    name,
    summary,
    holdSeconds: [4, 12],
    obstacle: (cluster) => (choose(cluster) === undefined ? 'mounting a small file system needs root' : undefined),
    begin: async ({ cluster, random, victims }) => {
      const disk = choose(cluster);
      if (disk === undefined) throw new Error('there is no small disk');
      victims.take([{ name }], random);
      disk.fill();
      // What others give back meanwhile is taken, too.
      const again = setInterval(() => disk.fill(), 100);
      return {
        target: disk.path,
        heal: async () => {
          clearInterval(again);
          const full = disk.isFull();
          disk.relieve();
          victims.release({ name });
          return { bit: full, proof: full ? 'a write failed for want of room' : 'there was room again' };
        },
      };
    },
  };
}

export const fullWorkerDisk = fullDisk(
  'full-worker-disk',
  'the disk of a worker’s data directory is full',
  ({ workers }) => workers.find(({ disk }) => disk !== undefined)?.disk,
);
export const fullBlobDisk = fullDisk('full-blob-disk', 'the disk of the blob store is full', ({ blobs }) => blobs);
