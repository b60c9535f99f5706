import pg from 'pg';

/** What an error of the server says beside its code and message. */
export interface SqlErrorFields {
  readonly table?: string;
  readonly constraint?: string;
  readonly detail?: string;
}

/** An error as the driver hands it out, so that whoever classifies errors cannot tell it from the server's. */
export function sqlError(code: string, message: string, fields: SqlErrorFields = {}): pg.DatabaseError {
  return Object.assign(new pg.DatabaseError(message, message.length, 'error'), {
    code,
    severity: 'ERROR',
    schema: 'keelson',
    ...fields,
  });
}

/** A unique key holds a row with the same values. */
export function uniqueViolation(table: string, constraint: string): pg.DatabaseError {
  return sqlError('23505', `duplicate key value violates unique constraint "${constraint}"`, { table, constraint });
}

/** A check of the table refuses the row. */
export function checkViolation(table: string, constraint: string): pg.DatabaseError {
  const message = `new row for relation "${table}" violates check constraint "${constraint}"`;
  return sqlError('23514', message, { table, constraint });
}

/** The server ended the session: its administrator's command, a restart, a connection that was cut. */
export function sessionEnded(): pg.DatabaseError {
  return sqlError('57P01', 'terminating connection due to administrator command');
}
