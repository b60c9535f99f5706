import { conformance } from './run.ts';
import { postgresSubject } from './subject.ts';

conformance(postgresSubject);
