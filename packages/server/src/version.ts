import manifest from '../package.json' with { type: 'json' };

/** The release. */
export const VERSION: string = manifest.version;
