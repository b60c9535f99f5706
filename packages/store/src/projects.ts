import type { JsonObject } from '@keelson/core';
import type { Page, PageRequest } from './page.ts';

export interface Project {
  readonly name: string;
  /** Workflows that are not deleted. */
  readonly workflows: number;
  readonly createdAt: string;
}

/** A project needs no ceremony: whatever is first stored under its name creates it. */
export interface Projects {
  get(name: string): Promise<Project | undefined>;
  /** By name. */
  list(page: PageRequest): Promise<Page<Project>>;
  /** Parameters that every workflow of the project sees; empty for a project that does not exist yet. */
  params(name: string): Promise<JsonObject>;
  /** Replaces all of them. */
  setParams(name: string, params: JsonObject): Promise<void>;
}
