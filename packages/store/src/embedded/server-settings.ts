import { totalmem } from 'node:os';

/** Sized for a small machine that does other work, too. Client errors are the client's to log. */
export function serverSettings(port: number, durable: boolean): Record<string, string> {
  const roomy = totalmem() >= 4 * 1024 ** 3;
  return {
    port: String(port),
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: '100',
    shared_buffers: roomy ? '256MB' : '128MB',
    work_mem: '8MB',
    maintenance_work_mem: '64MB',
    max_wal_size: '1GB',
    wal_compression: 'on',
    jit: 'off',
    // Parallel queries need /dev/shm, which is tiny in containers.
    max_parallel_workers_per_gather: '0',
    timezone: 'UTC',
    log_timezone: 'UTC',
    log_checkpoints: 'off',
    log_min_messages: 'log',
    ...(durable
      ? { fsync: 'on', synchronous_commit: 'on', full_page_writes: 'on' }
      : { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }),
  };
}
