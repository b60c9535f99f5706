export { checkDatabase, repairDatabase, createToken, migrateDatabase, verifyDatabase } from './database.ts';
export { startDev } from './dev/dev.ts';
export type { DevOptions, RunningDev } from './dev/dev.ts';
export { ROLES, startServer } from './serve.ts';
export type { RunningServer, ServerOptions, ServerRole } from './serve.ts';
export { VERSION } from './version.ts';
