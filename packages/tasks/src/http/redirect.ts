/** Where a redirect leads and with what, by the rules of the fetch standard; or why it is not followed. */
export interface Exchange {
  readonly url: URL;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
}

export type RedirectPolicy = 'same-host' | 'any' | 'none';
export type Redirect =
  | { readonly kind: 'follow'; readonly next: Exchange }
  | { readonly kind: 'refuse'; readonly code: string; readonly message: string }
  | { readonly kind: 'answer' };

const REDIRECT_STATUSES = new Set([301, 302, 303, 307, 308]);
/** Any other header may hold a secret that is meant for the first host alone. */
const HEADERS_FOR_ANY_HOST = new Set(['accept', 'accept-language', 'content-type', 'user-agent']);
const MAX_REDIRECTS = 10;

export function redirectOf(
  from: Exchange,
  status: number,
  location: string | undefined,
  policy: RedirectPolicy,
  followed: number,
): Redirect {
  if (policy === 'none' || !REDIRECT_STATUSES.has(status) || location === undefined) return { kind: 'answer' };
  const url = URL.parse(location, from.url.href);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    return {
      kind: 'refuse',
      code: 'redirect-refused',
      message: 'the answer redirects to what is no http or https URL',
    };
  }
  if (followed >= MAX_REDIRECTS) {
    return { kind: 'refuse', code: 'too-many-redirects', message: `more than ${MAX_REDIRECTS} redirects in a row` };
  }
  const leavesHost = url.host !== from.url.host;
  const losesTls = from.url.protocol === 'https:' && url.protocol === 'http:';
  if (policy === 'same-host' && (leavesHost || losesTls)) {
    const where = leavesHost ? `another host, ${url.host}` : `http on the same host, ${url.host}`;
    const message = `the answer (${status}) redirects to ${where}; allow that with followRedirects: any, or request it directly`;
    return { kind: 'refuse', code: 'redirect-refused', message };
  }
  return { kind: 'follow', next: nextExchange(from, url, status, leavesHost || losesTls) };
}

function nextExchange(from: Exchange, url: URL, status: number, stripHeaders: boolean): Exchange {
  const becomesGet = status === 303 ? from.method !== 'HEAD' : status < 303 && from.method === 'POST';
  const kept = Object.entries(from.headers).filter(
    ([name]) => (!stripHeaders || HEADERS_FOR_ANY_HOST.has(name)) && !(becomesGet && name.startsWith('content-')),
  );
  return {
    url,
    method: becomesGet ? 'GET' : from.method,
    headers: Object.fromEntries(kept),
    body: becomesGet ? undefined : from.body,
  };
}
