import { z } from 'zod';
import { jsonObject, name, time } from './scalar.ts';

export const project = z.object({ name, workflows: z.int(), createdAt: time }).meta({ id: 'Project' });
export type Project = z.infer<typeof project>;

/** The project's values for parameters: they stand below the workflow's own and below those of a start. */
export const projectParams = z.strictObject({ params: jsonObject }).meta({ id: 'ProjectParams' });
export type ProjectParams = z.infer<typeof projectParams>;
